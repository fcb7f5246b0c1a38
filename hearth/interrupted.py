"""What an update that was killed leaves behind: a lock, and resources that nobody recorded.

The engine notes what it is about to create. Where it was killed before it could note the
result, the container may be there without being in the state, and its name is taken.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_REMOVABLE = {
    "docker:index/container:Container": ("rm", "--force"),
    "docker:index/network:Network": ("network", "rm"),
}


@dataclass(frozen=True, slots=True)
class Leftover:
    """A resource that was being created when the update was killed.

    Attributes:
        host: the machine, named as its provider is.
        name: what Docker calls it; None where there is nothing to remove.
        command: arguments of `docker` that remove it.
    """

    host: str
    name: str | None
    command: tuple[str, ...]


def leftovers(state: Mapping[str, Any]) -> list[Leftover]:
    """What a stack's state says was being created.

    Args:
        state: the checkpoint file of Pulumi's file backend.
    """
    latest = state.get("checkpoint", {}).get("latest") or {}
    return [
        _leftover(operation["resource"])
        for operation in latest.get("pending_operations") or ()
        if operation["type"] == "creating"
    ]


def _leftover(resource: Mapping[str, Any]) -> Leftover:
    command = _REMOVABLE.get(resource["type"])
    host = resource.get("provider", "").split("::")[-2:][0]
    if command is None:
        return Leftover(host, None, ())
    name = resource["inputs"]["name"]
    return Leftover(host, name, (*command, name))


def clear_dead_locks(folder: Path) -> bool:
    """Removes locks whose holder ran on this machine and is gone; says whether there were any."""
    dead = [lock for lock in folder.glob("*.json") if _is_dead(json.loads(lock.read_text()))]
    for lock in dead:
        lock.unlink()
    return bool(dead)


def _is_dead(holder: Mapping[str, Any]) -> bool:
    """Whether a lock's process is gone; a zombie is gone too."""
    if holder.get("hostname") != socket.gethostname():
        return False
    try:
        stat = Path(f"/proc/{holder.get('pid')}/stat").read_text()
    except FileNotFoundError:
        return True
    return stat.rpartition(")")[2].split()[0] == "Z"
