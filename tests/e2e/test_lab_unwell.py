"""The smoke suites fail a lab that is broken on purpose, for the right reason."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import SITE_FILE, Lab, Ran

pytestmark = pytest.mark.e2e

Up = tuple[Lab, Ran, dict[str, Any]]
SETTINGS = "/etc/hearth/services"
HAPROXY, NGINX = f"{SETTINGS}/engine/haproxy.cfg", f"{SETTINGS}/nginx/nginx.conf"
RELOAD = {HAPROXY: "docker kill -s USR2 engine", NGINX: "docker kill -s HUP nginx"}


@contextmanager
def changed(it: Lab, path: str, edits: Mapping[str, str]) -> Iterator[None]:
    """The gateway with a changed file, while the block lasts; edits by what they replace."""
    script = " ".join(f"-e {shlex.quote(f's|{old}|{new}|')}" for old, new in edits.items())
    kept = f"/run/{Path(path).name}"
    edit = f"sudo cp {path} {kept} && sudo sed -i {script} {path} && ! sudo cmp -s {path} {kept}"
    it.ssh("pi51", f"{edit} && {RELOAD[path]} && sleep 1")
    try:
        yield
    finally:
        it.ssh("pi51", f"sudo cp {kept} {path} && {RELOAD[path]} && sleep 1")


def failed(it: Lab, folder: Path, *options: str) -> dict[str, str]:
    """What the suites find wrong: details by claim."""
    report = folder / "smoke.json"
    ran = it.hearth("smoke", str(SITE_FILE), *options, "--json", str(report))
    assert ran.code == 1, ran.output
    checks = json.loads(report.read_text())["checks"]
    return {check["name"]: check["detail"] for check in checks if check["verdict"] == "fail"}


def test_a_port_that_nobody_declared_is_found(lab: Up, tmp_path: Path) -> None:
    it = lab[0]
    where = "sudo nft insert rule inet hearth admit tcp dport 9100 accept"
    it.ssh("nano", where)
    try:
        found = failed(it, tmp_path, "--suite", "exposure")
    finally:
        it.ssh("nano", "sudo nft -f /etc/nftables.conf")
    assert "open but not declared: 9100" in found["nano: open to the outside, exactly"]
    assert all(name.startswith("nano: ") for name in found)


def test_a_wrong_split_and_held_back_streams_are_found(lab: Up, tmp_path: Path) -> None:
    it = lab[0]
    with (
        changed(it, NGINX, {"proxy_buffering off": "proxy_buffering on"}),
        changed(it, HAPROXY, {"weight [82]0$": "weight 50"}),
    ):
        found = failed(it, tmp_path, "--suite", "chat", "--suite", "split")
    assert set(found) >= {
        "chat: streams that come as they are written, at least",
        "chat: share of agx0.assistant",
        "chat: share of orin0.assistant",
    }


def test_a_gateway_without_limits_and_keys_is_found(lab: Up, tmp_path: Path) -> None:
    it = lab[0]
    edits = {"http-request lua.limit": "# &", "http-request return status 401": "# &"}
    with changed(it, HAPROXY, edits):
        found = failed(it, tmp_path, "--suite", "keys", "--suite", "rate-limit")
    assert {name for name in found if name.startswith("chat: ")} == {
        "chat: answer without a key",
        "chat: answer with a wrong key",
        "chat: let through of a burst of 15",
        "chat: refusals (429) that say when to retry",
    }


def test_a_gateway_that_does_not_look_whether_upstreams_live_is_found(
    lab: Up, tmp_path: Path
) -> None:
    it = lab[0]
    edits = {
        "default-server check": "default-server",
        "observe layer4 error-limit [0-9]* on-error mark-down": "",
        "option redispatch 1": "# &",
    }
    with changed(it, HAPROXY, edits):
        found = failed(it, tmp_path, "--drill", "node-killed")
    assert "node-killed: answered by an upstream meanwhile" in found
