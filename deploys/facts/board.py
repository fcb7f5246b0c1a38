"""How a board feels: how hot it is, and whether its power supply keeps up."""

from __future__ import annotations

from dataclasses import dataclass

from pyinfra.api import FactBase

_FLAGS = ("undervoltage", "frequency capped", "throttled", "soft temperature limit")
"""Bits 0 to 3 of what the Raspberry Pi's firmware reports; 16 to 19 are the same, since boot."""
_SINCE_BOOT = 16
_CPU = ("cpu", "x86_pkg")


@dataclass(frozen=True, slots=True)
class BoardHealth:
    """A board's heat and power.

    Attributes:
        celsius: the processor's temperature; None where no sensor tells.
        now: what the firmware of a Raspberry Pi complains of at this moment.
        since_boot: what it has complained of since it started.
    """

    celsius: float | None
    now: tuple[str, ...] = ()
    since_boot: tuple[str, ...] = ()


class BoardFact(FactBase[BoardHealth | None]):
    """Reads a `BoardHealth`; None where nothing could be read."""

    def command(self) -> str:
        return (
            "for zone in /sys/class/thermal/thermal_zone*; do "
            'echo "zone=$(cat "$zone/type" 2>/dev/null) $(cat "$zone/temp" 2>/dev/null)"; done; '
            "{ vcgencmd get_throttled || sudo -n vcgencmd get_throttled; } 2>/dev/null; true"
        )

    def process(self, output: list[str]) -> BoardHealth:
        flags = next((int(li.split("=")[1], 16) for li in output if li.startswith("throttled=")), 0)
        return BoardHealth(
            celsius=max(filter(None, map(_celsius, output)), default=None),
            now=_named(flags),
            since_boot=_named(flags >> _SINCE_BOOT),
        )


def _celsius(line: str) -> float | None:
    """A processor's `zone=<type> <thousandths>`; a Jetson's PMIC says 100 degrees at any time."""
    name, _, value = line.removeprefix("zone=").partition(" ")
    return int(value) / 1000 if name.lower().startswith(_CPU) and value.isdigit() else None


def _named(flags: int) -> tuple[str, ...]:
    return tuple(name for bit, name in enumerate(_FLAGS) if flags >> bit & 1)
