"""How much memory there is, and how much of it nobody uses."""

from __future__ import annotations

from dataclasses import dataclass

from pyinfra.api import FactBase

from inventory.units import KIB


@dataclass(frozen=True, slots=True)
class Memory:
    """A machine's memory.

    Attributes:
        total_bytes: what the machine may use: the kernel's, or a container's share of it.
        available_bytes: what programs could still get without swapping.
        swap_bytes: swap space, compressed memory included.
    """

    total_bytes: int
    available_bytes: int
    swap_bytes: int


class MemoryFact(FactBase[Memory | None]):
    """Reads a `Memory`; None where nothing could be read."""

    def command(self) -> str:
        return (
            "grep -E '^(MemTotal|MemAvailable|SwapTotal):' /proc/meminfo; "
            # A container's share; on a machine of its own it is `max`, or no number to reach.
            "for limit in memory.max memory/memory.limit_in_bytes; "
            'do sed "s/^/limit: /" "/sys/fs/cgroup/$limit" 2>/dev/null; done; true'
        )

    def process(self, output: list[str]) -> Memory:
        said = dict(line.split(":", 1) for line in output if ":" in line)
        kernel = {key: int(value.split()[0]) * KIB for key, value in said.items() if "kB" in value}
        limit = said.get("limit", "").strip()
        total = min(kernel["MemTotal"], int(limit)) if limit.isdigit() else kernel["MemTotal"]
        return Memory(
            total_bytes=total,
            available_bytes=min(kernel["MemAvailable"], total),
            swap_bytes=kernel["SwapTotal"],
        )
