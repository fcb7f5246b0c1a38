"""Control groups: whether the kernel can hold a container to its memory limit."""

from __future__ import annotations

from dataclasses import dataclass

from pyinfra.api import FactBase

_OFF, _ON = "cgroup_disable=memory", {"cgroup_enable=memory", "cgroup_memory=1"}


@dataclass(frozen=True, slots=True)
class Cgroups:
    """The kernel's control groups.

    Attributes:
        version: 2, or 1 where containers are held by the older hierarchies.
        memory: whether memory limits are kept; where not, Docker ignores them without a word.
        switched_off: whether the kernel's command line is what turns them off.
    """

    version: int
    memory: bool
    switched_off: bool = False


class CgroupsFact(FactBase[Cgroups | None]):
    """Reads a `Cgroups`; None where nothing could be read."""

    def command(self) -> str:
        return (
            "sed 's/^/v2=/' /sys/fs/cgroup/cgroup.controllers 2>/dev/null; "
            # `memory <hierarchy> <groups> <enabled>`, between tabs
            "grep '^memory' /proc/cgroups | sed 's/^/v1=/'; "
            "sed 's/^/cmdline=/' /proc/cmdline"
        )

    def process(self, output: list[str]) -> Cgroups:
        said = dict(line.split("=", 1) for line in output if "=" in line)
        memory = (
            "memory" in said["v2"].split() if "v2" in said else said.get("v1", "").endswith("1")
        )
        # The firmware's word comes first, and the last one counts.
        words = said.get("cmdline", "").split()
        after = words[words.index(_OFF) :] if _OFF in words else []
        return Cgroups(
            version=2 if "v2" in said else 1,
            memory=memory,
            switched_off=bool(after) and not _ON.intersection(after),
        )
