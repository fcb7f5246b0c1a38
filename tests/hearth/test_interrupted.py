"""An update that was killed is recognised, and nothing else is touched."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from pathlib import Path
from typing import Any

from hearth.interrupted import Leftover, clear_dead_locks, leftovers


def pending(kind: str, name: str, doing: str = "creating") -> dict[str, Any]:
    return {
        "type": doing,
        "resource": {
            "type": kind,
            "urn": f"urn:pulumi:lab::hearth::{kind}::{name}",
            "provider": "urn:pulumi:lab::hearth::pulumi:providers:docker::pi52::0000",
            "inputs": {"name": name},
        },
    }


def state(*operations: dict[str, Any]) -> dict[str, Any]:
    return {"checkpoint": {"latest": {"pending_operations": list(operations)}}}


def test_an_unrecorded_container_is_removed_by_its_name_on_its_host() -> None:
    found = leftovers(state(pending("docker:index/container:Container", "redis")))
    assert found == [Leftover("pi52", "redis", ("rm", "--force", "redis"))]


def test_an_image_needs_no_removal_but_is_cleared_from_the_state() -> None:
    found = leftovers(state(pending("docker:index/remoteImage:RemoteImage", "x")))
    assert found == [Leftover("pi52", None, ())]


def test_what_was_being_deleted_is_left_to_the_engine() -> None:
    container = pending("docker:index/container:Container", "redis", "deleting")
    assert leftovers(state(container)) == []
    assert leftovers({"checkpoint": {"latest": None}}) == []


def lock(folder: Path, name: str, pid: int, host: str) -> Path:
    path = folder / f"{name}.json"
    path.write_text(json.dumps({"pid": pid, "hostname": host}))
    return path


def test_only_the_locks_of_dead_processes_of_this_machine_are_cleared(tmp_path: Path) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    here = socket.gethostname()
    dead = lock(tmp_path, "dead", gone.pid, here)
    alive = lock(tmp_path, "alive", os.getpid(), here)
    elsewhere = lock(tmp_path, "elsewhere", gone.pid, "another-machine")
    assert clear_dead_locks(tmp_path)
    assert (dead.exists(), alive.exists(), elsewhere.exists()) == (False, True, True)
    assert not clear_dead_locks(tmp_path)
