"""What has changed on the machines since the last update, told by a quick look.

Refreshing every resource reads each by itself; this asks each machine once for its running
containers and the digests of its services' settings, and compares them with what the stack knows.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hearth.remote import ask_all
from inventory.services import SETTINGS_ON_HOST
from provider.tokens import FILES

CONTAINER = "docker:index/container:Container"
_MARK = "--"
_ASK = (
    "docker ps --no-trunc --format '{{.ID}}' && "
    f"echo {_MARK} && sudo -n find {SETTINGS_ON_HOST} -type f -exec sha256sum {{}} + 2>/dev/null"
    " || true"
)


@dataclass(slots=True)
class Known:
    """What a stack knows of a machine.

    Attributes:
        containers: names by Docker's id.
        files: SHA-256 by path.
    """

    containers: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)


def known(resources: Iterable[Mapping[str, Any]]) -> dict[str, Known]:
    """What a stack's resources, as `pulumi stack export` prints them, say of each machine."""
    found: dict[str, Known] = {}
    for resource in resources:
        name, outputs = resource["urn"].rpartition("::")[2], resource.get("outputs") or {}
        host, _, service = name.partition(".")
        if resource["type"] == CONTAINER:
            found.setdefault(host, Known()).containers[resource["id"]] = service
        elif resource["type"] == FILES:
            files = found.setdefault(outputs["host"], Known()).files
            for path, digest in outputs["digests"].items():
                files[f"{outputs['folder']}/{path}"] = digest
    return found


def drifted(
    ssh_config: Path, resources: Iterable[Mapping[str, Any]], absent: Collection[str] = ()
) -> list[str]:
    """Everything that is not as the stack left it, by machine; empty where all is.

    Args:
        ssh_config: how ssh reaches the machines.
        resources: as `pulumi stack export` prints them.
        absent: machines that are not asked.
    """
    machines = {host: what for host, what in known(resources).items() if host not in absent}
    return [
        f"{host}: {what}"
        for host, answer in ask_all(ssh_config, machines, _ASK).items()
        for what in differences(machines[host], answer)
    ]


def differences(machine: Known, answer: str | None) -> list[str]:
    """What a machine's answer says that its stack does not know; None is no answer."""
    if answer is None:
        return ["does not answer"]
    listed, _, sums = answer.partition(f"{_MARK}\n")
    running = set(listed.split())
    there = {path: digest for digest, _, path in (s.partition("  ") for s in sums.splitlines())}
    stopped = [name for id_, name in machine.containers.items() if id_ not in running]
    files = machine.files.keys() | there.keys()
    changed = sorted(path for path in files if machine.files.get(path) != there.get(path))
    return [f"{name} does not run" for name in stopped] + [f"{path} differs" for path in changed]
