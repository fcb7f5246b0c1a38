"""Which ports answer, seen from outside the lab and from each of its hosts."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import TYPE_CHECKING, NamedTuple

from inventory.units import Protocol
from smoke import dial
from smoke.shell import run, run_on

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from smoke.access import Access


class Target(NamedTuple):
    """A port of an address."""

    address: IPv4Address
    port: int
    protocol: Protocol = "tcp"


_AT_ONCE = 32
_TIMEOUT_S = 2
_DONE = "probed"
_PROBE = (
    f'probe() {{ timeout {_TIMEOUT_S} bash -c ": </dev/tcp/$1/$2" 2>/dev/null && echo "$1 $2"; }}'
)
_ASK = f"""ask() {{
    for try in $(seq {dial.TRIES}); do
        said=$(timeout {_TIMEOUT_S / dial.TRIES:g} bash -c '
            exec 3<>/dev/udp/$0/$1 && printf "$2" >&3 && head -c {dial.LOOKED_AT} <&3 | od -An -tx1
        ' "$1" "$2" "$3" 2>/dev/null)
        if [ -n "$said" ]; then echo "$1 $2" $said; return; fi
    done
}}"""


@dataclass(frozen=True)
class Sight:
    """What one source could connect to.

    Args:
        opened: The targets that accepted, or answered.
        fault: Why nothing could be tried; then `opened` says nothing.
    """

    opened: frozenset[Target] = frozenset()
    fault: str = ""


async def from_outside(access: Access, targets: Iterable[Target]) -> Sight:
    """Dial from outside, all in one process."""
    command = (*access.connect_command, sys.executable, "-I", str(dial.__file__))
    wanted = json.dumps([(str(address), *rest) for address, *rest in targets])
    output, fault = await run(command, wanted)
    if fault:
        return Sight(fault=fault)
    found = json.loads(output)
    return Sight(frozenset(Target(IPv4Address(address), *rest) for address, *rest in found))


async def from_host(access: Access, host: str, targets: Sequence[Target]) -> Sight:
    """Dial from a host of the lab, all in one ssh session."""
    output, fault = await run_on(access, host, host_script(targets))
    *lines, last = output.splitlines() or [""]
    if fault or last != _DONE:
        return Sight(fault=fault or "the probe did not finish")
    return Sight(frozenset(target for line in lines if (target := read_target(line))))


def host_script(targets: Sequence[Target]) -> str:
    """A bash program that prints `address port` of what accepts; 32 are tried at once.

    Of UDP it prints the first bytes of what answers as well, in hexadecimal digits.
    """
    lines = [_PROBE, _ASK]
    for count, (address, port, protocol) in enumerate(targets, start=1):
        if protocol == "udp":
            query = "".join(f"\\x{byte:02x}" for byte in dial.QUERIES[port])
            lines.append(f"ask {address} {port} '{query}' &")
        else:
            lines.append(f"probe {address} {port} &")
        if count % _AT_ONCE == 0:
            lines.append("wait")
    return "\n".join([*lines, "wait", f"echo {_DONE}", ""])


def read_target(line: str) -> Target | None:
    """What a line of the program's says; None where what was said is no answer."""
    address, port, *said = line.split()
    if not said:
        return Target(IPv4Address(address), int(port))
    if dial.is_answer(int(port), bytes.fromhex("".join(said))):
        return Target(IPv4Address(address), int(port), "udp")
    return None
