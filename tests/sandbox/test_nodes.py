"""A machine that is to be a node brings Kubernetes' packages, and knows its own share."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from inventory.errors import HearthError
from inventory.loading import load
from sandbox import machine, nodes, requirements
from sandbox.machine import Machine
from sandbox.plan import LabPlan, plan_for
from tools.versions import KUBERNETES


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Kubernetes' programs, which are texts here."""
    for name in nodes.PACKAGES:
        (tmp_path / name).write_text(f"the program {name}")
        monkeypatch.setenv(f"HEARTH_{name.upper()}", str(tmp_path / name))
    return tmp_path


def plan() -> LabPlan:
    return plan_for(load("fixai"))


@pytest.mark.usefixtures("programs")
def test_a_clusters_machines_are_made_of_more_than_a_boards() -> None:
    layer = machine.layer(plan())

    assert layer.name == "node"
    assert layer.below == machine.layer(plan_for(load("sandbox")))


def test_another_program_is_another_machine(programs: Path) -> None:
    before = machine.layer(plan()).key
    (programs / "kubelet").write_text("a newer kubelet")

    assert machine.layer(plan()).key != before


@pytest.mark.usefixtures("programs")
def test_a_package_is_one_that_apt_takes(tmp_path: Path) -> None:
    for name, depends in nodes.PACKAGES.items():
        folder = tmp_path / f"tree-{name}"
        (folder / "DEBIAN").mkdir(parents=True)
        (folder / "DEBIAN/control").write_text(nodes.control(name, depends))
        package = tmp_path / f"{name}.deb"
        options = ("-Znone", "--root-owner-group", "--build")
        subprocess.run(["dpkg-deb", *options, folder, package], check=True, capture_output=True)
        asked = subprocess.run(
            ["dpkg-deb", "-f", package, "Package", "Version"],
            check=True,
            capture_output=True,
            text=True,
        )
        assert asked.stdout.splitlines() == [f"Package: {name}", f"Version: {KUBERNETES}-1.1"]


def test_a_kubelet_promises_no_more_than_its_machine_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requirements, "total_memory", lambda: 24 * 2**30)
    files = nodes.own_files(plan(), plan().machine("worker01"))

    settings = yaml.safe_load(files["etc/kubernetes/kubelet.conf.d/90-machine.conf"])
    assert settings["kubeReserved"] == {"memory": f"{18 * 1024}Mi"}
    assert files["etc/kubernetes/resolv.conf"] == "nameserver 10.20.0.1\n"


def test_a_board_has_no_files_of_a_node() -> None:
    sandbox = plan_for(load("sandbox"))

    assert nodes.own_files(sandbox, sandbox.machines[0]) == {}
    assert "docker" in Machine(sandbox, sandbox.machines[0]).real_folders
    assert {"kubelet", "etcd", "fixai"} <= set(Machine(plan(), plan().machines[0]).real_folders)


def test_a_version_that_is_not_built_here_is_refused() -> None:
    site = load("fixai")
    assert site.kubernetes is not None
    other = site.kubernetes.model_copy(update={"version": "1.40.0"})

    with pytest.raises(HearthError, match=rf"not built here \(1\.40\.0\).*{KUBERNETES}"):
        plan_for(site.model_copy(update={"kubernetes": other}))


def test_nodes_need_more_inotify_instances() -> None:
    boards = replace(plan(), cluster=False)

    assert requirements.inotify_needed(plan()) > requirements.inotify_needed(boards)
