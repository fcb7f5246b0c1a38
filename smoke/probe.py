"""Which ports can be connected to, seen from outside the lab and from each of its hosts."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import TYPE_CHECKING

from smoke import dial
from smoke.shell import run, run_on

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from smoke.access import Access

Target = tuple[IPv4Address, int]

_AT_ONCE = 32
_TIMEOUT_S = 2
_DONE = "probed"
_PROBE = (
    f'probe() {{ timeout {_TIMEOUT_S} bash -c ": </dev/tcp/$1/$2" 2>/dev/null && echo "$1 $2"; }}'
)


@dataclass(frozen=True)
class Sight:
    """What one source could connect to.

    Args:
        opened: The targets that accepted.
        fault: Why nothing could be tried; then `opened` says nothing.
    """

    opened: frozenset[Target] = frozenset()
    fault: str = ""


async def from_outside(access: Access, targets: Iterable[Target]) -> Sight:
    """Dial from outside, all in one process."""
    command = (*access.connect_command, sys.executable, "-I", str(dial.__file__))
    wanted = json.dumps([(str(address), port) for address, port in targets])
    output, fault = await run(command, wanted)
    if fault:
        return Sight(fault=fault)
    return Sight(frozenset((IPv4Address(address), port) for address, port in json.loads(output)))


async def from_host(access: Access, host: str, targets: Sequence[Target]) -> Sight:
    """Dial from a host of the lab, all in one ssh session."""
    output, fault = await run_on(access, host, host_script(targets))
    *lines, last = output.splitlines() or [""]
    if fault or last != _DONE:
        return Sight(fault=fault or "the probe did not finish")
    return Sight(frozenset(_target(line) for line in lines))


def host_script(targets: Sequence[Target]) -> str:
    """A bash program that prints `address port` of what accepts; 32 are tried at once."""
    lines = [_PROBE]
    for count, (address, port) in enumerate(targets, start=1):
        lines.append(f"probe {address} {port} &")
        if count % _AT_ONCE == 0:
            lines.append("wait")
    return "\n".join([*lines, "wait", f"echo {_DONE}", ""])


def _target(line: str) -> Target:
    address, _, port = line.partition(" ")
    return IPv4Address(address), int(port)
