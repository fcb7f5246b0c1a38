"""The instance types that an environment may name: what they have, not what they cost.

Source: the types' pages in Amazon's documentation, as of 2026-11. Memory as it is sold, in GiB of
1024^3 bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from inventory.hardware import Architecture
from inventory.units import GIB


@dataclass(frozen=True, slots=True)
class Gpu:
    """The accelerators of an instance type.

    Attributes:
        model: NVIDIA's name, in lower case, as Karpenter labels it.
        count: of them.
        memory_bytes: of each.
    """

    model: str
    count: int
    memory_bytes: int


@dataclass(frozen=True, slots=True)
class InstanceType:
    """A type of virtual machine.

    Attributes:
        cpus: virtual ones.
        memory_bytes: of the machine.
        architecture: of its processor.
        gpu: its accelerators, if any.
    """

    cpus: int
    memory_bytes: int
    architecture: Architecture = "amd64"
    gpu: Gpu | None = None


T4 = Gpu("t4", 1, 16 * GIB)
A10G = Gpu("a10g", 1, 24 * GIB)
L4 = Gpu("l4", 1, 24 * GIB)
L40S = Gpu("l40s", 1, 48 * GIB)

INSTANCE_TYPES: Mapping[str, InstanceType] = {
    "t4g.medium": InstanceType(2, 4 * GIB, "arm64"),
    "t4g.large": InstanceType(2, 8 * GIB, "arm64"),
    "m7g.large": InstanceType(2, 8 * GIB, "arm64"),
    "m7g.xlarge": InstanceType(4, 16 * GIB, "arm64"),
    "m7i.large": InstanceType(2, 8 * GIB),
    "m7i.xlarge": InstanceType(4, 16 * GIB),
    "g4dn.xlarge": InstanceType(4, 16 * GIB, gpu=T4),
    "g4dn.2xlarge": InstanceType(8, 32 * GIB, gpu=T4),
    "g4dn.4xlarge": InstanceType(16, 64 * GIB, gpu=T4),
    "g5.xlarge": InstanceType(4, 16 * GIB, gpu=A10G),
    "g5.2xlarge": InstanceType(8, 32 * GIB, gpu=A10G),
    "g5.4xlarge": InstanceType(16, 64 * GIB, gpu=A10G),
    "g6.xlarge": InstanceType(4, 16 * GIB, gpu=L4),
    "g6.2xlarge": InstanceType(8, 32 * GIB, gpu=L4),
    "g6.4xlarge": InstanceType(16, 64 * GIB, gpu=L4),
    "g6e.xlarge": InstanceType(4, 32 * GIB, gpu=L40S),
    "g6e.2xlarge": InstanceType(8, 64 * GIB, gpu=L40S),
}

DATABASE_CLASSES = (
    *("db.t4g.small", "db.t4g.medium", "db.t4g.large"),
    *("db.m7g.large", "db.m7g.xlarge", "db.r7g.large", "db.r7g.xlarge"),
)
CACHE_TYPES = (
    *("cache.t4g.micro", "cache.t4g.small", "cache.t4g.medium"),
    *("cache.m7g.large", "cache.r7g.large", "cache.r7g.xlarge"),
)


def with_gpu_memory(least_bytes: int, most_cpus: int) -> list[str]:
    """The types with one accelerator of at least so much memory, and no more processors than that.

    Sorted by name; a pool that takes any of them is seldom without a spot instance.
    """
    return sorted(
        name
        for name, kind in INSTANCE_TYPES.items()
        if kind.gpu and kind.gpu.memory_bytes >= least_bytes and kind.cpus <= most_cpus
    )
