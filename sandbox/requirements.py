"""What a computer needs to carry a lab, asked all at once, each lack with its remedy.

Kernel features are tried, in namespaces that end with the trial, rather than guessed.
"""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from inventory.errors import HearthError
from inventory.paths import cache_dir
from sandbox import cgroup, debian, images
from sandbox.command import run_logged, succeeds

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandbox.plan import LabPlan, Progress

# The command that shows that a Debian package is there.
TOOLS = {
    "systemd-nspawn": "systemd-container",
    "debootstrap": "debootstrap",
    "ip": "iproute2",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
    "nc": "netcat-openbsd",
    "nft": "nftables",
    "nsenter": "util-linux",
    "unshare": "util-linux",
    "setpriv": "util-linux",
    "sysctl": "procps",
    # Ollama is compiled here, and parts of it are C++.
    "g++": "g++",
}
# What fetches the jars of images that are Java programs.
JAVA_TOOLS = {"mvn": "maven"}
INOTIFY = Path("/proc/sys/fs/inotify/max_user_instances")
INOTIFY_PER_MACHINE = 9
INOTIFY_OTHERS = 64
INOTIFY_WANTED = 1024
MEMINFO = Path("/proc/meminfo")
IDLE_MACHINE_BYTES = 150 * 2**20
DISK_BYTES = 6 * 2**30
NEW_NAMESPACES = ("unshare", "--mount", "--net", "sh", "-euc")


@dataclass(frozen=True)
class Lack:
    """Something this computer lacks: what was found, and what to do."""

    subject: str
    found: str
    remedy: str

    def __str__(self) -> str:
        return f"host: {self.subject} ({self.found}); {self.remedy}"


def require(plan: LabPlan) -> None:
    """Raise inotify's limit where that is allowed, then check everything.

    Raises:
        HearthError: Everything that is lacking, one a line.
    """
    raise_inotify(plan)
    if lacking := check(plan):
        raise HearthError("\n".join(map(str, lacking)))


def check(plan: LabPlan) -> list[Lack]:
    """Everything that this computer lacks for a lab."""
    if basics := list(check_basics(plan)):
        return basics
    return [*check_groups(), *check_kernel(plan), *check_room(plan)]


def check_basics(plan: LabPlan) -> Iterator[Lack]:
    """Without these, the other questions cannot even be asked."""
    if platform.system() != "Linux":
        yield Lack("the sandbox runs on Linux only", platform.system(), "use a Linux computer")
        return
    if os.geteuid() != 0:
        yield Lack("root is needed", f"user id {os.geteuid()}", "run the command with sudo")
    if platform.machine() not in debian.ARCHITECTURES:
        yield Lack("no lab for this processor", platform.machine(), "use x86_64 or aarch64")
    if missing := missing_packages(plan):
        remedy = f"install them: apt-get install {' '.join(missing)}"
        yield Lack("programs are missing", ", ".join(missing_tools(plan)) or "keyring", remedy)


def tools(plan: LabPlan) -> dict[str, str]:
    """The programs that a lab needs, and the Debian package of each."""
    return TOOLS | (JAVA_TOOLS if images.need_jars(plan.images) else {})


def missing_tools(plan: LabPlan) -> list[str]:
    """The programs that are not on PATH."""
    return [tool for tool in tools(plan) if shutil.which(tool) is None]


def missing_packages(plan: LabPlan) -> list[str]:
    """The Debian packages that bring what is missing."""
    missing = {tools(plan)[tool] for tool in missing_tools(plan)}
    if not debian.KEYRING.exists():
        missing.add("debian-archive-keyring")
    return sorted(missing)


def install(plan: LabPlan, progress: Progress) -> None:
    """Install what is missing, on a host with apt.

    Raises:
        HearthError: There is no apt, or it fails.
    """
    missing = missing_packages(plan)
    if not missing:
        return
    listed = " ".join(missing)
    if shutil.which("apt-get") is None:
        raise HearthError(f"host: no apt-get to install with ({listed}); install these yourself")
    progress(f"installing {listed}")
    run_logged(["apt-get", "update", "-qq"], "apt-get update", "check the network")
    install_command = ["apt-get", "install", "-qq", "-y", "--no-install-recommends", *missing]
    run_logged(install_command, "apt-get install", "install the packages yourself")


def check_groups() -> Iterator[Lack]:
    """Control groups, of either version, with the controllers that limits need."""
    if not cgroup.ROOT.is_dir():
        yield Lack("no control groups", str(cgroup.ROOT), "mount cgroup2 there")
        return
    offered = cgroup.available()
    for name in cgroup.NEEDED:
        if name not in offered:
            yield Lack(
                "a controller is missing",
                f"{name}; version {cgroup.version()} offers {' '.join(sorted(offered - {''}))}",
                f"enable it on the kernel's command line (cgroup_enable={name})",
            )


def check_kernel(plan: LabPlan) -> Iterator[Lack]:
    """Overlay mounts, bridges and packet filters, each tried."""
    # Tried where `down` sweeps, should the trial be killed.
    plan.disks.mkdir(parents=True, exist_ok=True)
    if not overlay_works(plan.disks):
        yield Lack(
            "overlay mounts do not work",
            f"on the filesystem of {plan.disks}",
            "choose disks on ext4, xfs or btrfs, and load the module: modprobe overlay",
        )
    wires = "ip link add name lan0 type bridge; ip link add name left0 type veth peer name right0"
    if not succeeds(*NEW_NAMESPACES, wires):
        yield Lack(
            "no bridge or veth in a new network namespace",
            platform.release(),
            "load the modules: modprobe bridge veth",
        )
    if not succeeds(*NEW_NAMESPACES, "nft add table inet trial"):
        yield Lack(
            "no packet filter in a new network namespace",
            platform.release(),
            "load the module: modprobe nf_tables",
        )


def overlay_works(folder: Path) -> bool:
    """Whether an overlay with its upper folder here can be mounted and written."""
    with tempfile.TemporaryDirectory(prefix=".hearth-trial-", dir=folder) as trial:
        script = (
            f"cd {trial}; mkdir lower upper work root; "
            "mount -t overlay overlay -o lowerdir=lower,upperdir=upper,workdir=work root; "
            "echo > root/file"
        )
        return succeeds(*NEW_NAMESPACES, script)


def check_room(plan: LabPlan) -> Iterator[Lack]:
    """Memory, disk and inotify instances for the lab's machines."""
    count = len(plan.machines)
    free = free_memory()
    if free < count * IDLE_MACHINE_BYTES:
        yield Lack(
            "too little memory is free",
            f"{megabytes(free)} for {count} machines",
            f"free {megabytes(count * IDLE_MACHINE_BYTES)}, or boot fewer machines",
        )
    for folder in {nearest_folder(plan.disks), nearest_folder(cache_dir())}:
        if (room := shutil.disk_usage(folder).free) < DISK_BYTES:
            remedy = f"free {megabytes(DISK_BYTES)}"
            yield Lack(f"too little room in {folder}", megabytes(room), remedy)
    instances, needed = int(INOTIFY.read_text()), inotify_needed(plan)
    if instances < needed:
        yield Lack(
            "too few inotify instances",
            f"{instances} of {needed}",
            f"allow more: sysctl fs.inotify.max_user_instances={INOTIFY_WANTED}",
        )


def inotify_needed(plan: LabPlan) -> int:
    """The inotify instances of a lab's machines, and some for the others."""
    return INOTIFY_OTHERS + INOTIFY_PER_MACHINE * len(plan.machines)


def raise_inotify(plan: LabPlan, limit: Path = INOTIFY) -> None:
    """Allow enough inotify instances, where this process may; `check` tells when it may not."""
    # Other labs and their containers count against the same limit: leave room for them.
    if int(limit.read_text()) < max(INOTIFY_WANTED, inotify_needed(plan)) and os.access(
        limit, os.W_OK
    ):
        limit.write_text(str(max(INOTIFY_WANTED, inotify_needed(plan))))


def free_memory(meminfo: Path = MEMINFO) -> int:
    """Bytes that can be had without swapping."""
    for line in meminfo.read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return 0


def nearest_folder(path: Path) -> Path:
    """The path, or the nearest folder above it that exists."""
    return next(folder for folder in (path, *path.parents) if folder.is_dir())


def megabytes(size: int) -> str:
    """A size as people read it."""
    return f"{size / 2**20:.0f} MiB"
