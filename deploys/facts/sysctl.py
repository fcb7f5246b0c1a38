"""Kernel settings that some services ask of their host."""

from __future__ import annotations

from pyinfra.api import FactBase

from inventory.services import KINDS

SETTINGS = sorted({name for kind in KINDS.values() for name in kind.sysctls})


class SysctlFact(FactBase[dict[str, int] | None]):
    """Reads every setting that a service of the catalogue asks for, by name."""

    def command(self) -> str:
        # sysctl itself is not on every machine, nor on every user's PATH.
        files = (f"sed 's/^/{s}=/' /proc/sys/{s.replace('.', '/')}" for s in SETTINGS)
        return "; ".join([*files, "true"])

    def process(self, output: list[str]) -> dict[str, int]:
        pairs = (line.split("=", 1) for line in output if "=" in line)
        return {name: int(value) for name, value in pairs}
