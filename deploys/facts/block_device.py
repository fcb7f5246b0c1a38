"""What is on a disk."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from pyinfra.api import FactBase


@dataclass(frozen=True, slots=True)
class Disk:
    """A block device.

    Attributes:
        file_system: its type, `ext4`; empty where there is none.
        empty: whether there is no signature of anything on it.
    """

    file_system: str
    empty: bool


class BlockDevice(FactBase[Disk | None]):
    """What is on a disk; None where there is no such disk."""

    def command(self, device: str) -> str:
        name = shlex.quote(device)
        return (
            f"[ -b {name} ] || exit 0; echo disk; wipefs --noheadings --output TYPE {name}; "
            f"lsblk --noheadings --output NAME {name} | sed 1d"
        )

    def process(self, output: list[str]) -> Disk | None:
        signatures = [line.strip() for line in output[1:] if line.strip()]
        file_system = signatures[0] if len(signatures) == 1 else ""
        return Disk(file_system, empty=not signatures)
