"""Control groups: one per machine, with its memory and CPU limits, on version 1 and 2.

Without a group of its own, every machine's systemd would share one root in each hierarchy and
mistake the others' processes for its own. The groups also tell which processes are ours after a
crash, whatever became of the records.
"""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from inventory.errors import HearthError
from sandbox import process

ROOT = Path("/sys/fs/cgroup")
SELF = Path("/proc/self/cgroup")
PERIOD = 100_000
NEEDED = ("cpu", "memory", "pids")
# Version 2: what limits a machine's own services and containers; the rest stays as it is.
HANDED_ON = frozenset({"cpu", "cpuset", "io", "memory", "pids"})
# Version 2: the group within a part's group in which its first process runs.
FIRST = "first"


@dataclass(frozen=True)
class Hierarchy:
    """One mounted tree of groups, and the folder beneath which a lab's groups are made."""

    controllers: frozenset[str]
    parent: Path


@dataclass(frozen=True)
class Usage:
    """What a machine holds, in bytes; files it could give back are not counted."""

    used: int
    limit: int


def version(root: Path = ROOT) -> int:
    """2 on a unified host, else 1 (also when version 2 is mounted beside it)."""
    return 2 if (root / "cgroup.controllers").exists() else 1


def hierarchies(root: Path = ROOT, own: Path = SELF) -> list[Hierarchy]:
    """The trees in which a lab needs groups.

    Version 2 has one, and the lab lies at its top: only there may a group have both processes
    and children. Version 1 has one per controller, and the lab lies under this process's own.
    """
    if version(root) == 2:  # noqa: PLR2004 - the number of the interface
        controllers = frozenset((root / "cgroup.controllers").read_text().split())
        return [Hierarchy(controllers, root)]
    return [
        Hierarchy(frozenset(names), parent(mount, path))
        for names, path in entries(own)
        if (mount := mount_of(root, names)) is not None
    ]


def entries(own: Path) -> list[tuple[tuple[str, ...], str]]:
    """The lines of /proc/self/cgroup: controllers and path."""
    lines = (line.split(":", 2) for line in own.read_text().splitlines())
    return [(tuple(names.split(",")), path) for _, names, path in lines]


def mount_of(root: Path, names: tuple[str, ...]) -> Path | None:
    """Where the hierarchy of these controllers is mounted ("" is version 2 beside version 1)."""
    joined = ",".join(names).removeprefix("name=") or "unified"
    for folder in (root / joined, *(root / name for name in names if name)):
        if folder.is_dir():
            return folder
    return None


def parent(mount: Path, path: str) -> Path:
    """This process's group; the top when it is not to be seen, as in a container."""
    folder = mount / path.lstrip("/")
    return folder if folder.is_dir() else mount


def available(root: Path = ROOT, own: Path = SELF) -> frozenset[str]:
    """The controllers that this host offers."""
    return frozenset().union(*(tree.controllers for tree in hierarchies(root, own)))


@dataclass(frozen=True)
class Group:
    """The group of one part of a lab, in every hierarchy.

    Args:
        lab: The lab's name in the group tree.
        name: The part's name.
        root: Where groups are mounted.
        own: This process's memberships.
    """

    lab: str
    name: str
    root: Path = ROOT
    own: Path = SELF

    def create(self) -> list[Path]:
        """Make the group and return the folders to join, by a pid in each one's `cgroup.procs`.

        Version 2 has one, within the group: a group hands its controllers on, and a machine
        needs them, only while no process is in the group itself.
        """
        return [self._create_in(tree) for tree in hierarchies(self.root, self.own)]

    def _create_in(self, tree: Hierarchy) -> Path:
        above = tree.parent / self.lab
        folder = above / self.name
        if version(self.root) == 2:  # noqa: PLR2004
            for outer, inner in ((tree.parent, above), (above, folder), (folder, folder / FIRST)):
                delegate(outer, tree.controllers & HANDED_ON)
                inner.mkdir(exist_ok=True)
            return folder / FIRST
        for made in (above, folder):
            made.mkdir(exist_ok=True)
            if "cpuset" in tree.controllers:
                inherit_cpuset(made)
        return folder

    def limit(self, memory_bytes: int, cpus: float) -> None:
        """Set the group's limits."""
        quota = int(cpus * PERIOD)
        for folder in self.folders():
            if version(self.root) == 2:  # noqa: PLR2004
                (folder / "memory.max").write_text(str(memory_bytes))
                (folder / "cpu.max").write_text(f"{quota} {PERIOD}")
                continue
            if (file := folder / "memory.limit_in_bytes").exists():
                file.write_text(str(memory_bytes))
            if (file := folder / "cpu.cfs_quota_us").exists():
                (folder / "cpu.cfs_period_us").write_text(str(PERIOD))
                file.write_text(str(quota))

    def folders(self) -> list[Path]:
        """The group's folders, wherever an earlier run made them."""
        return [
            above / self.name for above in labs(self.lab, self.root) if (above / self.name).is_dir()
        ]

    def usage(self) -> Usage | None:
        """The group's memory, or None when it does not exist."""
        for folder in self.folders():
            if (current := folder / "memory.current").exists():
                limit = (folder / "memory.max").read_text().strip()
                return Usage(
                    held(folder, current, "inactive_file"), 0 if limit == "max" else int(limit)
                )
            if (current := folder / "memory.usage_in_bytes").exists():
                limit = (folder / "memory.limit_in_bytes").read_text()
                return Usage(held(folder, current, "total_inactive_file"), int(limit))
        return None

    def pids(self) -> set[int]:
        """Every process in the group and beneath it."""
        return set().union(*(pids_beneath(folder) for folder in self.folders()))

    def kill(self, seconds: float = 20.0) -> None:
        """Kill every process in the group, as a power cut would, and wait until they are gone.

        Raises:
            HearthError: Some outlived the time.
        """
        deadline = time.monotonic() + seconds
        while pids := self.pids():
            for pid in pids:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            for pid in pids:
                process.wait_for_end(pid, max(0.0, deadline - time.monotonic()))
            if time.monotonic() > deadline:
                raise HearthError(
                    f"{self.lab}/{self.name}: processes outlive a kill ({sorted(pids)}); "
                    "look what they wait for"
                )

    def remove(self) -> None:
        """Kill what is left in the group and remove it, nested groups first."""
        self.kill()
        for folder in self.folders():
            remove_groups(folder)


def labs(lab: str, root: Path = ROOT) -> list[Path]:
    """A lab's folders in every hierarchy."""
    found = []
    for folder, names, _ in os.walk(root):
        if lab in names:
            found.append(Path(folder) / lab)
        # A lab's own tree is deep and holds no other lab.
        names[:] = [name for name in names if not name.startswith("hearth.")]
    return found


def groups(lab: str, root: Path = ROOT) -> set[str]:
    """The names of the groups that a lab has."""
    return {entry.name for above in labs(lab, root) for entry in above.iterdir() if entry.is_dir()}


def remove_lab(lab: str, root: Path = ROOT) -> None:
    """Kill every process of a lab and remove its groups."""
    for name in groups(lab, root):
        Group(lab, name, root).remove()
    for above in labs(lab, root):
        remove_groups(above)


def delegate(folder: Path, controllers: frozenset[str]) -> None:
    """Version 2: let the groups beneath a folder have controllers of their own.

    Raises:
        HearthError: The kernel refuses, as in a container whose own processes are in the way.
    """
    wanted = " ".join(f"+{name}" for name in sorted(controllers))
    try:
        (folder / "cgroup.subtree_control").write_text(wanted)
    except OSError as error:
        raise HearthError(
            f"{folder}: cannot hand on the controllers {wanted} ({error.strerror}); "
            "run on the host itself, or move this container's processes into a group beneath it"
        ) from error


def inherit_cpuset(folder: Path) -> None:
    """Version 1: an empty cpuset admits no process; take the parent's, and let children do so."""
    (folder / "cgroup.clone_children").write_text("1")
    for name in ("cpuset.cpus", "cpuset.mems"):
        if not (folder / name).read_text().strip():
            (folder / name).write_text((folder.parent / name).read_text())


def held(folder: Path, current: Path, reclaimable: str) -> int:
    """A group's memory without the file pages that the kernel would drop first."""
    for line in (folder / "memory.stat").read_text().splitlines():
        name, _, value = line.partition(" ")
        if name == reclaimable:
            return max(0, int(current.read_text()) - int(value))
    return int(current.read_text())


def pids_beneath(folder: Path) -> set[int]:
    """The processes of a group and of those nested in it."""
    found: set[int] = set()
    for nested, _, _ in os.walk(folder):
        with suppress(FileNotFoundError, OSError):
            found.update(map(int, (Path(nested) / "cgroup.procs").read_text().split()))
    return found


def remove_groups(folder: Path, seconds: float = 5.0) -> None:
    """Remove a group and those nested in it; only a group's folder is removed, never a file."""
    deadline = time.monotonic() + seconds
    for nested, _, _ in os.walk(folder, topdown=False):
        while True:
            try:
                Path(nested).rmdir()
            except FileNotFoundError:
                break
            except OSError as error:
                # The kernel lets go of a killed process a moment after its end is announced.
                if time.monotonic() > deadline:
                    raise HearthError(
                        f"{nested}: cannot be removed ({error.strerror}); see its cgroup.procs"
                    ) from error
            else:
                break
