"""The lab's image registry: Debian's docker-registry over what the cache already holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox import network, rootfs
from sandbox.parts import Part

if TYPE_CHECKING:
    from pathlib import Path

    from sandbox.plan import LabPlan

NAME = "registry"


def part(plan: LabPlan) -> Part:
    """The registry as a running part."""
    return Part(plan, NAME)


def start(plan: LabPlan, storage: Path) -> None:
    """Start the registry in the lab's namespace unless it runs; the lab can only read from it."""
    registry = part(plan)
    if registry.running() and serves(plan):
        return
    registry.stop()
    root = plan.state / "registry-root"
    root.mkdir(parents=True, exist_ok=True)
    storage.mkdir(parents=True, exist_ok=True)
    groups = registry.group.create()
    registry.start(
        [
            *("nsenter", f"--net={network.NAMESPACES / plan.namespace}"),
            *("unshare", "--mount", "--propagation", "slave"),
            *("sh", str(rootfs.script_file("serve-registry.sh"))),
            *(rootfs.stack(rootfs.REGISTRY), str(root), str(storage)),
            *(":".join(map(str, groups)), f"{plan.registry}:{plan.registry_port}"),
        ]
    )
    registry.wait_until(lambda: serves(plan), seconds=20)


def serves(plan: LabPlan) -> bool:
    """Whether the registry takes connections."""
    return network.accepts(plan.namespace, plan.registry, plan.registry_port)
