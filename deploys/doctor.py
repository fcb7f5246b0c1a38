"""Asks every machine of a site how it is, all at once, and prints findings; changes nothing.

A program, `python -m deploys.doctor SITE`: one JSON document on stdout, anything else on stderr.
"""
# ruff: noqa: E402 - gevent has to patch before anything loads paramiko or threading

from __future__ import annotations

from gevent import monkey

monkey.patch_all()

import dataclasses
import errno
import json
import logging
import os
import sys
import time
from collections.abc import Iterator
from contextlib import redirect_stdout
from typing import Any

import gevent
from paramiko import AuthenticationException, BadHostKeyException
from paramiko.ssh_exception import NoValidConnectionsError
from pyinfra.api import Config, Inventory, State
from pyinfra.api.connect import connect_all
from pyinfra.api.exceptions import PyinfraError
from pyinfra.api.host import Host
from pyinfra.api.state import BaseStateCallback

from deploys.facts.access import AccessFact
from deploys.facts.board import BoardFact
from deploys.facts.cgroup import CgroupsFact
from deploys.facts.clock import ClockFact
from deploys.facts.docker import DockerFact
from deploys.facts.kernel import KernelFact
from deploys.facts.machine import MachineFact
from deploys.facts.memory import MemoryFact
from deploys.facts.ports import PortsFact
from deploys.facts.space import SpaceFact
from deploys.facts.sysctl import SysctlFact
from deploys.findings import HostFacts, Reason, Unreachable, findings
from inventory.model import TIERS, Site

CONNECT_SECONDS = 10
FACT_SECONDS = 20

FACTS = {
    "machine": MachineFact,
    "access": AccessFact,
    "memory": MemoryFact,
    "space": SpaceFact,
    "cgroups": CgroupsFact,
    "kernel": KernelFact,
    "docker": DockerFact,
    "sysctls": SysctlFact,
    "ports": PortsFact,
    "board": BoardFact,
}
"""By the name of what they fill in; the clock is asked apart."""

_REASONS: dict[int | None, Reason] = {
    errno.ECONNREFUSED: "refused",
    errno.EHOSTUNREACH: "no route",
    errno.ENETUNREACH: "no route",
    errno.ETIMEDOUT: "timed out",
}


class Refusals(BaseStateCallback):
    """Keeps why machines could not be reached, by name."""

    def __init__(self) -> None:
        self.unreachable: dict[str, Unreachable] = {}

    def host_connect_error(self, _state: State, host: Host, error: PyinfraError) -> None:
        """Called by pyinfra; the error says it for people, its cause says it exactly."""
        self.unreachable[host.name] = Unreachable(reason(error), str(error))


def reason(error: BaseException) -> Reason:
    """Why ssh did not come about, from the error and those that led to it."""
    for cause in _causes(error):
        if isinstance(cause, AuthenticationException):
            return "authentication"
        if isinstance(cause, BadHostKeyException):
            return "host key"
        if isinstance(cause, TimeoutError):
            return "timed out"
        if isinstance(cause, NoValidConnectionsError):
            numbers = {getattr(tried, "errno", None) for tried in cause.errors.values()}
            return next((_REASONS[number] for number in numbers if number in _REASONS), "other")
        if isinstance(cause, OSError) and cause.errno in _REASONS:
            return _REASONS[cause.errno]
    return "other"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def examine(state: State) -> dict[str, HostFacts]:
    """What is found on each machine of the inventory, by its name."""
    refusals = Refusals()
    state.add_callback_handler(refusals)
    try:
        with gevent.Timeout(2 * CONNECT_SECONDS, False):  # a proxy command has no time-out
            connect_all(state)
    except PyinfraError:
        pass  # none was reached: every one has its finding
    hosts = list(state.inventory)
    silent = Unreachable("timed out", f"no answer within {2 * CONNECT_SECONDS} s")
    found = {
        host.name: HostFacts(unreachable=refusals.unreachable.get(host.name, silent))
        for host in hosts
        if not host.connected
    }
    reached = [host for host in hosts if host.connected]
    found |= zip((host.name for host in reached), state.pool.map(visit, reached), strict=True)
    return {host.name: found[host.name] for host in hosts}


def visit(host: Host) -> HostFacts:
    """Reads every fact of a machine."""
    read = {name: _read(host, fact) for name, fact in FACTS.items()}
    asked = time.time()
    clock = _read(host, ClockFact)
    answered = time.time()
    return HostFacts(
        **read, clock=clock, skew_seconds=skew(asked, clock.epoch, answered) if clock else 0.0
    )


def _read(host: Host, fact: type) -> Any:
    """A fact; None where the machine, or what it printed, is too odd for it."""
    try:
        return host.get_fact(fact, _timeout=FACT_SECONDS)
    except (PyinfraError, KeyError, IndexError, ValueError) as error:
        sys.stderr.write(f"{host.name}: {fact.__name__}: {error!r}\n")
        return None


def skew(asked: float, told: float, answered: float) -> float:
    """How far a clock is ahead, at least, if it told that between the two times of ours."""
    return min(told - asked, 0.0) or max(told - answered, 0.0)


def inventory_of(site_argument: str) -> tuple[Site, Inventory]:
    """The site, and its machines as pyinfra reaches them."""
    os.environ["HEARTH_SITE"] = site_argument
    from inventory import hosts  # noqa: PLC0415 - reads the variable when it is loaded

    site = hosts.current_site()
    machines = dict(machine for tier in TIERS for machine in getattr(hosts, tier))
    return site, Inventory(([(name, machines[name]) for name in site.hosts], {}))


def report(site: Site, found: dict[str, HostFacts]) -> dict[str, Any]:
    """The document that is printed."""
    return {
        "site": site.name,
        "hosts": {name: dataclasses.asdict(facts) for name, facts in found.items()},
        "findings": [
            dataclasses.asdict(finding)
            for name, facts in found.items()
            for finding in findings(site, name, facts)
        ],
    }


def main() -> None:
    """Examines the site that is named."""
    for talkative in ("pyinfra", "paramiko"):
        logging.getLogger(talkative).setLevel(logging.CRITICAL)
        logging.getLogger(talkative).addHandler(logging.NullHandler())
    with redirect_stdout(sys.stderr):
        site, machines = inventory_of(sys.argv[1])
        config = Config(CONNECT_TIMEOUT=CONNECT_SECONDS, FAIL_PERCENT=100, IGNORE_ERRORS=True)
        found = examine(State(machines, config))
    json.dump(report(site, found), sys.stdout)


if __name__ == "__main__":
    main()
