"""Who the login is, and whether it may become root without being asked for a password."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, cast

from pyinfra.api import FactBase

Sudo = Literal["yes", "no", "absent"]


@dataclass(frozen=True, slots=True)
class Access:
    """What a login may do.

    Attributes:
        user: its name on the machine.
        sudo: whether sudo works without a password, or is not installed.
    """

    user: str
    sudo: Sudo


class AccessFact(FactBase[Access | None]):
    """Reads an `Access`; None where nothing could be read."""

    def command(self) -> str:
        return (
            'echo "user=$(id -un)"; '
            "if ! command -v sudo >/dev/null; then echo sudo=absent; "
            "elif sudo -n true 2>/dev/null; then echo sudo=yes; else echo sudo=no; fi"
        )

    def process(self, output: list[str]) -> Access:
        said = dict(line.split("=", 1) for line in output if "=" in line)
        return Access(user=said["user"], sudo=cast("Sudo", said["sudo"]))
