"""Reboots, one machine at a time over the whole lab: it waits until each is as well as before."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import gevent
from pyinfra import host, logger
from pyinfra.api import FunctionCommand, deploy, operation
from pyinfra.api.host import Host
from pyinfra.api.state import State

from deploys.facts.boot import RebootNeeded
from deploys.facts.health import Health, HealthFact
from deploys.liveness import watch

NEEDED = "/run/reboot-required.pkgs"
"""Where packages of Debian and Ubuntu, and we, write why a machine has to boot again."""
BOOT_SECONDS = 300
SETTLE_SECONDS = 180
LOOK_AGAIN_SECONDS = 2


@dataclass
class _Lab:
    """What the machines of a run share: the first that failed, None while all are well."""

    failed: str | None = None


_lab = _Lab()


@deploy("Reboots")
def where_needed(*, postpone: bool) -> None:
    """Reboots the machines that need it, in the order of the inventory, which is the tiers'."""
    _reboot(name="Reboot", postpone=postpone, _serial=True)


@operation()
def _reboot(postpone: bool) -> Iterator[object]:  # noqa: FBT001 - pyinfra's form
    """Reboots the machine where something needs it, or says that it waits."""
    reasons = host.get_fact(RebootNeeded)
    if not reasons:
        host.noop("nothing needs a reboot")
    elif postpone:
        logger.warning(f"{host.print_prefix}Postponed: reboot for {', '.join(reasons)}")
    else:
        yield FunctionCommand(carefully, (reboot, f"reboot for {', '.join(reasons)}"), {})


def carefully(state: State, host: Host, change: Callable[[Host], str | None], title: str) -> bool:
    """Changes a machine, unless an earlier one failed, and waits until it is as well as before.

    Args:
        state: pyinfra's, which asks for it.
        host: the machine.
        change: what to do; returns why it failed, None where it did not.
        title: what it is, for people.

    Returns:
        Whether the machine is well; where it is not, the machines after it are left alone.
    """
    del state
    if _lab.failed is not None:
        logger.error(f"{host.print_prefix}Left alone: {_lab.failed} is not well ({title} waits)")
        return False
    before = host.get_fact(HealthFact)
    logger.info(f"{host.print_prefix}Begins: {title}")
    trouble = change(host) or _settled(host, before)
    if trouble:
        _lab.failed = host.name
        logger.error(f"{host.print_prefix}Not well after {title}: {trouble}")
    return not trouble


def reboot(host: Host) -> str | None:
    """Reboots a machine and waits for its return; why it failed, or None."""
    before = host.get_fact(HealthFact).boot_id
    host.run_shell_command("( sleep 1; systemctl reboot ) </dev/null >/dev/null 2>&1 &", _sudo=True)
    deadline = time.monotonic() + BOOT_SECONDS
    gevent.sleep(LOOK_AGAIN_SECONDS)
    while time.monotonic() < deadline:
        if reconnect(host) and host.get_fact(HealthFact).boot_id not in {before, ""}:
            watch()
            return None
        gevent.sleep(LOOK_AGAIN_SECONDS)
    return f"it has not come back within {BOOT_SECONDS} s; look at its power and its screen"


def reconnect(host: Host) -> bool:
    """Makes a new connection in place of the one that the reboot cuts; whether it could."""
    if client := getattr(host.connector, "client", None):
        client.close()
    host.disconnect()
    host.connect(show_errors=False)
    return bool(host.connected)


def _settled(host: Host, before: Health) -> str | None:
    """Waits until all that ran runs again; what is missing when the time is over, or None."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while (missing := _missing(before, host.get_fact(HealthFact))) and time.monotonic() < deadline:
        gevent.sleep(LOOK_AGAIN_SECONDS)
    return "; ".join(missing) or None


def _missing(before: Health, now: Health) -> Sequence[str]:
    """What was well and is not."""
    units = sorted(now.failed_units - before.failed_units)
    containers = sorted(before.well_containers - now.well_containers)
    return [
        *(f"unit {unit} failed (systemctl status {unit})" for unit in units),
        *(f"container {name} is not healthy (docker logs {name})" for name in containers),
    ]
