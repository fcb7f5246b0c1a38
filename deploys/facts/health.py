"""How well a machine is: what it runs, and what of it has failed."""

from __future__ import annotations

from dataclasses import dataclass

from pyinfra.api import FactBase

ESSENTIAL = ("ssh", "docker", "containerd", "chrony")
"""Services without which a machine is of no use, where it has them."""


@dataclass(frozen=True, slots=True)
class Health:
    """A machine's state at a moment.

    Attributes:
        boot_id: changes with every boot.
        failed_units: systemd's.
        running_units: the essential ones that run.
        well_containers: running, and healthy where they have a health check.
    """

    boot_id: str = ""
    failed_units: frozenset[str] = frozenset()
    running_units: frozenset[str] = frozenset()
    well_containers: frozenset[str] = frozenset()


class HealthFact(FactBase[Health]):
    """Reads a machine's `Health`."""

    def command(self) -> str:
        return (
            "echo boot $(cat /proc/sys/kernel/random/boot_id); "
            "systemctl list-units --state=failed --plain --no-legend | "
            "while read -r unit _; do echo failed $unit; done; "
            f"for unit in {' '.join(ESSENTIAL)}; do "
            "systemctl -q is-active $unit && echo running $unit; done; "
            "docker ps --format 'container {{.Names}} {{.Status}}' 2>/dev/null; true"
        )

    default = Health

    def process(self, output: list[str]) -> Health:
        said = [line.split(maxsplit=2) for line in output if line.strip()]
        return Health(
            boot_id=next(words[1] for words in said if words[0] == "boot"),
            failed_units=frozenset(words[1] for words in said if words[0] == "failed"),
            running_units=frozenset(words[1] for words in said if words[0] == "running"),
            well_containers=frozenset(
                words[1]
                for words in said
                if words[0] == "container"
                and words[2].startswith("Up")
                and not words[2].endswith(("(unhealthy)", "(health: starting)"))
            ),
        )
