"""What time a machine thinks it is, and whether anybody corrects it."""

from __future__ import annotations

from dataclasses import dataclass

from pyinfra.api import FactBase


@dataclass(frozen=True, slots=True)
class Clock:
    """A machine's clock.

    Attributes:
        epoch: seconds since 1970, when it was asked.
        synchronized: whether it follows a time server; None where nothing there can tell.
    """

    epoch: float
    synchronized: bool | None


class ClockFact(FactBase[Clock | None]):
    """Reads a `Clock`; None where nothing could be read."""

    def command(self) -> str:
        return (
            "date +epoch=%s.%N; "
            # `timedatectl show` is younger than Ubuntu 18.04, its table is not.
            "LC_ALL=C timedatectl 2>/dev/null "
            "| sed -n 's/^.*synchronized: *\\([a-z]*\\)$/timedatectl=\\1/p'; "
            "LC_ALL=C chronyc -n tracking 2>/dev/null "
            "| sed -n 's/^Leap status *: */chrony=/p'; true"
        )

    def process(self, output: list[str]) -> Clock:
        said = dict(line.split("=", 1) for line in output if "=" in line)
        told = {said[key] for key in ("timedatectl", "chrony") if key in said}
        return Clock(
            epoch=float(said["epoch"]),
            synchronized=bool(told & {"yes", "Normal"}) if told else None,
        )
