"""A lab from up to down."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from inventory.errors import HearthError
from sandbox import cgroup, forward, images, network, nodes, process, registry, requirements, rootfs
from sandbox.files import locked, remove_tree, write_whole
from sandbox.machine import Machine, layer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager
    from ipaddress import IPv4Address
    from pathlib import Path

    from sandbox.plan import LabPlan, Progress


@dataclass(frozen=True)
class MachineStatus:
    """How one machine is.

    Args:
        name: Its name.
        address: Its address.
        running: Whether its init runs.
        ssh: Whether its ssh server answers.
        memory_used_bytes: What it holds, without reclaimable file pages.
        memory_limit_bytes: Its limit.
        uptime: Seconds since its power came on.
    """

    name: str
    address: IPv4Address
    running: bool
    ssh: bool
    memory_used_bytes: int
    memory_limit_bytes: int
    uptime: float


@dataclass(frozen=True)
class LabStatus:
    """How a lab is: its machines, and whether its registry and its forwards serve."""

    machines: tuple[MachineStatus, ...]
    registry: bool
    forwards: bool


class Lab:
    """A lab on this computer; needs root.

    Args:
        plan: What it consists of.
    """

    def __init__(self, plan: LabPlan) -> None:
        self.plan = plan
        self.machines = tuple(Machine(plan, machine) for machine in plan.machines)

    def prepare(self, progress: Progress) -> None:
        """Build what is cached: root filesystems and images."""
        prepare(self.plan, progress)

    def up(self, progress: Progress) -> None:
        """Bring the lab up, or mend it; what already runs is left alone.

        Raises:
            HearthError: This computer lacks something, or a part does not start.
        """
        if not self.plan.authorized_key:
            raise HearthError(f"lab {self.plan.name}: no ssh key to admit; make one: ssh-keygen")
        requirements.require(self.plan)
        self.prepare(progress)
        with self._locked():
            self.plan.state.mkdir(parents=True, exist_ok=True)
            network.create_switch(self.plan)
            keys = [machine.host_key() for machine in self.machines]
            write_whole(self.plan.known_hosts, "".join(keys))
            self._boot_all(progress)

    def _boot_all(self, progress: Progress) -> None:
        """Start the registry, the forwards and every machine side by side."""

        def boot(machine: Machine) -> None:
            if machine.up():
                progress(f"{machine.machine.name} answers at {machine.machine.address}")

        side_by_side(
            [
                lambda: registry.start(self.plan, images.root()),
                lambda: forward.start(self.plan),
                *(partial(boot, machine) for machine in self.machines),
            ]
        )

    def down(self, progress: Progress) -> None:
        """Remove every trace of the lab, however much of it there is; the cache stays."""
        with self._locked():
            progress(f"stopping {self.plan.name}")
            side_by_side(
                [
                    cgroup.Group(self.plan.namespace, name).remove
                    for name in cgroup.groups(self.plan.namespace)
                ]
            )
            cgroup.remove_lab(self.plan.namespace)
            for namespace in network.names(self.plan):
                network.delete(namespace)
            remove_tree(self.plan.state)
            remove_tree(self.plan.disks)
            self._lock_file().unlink(missing_ok=True)
        remove_empty(self.plan.state.parent)
        remove_empty(self.plan.disks.parent)

    def status(self) -> LabStatus:
        """Look at every part of the lab."""
        with ThreadPoolExecutor() as threads:
            machines = tuple(threads.map(self._status_of, self.machines))
        switched = network.usable(self.plan.namespace)
        return LabStatus(
            machines=machines,
            registry=switched and registry.serves(self.plan),
            forwards=forward.part(self.plan).running() is not None,
        )

    def _status_of(self, machine: Machine) -> MachineStatus:
        """Look at one machine."""
        running = machine.part.running()
        usage = machine.part.group.usage() if running else None
        return MachineStatus(
            name=machine.machine.name,
            address=machine.machine.address,
            running=running is not None,
            ssh=running is not None and machine.answers(),
            memory_used_bytes=usage.used if usage else 0,
            memory_limit_bytes=usage.limit if usage else machine.machine.memory_bytes,
            uptime=process.uptime(running) if running else 0.0,
        )

    def images(self) -> dict[str, str]:
        """The images that the registry serves: kind to repository and tag.

        Raises:
            HearthError: They have not been built yet.
        """
        return images.references(images.kinds_of(self.plan.images))

    def stop_machine(self, name: str) -> None:
        """Cut a machine's power: everything in it is killed at once; its disk stays."""
        machine = self._find(name)
        with self._locked():
            machine.cut_power()

    def start_machine(self, name: str) -> None:
        """Boot a machine again and wait until its ssh answers."""
        machine = self._find(name)
        self.prepare(lambda _: None)
        with self._locked():
            machine.up()

    def _find(self, name: str) -> Machine:
        """The machine of that name."""
        return Machine(self.plan, self.plan.machine(name))

    def _lock_file(self) -> Path:
        """Beside the state, which `down` removes."""
        return self.plan.state.parent / f"{self.plan.name}.lock"

    def _locked(self) -> AbstractContextManager[None]:
        """One `up` or `down` of a lab at a time."""
        return locked(self._lock_file())


def prepare(plan: LabPlan, progress: Progress) -> None:
    """Build the lab's root filesystems and images that are not in the cache; slow, done once.

    Raises:
        HearthError: It names an image that is not built here, or a build failed.
    """
    kinds = images.kinds_of(plan.images)
    with locked(rootfs.cache_lock()):
        # Folders in a root filesystem must be readable to the users in it.
        umask = os.umask(0o022)
        try:
            build_all(plan, kinds, progress)
        finally:
            os.umask(umask)


def build_all(plan: LabPlan, kinds: Sequence[str], progress: Progress) -> None:
    """Build what is missing, the base first."""
    rootfs.sweep()
    # All programs at once: after each build Go's caches go.
    images.programs_of(kinds, nodes.PACKAGES if plan.cluster else (), progress)
    rootfs.build(rootfs.BASE, progress)
    machines = layer(plan, progress)
    side_by_side(
        [
            lambda: images.build_all(kinds, progress),
            partial(build_stack, machines, progress),
            partial(rootfs.build, rootfs.REGISTRY, progress),
        ]
    )


def build_stack(top: rootfs.Layer, progress: Progress) -> None:
    """Build a layer, those that it lies on first."""
    for part in reversed(top.stack):
        rootfs.build(part, progress)


def side_by_side(steps: Sequence[Callable[[], object]]) -> None:
    """Run steps at once and wait for all of them.

    Raises:
        HearthError: Everything that went wrong, one a line.
    """
    if not steps:
        return
    with ThreadPoolExecutor(max_workers=len(steps)) as threads:
        running = [threads.submit(step) for step in steps]
    failures = [error for step in running if (error := step.exception()) is not None]
    for error in failures:
        if not isinstance(error, HearthError):
            raise error
    if failures:
        raise HearthError("\n".join(map(str, failures)))


def remove_empty(folder: Path) -> None:
    """Remove a folder that no other lab uses; a disk mounted there stays."""
    if folder.is_dir() and not folder.is_mount() and not any(folder.iterdir()):
        folder.rmdir()
