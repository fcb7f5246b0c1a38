"""The state of many systemd units, read by one command."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from pyinfra.api import FactBase


@dataclass(frozen=True, slots=True)
class UnitState:
    """A systemd unit.

    Attributes:
        active: whether it runs, or has run as far as it is to.
        enabled: whether it starts at boot.
    """

    active: bool
    enabled: bool


class UnitStates(FactBase[dict[str, UnitState]]):
    """The state of each of the units that systemd can load, by name."""

    def command(self, names: Sequence[str]) -> str:
        quoted = " ".join(map(shlex.quote, names))
        return f"systemctl show --property=Id,LoadState,ActiveState,UnitFileState {quoted}"

    default = dict

    def process(self, output: list[str]) -> dict[str, UnitState]:
        units = {}
        said: dict[str, str] = {}
        for line in [*output, ""]:
            if line:
                key, _, value = line.partition("=")
                said[key] = value
            elif said:
                if said["LoadState"] == "loaded":
                    units[said["Id"]] = UnitState(
                        active=said["ActiveState"] == "active",
                        enabled=said["UnitFileState"] in {"enabled", "static", "alias"},
                    )
                said = {}
        return units
