"""Who listens on which TCP port."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pyinfra.api import FactBase

_PROCESS = re.compile(r'users:\(\("([^"]+)"')
_KERNEL_LISTENS = "0A"


@dataclass(frozen=True, slots=True, order=True)
class Listener:
    """A program that listens.

    Attributes:
        port: on some address of the machine.
        process: its name; empty where it could not be seen.
    """

    port: int
    process: str


class PortsFact(FactBase[list[Listener] | None]):
    """Reads every `Listener`, by port; None where nothing could be read."""

    def command(self) -> str:
        # Only root sees whose port it is.
        return (
            "sudo -n ss -H -ltnp 2>/dev/null || ss -H -ltnp 2>/dev/null "
            "|| cat /proc/net/tcp /proc/net/tcp6 2>/dev/null; true"
        )

    def process(self, output: list[str]) -> list[Listener]:
        read = (_from_ss(line) or _from_kernel(line) for line in output)
        return sorted({listener for listener in read if listener})


def _from_ss(line: str) -> Listener | None:
    """`LISTEN 0 128 0.0.0.0:22 0.0.0.0:* users:(("sshd",pid=46,fd=3))`."""
    if not line.startswith("LISTEN"):
        return None
    process = _PROCESS.search(line)
    return Listener(int(line.split()[3].rpartition(":")[2]), process[1] if process else "")


def _from_kernel(line: str) -> Listener | None:
    """`0: 00000000:0016 00000000:0000 0A ...`: local and remote end in hex, and the state."""
    _, local, _, state = [*line.split()[:4], "", "", "", ""][:4]
    return Listener(int(local.rpartition(":")[2], 16), "") if state == _KERNEL_LISTENS else None
