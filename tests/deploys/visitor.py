"""Visits machines that answer as recorded, one a line of JSON on stdin, and prints what it found.

A program of its own: pyinfra's gevent and Pulumi's gRPC must not share a process. The machines
are pyinfra's fake ones, asked by the doctor itself.
"""

from __future__ import annotations

from deploys import doctor  # isort: skip - patches what others load

import dataclasses
import errno
import json
import re
import sys
import time
from functools import cache
from typing import Any

import yaml
from paramiko import AuthenticationException, BadHostKeyException, RSAKey, SSHException
from paramiko.ssh_exception import NoValidConnectionsError
from pyinfra.api import Config, Inventory, State, inventory

from deploys.findings import HostFacts, Unreachable, findings
from inventory.loading import load
from inventory.model import Host, Site
from inventory.paths import PROJECT

RECORDED = PROJECT / "tests" / "deploys" / "recorded"
ASKED_BY = {
    "machine": "os-release",
    "access": "id -un",
    "memory": "MemAvailable",
    "space": "df -P",
    "cgroups": "cgroup.controllers",
    "kernel": "config.gz",
    "clock": "date +epoch",
    "docker": "dpkg-query",
    "sysctls": "vm.max_map_count",
    "ports": "ss -H",
    "board": "thermal_zone",
}
"""Words that only one fact's command has."""

# pyinfra looks through all installed packages for connectors, at every inventory.
inventory.get_all_connectors = cache(inventory.get_all_connectors)
inventory.get_execution_connectors = cache(inventory.get_execution_connectors)


@cache
def recorded(board: str) -> dict[str, str]:
    """What a board's commands print, by fact."""
    said: dict[str, str] = yaml.safe_load((RECORDED / f"{board}.yaml").read_text())
    return said


def answers(board: str, changes: dict[str, str], ahead: float) -> dict[str, str]:
    """The same by words of the commands, some of it changed, the clock so far ahead of ours."""
    said = recorded(board) | changes
    said["clock"] = re.sub(r"epoch=\S+", f"epoch={time.time() + ahead:.9f}", said["clock"])
    return {word: said[fact] for fact, word in ASKED_BY.items() if fact in said}


def visit(request: dict[str, Any]) -> dict[str, Any]:
    """Facts and findings of one machine."""
    name = request["host"]
    site = with_host(sound(request["site"]), name, request["place"])
    if reason := request["unreachable"]:
        facts = HostFacts(unreachable=Unreachable(reason, "what ssh said"))
    else:
        responses = answers(request["board"], request["changes"], request["ahead"])
        data = {"fake_responses": responses, "fake_delay": 0, "fake_delay_jitter": 0}
        machines = Inventory(([(f"@fake/{name}", data)], {}))
        (facts,) = doctor.examine(State(machines, Config())).values()
    found = [dataclasses.asdict(finding) for finding in findings(site, name, facts)]
    return {"facts": dataclasses.asdict(facts), "findings": found}


@cache
def sound(site: str) -> Site:
    """A site, read once."""
    return load(site)


def with_host(site: Site, name: str, place: dict[str, Any]) -> Site:
    """The site with other values for one host."""
    host = Host.model_validate(site.hosts[name].model_dump() | place)
    return site.model_copy(update={"hosts": dict(site.hosts) | {name: host}})


def reasons() -> dict[str, str]:
    """What the doctor makes of the errors that paramiko raises, as pyinfra hands them on."""
    address = ("192.0.2.1", 22)
    key = RSAKey.generate(1024)
    raised = {
        "refused": NoValidConnectionsError({address: OSError(errno.ECONNREFUSED, "refused")}),
        "no route": NoValidConnectionsError({address: OSError(errno.EHOSTUNREACH, "no route")}),
        "network": OSError(errno.ENETUNREACH, "Network is unreachable"),
        "timed out": TimeoutError("timed out"),
        "authentication": AuthenticationException("Authentication failed."),
        "host key": BadHostKeyException("192.0.2.1", key, key),
        "banner": SSHException("Error reading SSH protocol banner"),
    }
    return {name: doctor.reason(_handed_on(error)) for name, error in raised.items()}


def _handed_on(error: Exception) -> Exception:
    outer = RuntimeError("Could not connect")
    outer.__context__ = error
    return outer


def main() -> None:
    """Answers requests until there are no more."""
    for line in sys.stdin:
        request = json.loads(line)
        if request.get("call") == "reasons":
            answer: Any = reasons()
        elif request.get("call") == "skew":
            answer = doctor.skew(*request["times"])
        else:
            answer = visit(request)
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
