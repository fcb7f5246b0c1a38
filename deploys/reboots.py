"""Reboots, one machine at a time over the whole lab: it waits until each is as well as before."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

import gevent
from pyinfra import host, logger
from pyinfra.api import FunctionCommand, deploy, operation
from pyinfra.api.host import Host
from pyinfra.api.state import State
from pyinfra.context import ctx_host

from deploys.facts.boot import RebootNeeded
from deploys.facts.health import Health, HealthFact
from deploys.liveness import unwatch, watch

NEEDED = "/run/reboot-required.pkgs"
"""Where packages of Debian and Ubuntu, and we, write why a machine has to boot again."""
BOOT_SECONDS = 300
UNIT_SECONDS = 20
"""Services start by themselves or not at all."""
CONTAINER_SECONDS = 180
"""Models are loaded, databases recovered."""
LOOK_AGAIN_SECONDS = 2


@dataclass(frozen=True, slots=True)
class Change:
    """What machines get one after the other.

    Attributes:
        needed: what a machine gets, for people; empty where it needs nothing.
        make: makes it; returns why it failed, None where it did not.
    """

    needed: Callable[[Host], str]
    make: Callable[[Host], str | None]


_outcomes: dict[Host, bool] = {}
"""Whether a machine is well after its change, of those that have had their turn."""


@deploy("Reboots")
def where_needed(*, postpone: bool) -> None:
    """Reboots the machines that need it, one after the other."""
    if postpone:
        _postponed(name="Reboot waits")
    else:
        one_by_one(name="Reboot", change=Change(_why_reboot, reboot), _serial=True)


@operation()
def _postponed() -> Iterator[object]:
    """Says why the machine has to boot again, and does nothing."""
    if title := _why_reboot(ctx_host.get()):
        logger.warning(f"{host.print_prefix}Postponed: {title}")
    yield from ()


@operation()
def one_by_one(change: Change) -> Iterator[object]:
    """Changes the machines that need it in the order of the inventory, which is the tiers'.

    Each is waited for until all that ran on it runs again. At the first that is not well it
    ends: the machines after it are left alone. For `_serial` operations.
    """
    this = ctx_host.get()
    if this in _outcomes or change.needed(this):
        yield FunctionCommand(_in_turn, (change,), {})
    else:
        host.noop("nothing to do")


def _in_turn(state: State, host: Host, change: Change) -> bool:
    """Has the machines before this one have their turn first: pyinfra keeps no order."""
    for each in state.inventory:
        if each in state.active_hosts and each not in _outcomes and (title := change.needed(each)):
            with ctx_host.use(each):
                _outcomes[each] = _changed(each, change, title)
        if each is host:
            break
    return _outcomes[host]


def _changed(host: Host, change: Change, title: str) -> bool:
    """Whether the machine got its change and is as well as before."""
    if unwell := next((each.name for each, well in _outcomes.items() if not well), None):
        logger.error(f"{host.print_prefix}Left alone: {unwell} is not well ({title} waits)")
        return False
    before = _health(host)
    logger.info(f"{host.print_prefix}Begins: {title}")
    trouble = change.make(host) or _settled(host, before)
    if trouble:
        logger.error(f"{host.print_prefix}Not well after {title}: {trouble}")
    return not trouble


def _why_reboot(host: Host) -> str:
    """What a machine's reboot is for; empty where it needs none."""
    reasons = host.get_fact(RebootNeeded, _sudo=True)
    return f"reboot for {', '.join(reasons)}" if reasons else ""


def reboot(host: Host) -> str | None:
    """Reboots a machine and waits for its return; why it failed, or None."""
    before = _health(host).boot_id
    host.run_shell_command("( sleep 1; systemctl reboot ) </dev/null >/dev/null 2>&1 &", _sudo=True)
    deadline = time.monotonic() + BOOT_SECONDS
    gevent.sleep(LOOK_AGAIN_SECONDS)
    while time.monotonic() < deadline:
        if reconnect(host) and _health(host).boot_id not in {before, ""}:
            watch()
            return None
        gevent.sleep(LOOK_AGAIN_SECONDS)
    return f"it has not come back within {BOOT_SECONDS} s; look at its power and its screen"


def _health(host: Host) -> Health:
    """How well a machine is; nothing is, while it is on its way down."""
    health: Health = host.get_fact(HealthFact, _sudo=True, _ignore_errors=True)
    return health


def reconnect(host: Host) -> bool:
    """Makes a new connection in place of the one that the reboot cuts; whether it could."""
    unwatch(host)
    # What carried the old connection may have ended with it.
    with suppress(ProcessLookupError):
        if client := getattr(host.connector, "client", None):
            client.close()
    host.disconnect()
    host.connect(show_errors=False)
    return bool(host.connected)


def _settled(host: Host, before: Health) -> str | None:
    """Waits until all that ran runs again; what is missing when the time is over, or None."""
    started = time.monotonic()
    while True:
        now = _health(host)
        units, containers = _units_missing(before, now), _containers_missing(before, now)
        waited = time.monotonic() - started
        if not units and not containers:
            return None
        if (units and waited > UNIT_SECONDS) or waited > CONTAINER_SECONDS:
            return "; ".join([*units, *containers])
        gevent.sleep(LOOK_AGAIN_SECONDS)


def _units_missing(before: Health, now: Health) -> Sequence[str]:
    """The units that were well and are not."""
    failed = sorted(now.failed_units - before.failed_units)
    stopped = sorted(before.running_units - now.running_units)
    return [
        *(f"unit {unit} failed (systemctl status {unit})" for unit in failed),
        *(f"{unit} does not run (systemctl status {unit})" for unit in stopped),
    ]


def _containers_missing(before: Health, now: Health) -> Sequence[str]:
    """The containers that were well and are not."""
    missing = sorted(before.well_containers - now.well_containers)
    return [f"container {name} is not healthy (docker logs {name})" for name in missing]
