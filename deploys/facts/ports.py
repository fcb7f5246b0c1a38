"""Who listens on which port, of TCP and of UDP."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address

from pyinfra.api import FactBase

from inventory.units import Protocol

_PROCESS = re.compile(r'users:\(\("([^"]+)",pid=(\d+)')
_CONTAINED = "container="
_FROM_SS: dict[str, Protocol] = {"tcp": "tcp", "udp": "udp"}
_FROM_KERNEL: dict[str, Protocol] = {"0A": "tcp", "07": "udp"}
"""The states of what waits for somebody; UDP's is that of a closed TCP connection, which has no
socket."""
_ALL_ADDRESSES = ("0.0.0.0", "*", "[::]", "::")  # noqa: S104 - as it is written, not listened on


@dataclass(frozen=True, slots=True, order=True)
class Listener:
    """A program that listens.

    Attributes:
        port: its number.
        protocol: what it speaks there.
        address: the machine's that it listens on; empty for all of them.
        process: its name; empty where it could not be seen.
        contained: whether that runs in a container, on its machine's own network.
    """

    port: int
    protocol: Protocol
    address: str
    process: str
    contained: bool = False


class PortsFact(FactBase[list[Listener] | None]):
    """Reads every `Listener`, by port; None where nothing could be read."""

    def command(self) -> str:
        # Only root sees whose port it is.
        return (
            "if found=$(sudo -n ss -H -ltunp 2>/dev/null || ss -H -ltunp 2>/dev/null); then "
            'echo "$found"; for pid in $(echo "$found" | grep -o "pid=[0-9]*" | sort -u); do '
            'grep -qs docker "/proc/${pid#pid=}/cgroup" && '
            f'echo "{_CONTAINED}${{pid#pid=}}"; done; else '
            "cat /proc/net/tcp /proc/net/tcp6 /proc/net/udp /proc/net/udp6 2>/dev/null; fi; true"
        )

    def process(self, output: list[str]) -> list[Listener]:
        marked = (line for line in output if line.startswith(_CONTAINED))
        contained = {line.removeprefix(_CONTAINED) for line in marked}
        read = (_from_ss(line, contained) or _from_kernel(line) for line in output)
        return sorted({listener for listener in read if listener})


def _from_ss(line: str, contained: set[str]) -> Listener | None:
    """`tcp LISTEN 0 128 0.0.0.0:22 0.0.0.0:* users:(("sshd",pid=46,fd=3))`."""
    protocol, _, _, _, local = [*line.split()[:5], "", "", "", "", ""][:5]
    if protocol not in _FROM_SS:
        return None
    address, _, port = local.rpartition(":")
    process = _PROCESS.search(line)
    name, pid = process.groups() if process else ("", "")
    return Listener(int(port), _FROM_SS[protocol], _address(address), name, pid in contained)


def _from_kernel(line: str) -> Listener | None:
    """`0: 00000000:0016 00000000:0000 0A ...`: local and remote end in hex, and the state."""
    _, local, _, state = [*line.split()[:4], "", "", "", ""][:4]
    if state not in _FROM_KERNEL:
        return None
    address, _, port = local.rpartition(":")
    return Listener(int(port, 16), _FROM_KERNEL[state], _address(_unpacked(address)), "")


def _address(written: str) -> str:
    """Without the interface that `ss` adds; empty for all addresses."""
    address = written.partition("%")[0]
    return "" if address in _ALL_ADDRESSES else address


def _unpacked(packed: str) -> str:
    """An address as people write it; one of IPv6, unless it is all of them, as the kernel does."""
    if not packed.strip("0"):
        return "0.0.0.0"  # noqa: S104 - as it is written, not listened on
    if len(packed) > 8:  # noqa: PLR2004 - hexadecimal digits of an IPv4 address
        return packed
    return str(IPv4Address(bytes.fromhex(packed)[::-1]))
