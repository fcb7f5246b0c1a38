"""The engine has the settings of its board and its site before it starts for the first time."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.deploys.record import Run

Runs = dict[str, Run]

COMMON = {
    "live-restore": True,
    "log-driver": "json-file",
    "log-opts": {"max-size": "10m", "max-file": "3"},
    "userland-proxy": False,
    "registry-mirrors": ["http://10.20.0.2:5001"],
}
NVIDIA = {"nvidia": {"path": "nvidia-container-runtime", "runtimeArgs": []}}


def settings(run: Run, host: str) -> Any:
    """What daemon.json says on a machine."""
    return json.loads(run.files(host)["/etc/docker/daemon.json"])


@pytest.mark.parametrize("board", ["pi5", "pi4", "pi4-trixie", "pi3"])
def test_containers_live_on_logs_are_bounded_and_clients_keep_their_addresses(
    bare: Run, board: str
) -> None:
    assert settings(bare, board) == COMMON


@pytest.mark.parametrize(
    "board", ["agx-r35", "agx-r36", "orin-nano-r35", "orin-nano-r36", "nano-r32"]
)
def test_containers_on_a_jetson_can_have_its_gpu(bare: Run, board: str) -> None:
    assert settings(bare, board) == COMMON | {"runtimes": NVIDIA}


def test_data_lives_on_the_data_disk_where_there_is_one(bare: Run) -> None:
    assert settings(bare, "pi5-trixie") == COMMON | {"data-root": "/srv/hearth/docker"}


def test_the_labs_own_registry_is_trusted_and_a_container_has_no_gpu(runs: Runs) -> None:
    for place in ("pi5", "nano-r32"):
        trusting = COMMON | {"insecure-registries": ["10.20.0.251:5000"]}
        assert settings(runs["sandbox"], place) == trusting


def test_an_engine_that_runs_is_restarted_by_new_settings(runs: Runs) -> None:
    assert runs["stale"].titles("pi5") == ["Docker settings"]
    reads = runs["stale"].follow_up("pi5", "Docker settings")
    assert reads.startswith("systemctl try-restart docker ||")


def test_an_engine_that_was_stopped_is_started_and_nothing_else(runs: Runs) -> None:
    assert runs["touched"].commands("pi5") == [
        "systemctl enable docker.service",
        "systemctl start docker.service",
    ]
