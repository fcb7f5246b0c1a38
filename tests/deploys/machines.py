"""Machines of every board: as they were flashed, and with everything in its place."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping

import yaml

from inventory.loading import load
from inventory.paths import PROJECT
from tests.deploys.fake import Script
from tests.deploys.record import INSTALL, Put, Run

BOARDS = "tests/sites/valid/boards.yaml"
SANDBOX = "tests/sites/valid/boards-sandbox.yaml"
CLUSTER = "tests/sites/valid/cluster.yaml"
CLUSTER_VMS = "tests/sites/valid/cluster-vms.yaml"
RECORDED = PROJECT / "tests" / "deploys" / "recorded"

TRIXIE = {"pi5-trixie": "pi5", "pi4-trixie": "pi4"}
"""Boards of which Debian 12 was recorded, and that have Debian 13 here."""

# What facts ask, by words that no other question has.
MACHINE, HEALTH, REBOOT = "nv_tegra_release", "random/boot_id", "[ -e /run/reboot-required ]"
UNITS, FILES, PACKAGES, HALF_INSTALLED = "systemctl show", "%a %U:%G", "dpkg -l", "dpkg --audit"
UPGRADABLE, DISK, COMMAND_LINE = "--with-new-pkgs upgrade | sed", "[ -b", "/boot/cmdline.txt"
ACCOUNT = "getent passwd"

FIRMWARE = "/boot/firmware/cmdline.txt"
LINE = "console=serial0,115200 console=tty1 root=PARTUUID=8a67ff3c-02 rootfstype=ext4 rootwait"
CGROUPS = "cgroup_enable=memory cgroup_memory=1"
WELL = "boot 1\nrunning docker\nrunning ssh\ncontainer redis Up 2 hours (healthy)"
WELL_AGAIN = WELL.replace("boot 1", "boot 2")
EDITED, SWAPPED = "echo 'kernel command line'", "echo 'swap settings'"
REBOOTED = "systemctl reboot"
"""Words of commands that change what a machine answers."""
NOW = "2026-11-21T12:00:00+0000"
NOW_SECONDS = 1795262400


def unit(name: str, active: str = "active", enabled: str = "enabled") -> str:
    """What systemd says of a unit."""
    return f"Id={name}\nLoadState=loaded\nActiveState={active}\nUnitFileState={enabled}\n"


JETPACK_UNITS = unit("nvzramconfig.service")
"""What JetPack has running from the start."""
INSTALLED_UNITS = "\n".join(
    [
        unit("chrony.service"),
        unit("docker.service"),
        unit("nftables.service", "inactive", "disabled"),
    ]
)
"""What runs once the packages are there: Debian starts services, but not a firewall."""
READY_UNITS = "\n".join(
    [
        JETPACK_UNITS,
        unit("chrony.service"),
        unit("docker.service"),
        unit("srv-hearth.mount"),
        unit("nftables.service", "inactive"),
        unit("hearth-firewall.service", "inactive"),
        unit("hearth-metrics.timer"),
        unit("hearth-pods.service"),
        unit("hearth-policies.service"),
        unit("containerd.service"),
        unit("kubelet.service"),
    ]
)


def account(
    keys: str = "", *, login: str = "/bin/bash", groups: str = "hearth docker", guard: str = "700"
) -> str:
    """What a machine says of the administrator.

    Args:
        keys: beside the site's own.
        login: its shell.
        groups: those that it is in.
        guard: permissions of the folder of its keys.
    """
    lines = ["group=docker", f"shell={login}", f"in={groups}"]
    lines += [f"key={key}" for key in [load(BOARDS).ssh.public_key, *keys.splitlines()]]
    return "\n".join([*lines, f"guard={guard}:hearth 600:hearth ", "user=hearth"])


def bare(name: str, recorded: str = "") -> Script:
    """A machine as it was flashed.

    Args:
        name: in the site.
        recorded: what it is; the board of that name, if left out.
    """
    answers = yaml.safe_load((RECORDED / f"{recorded or TRIXIE.get(name, name)}.yaml").read_text())
    machine = answers["machine"]
    if name in TRIXIE:
        machine = machine.replace("os=debian-12", "os=debian-13")
    if name == "nano-r32" and recorded == "sandbox":
        # A computer with little memory: it is still not the container's to change how it swaps.
        machine = re.sub(r"memory_kib=\d+", "memory_kib=2027284", machine)
    own_units = JETPACK_UNITS if "l4t=" in machine else ""
    installed_units = INSTALLED_UNITS
    if recorded == "sandbox":
        # Chrony's unit has a condition that no container meets.
        stopped = unit("chrony.service", "inactive")
        installed_units = INSTALLED_UNITS.replace(unit("chrony.service"), stopped)
    return Script(
        {
            MACHINE: machine,
            HEALTH: "boot 1",
            REBOOT: "",
            UNITS: own_units,
            COMMAND_LINE: f"{FIRMWARE}\n{LINE}" if "model=Raspberry" in machine else "",
            DISK: "disk",
            ACCOUNT: "in=",
            "uname -s": "Linux",
            "command -v curl": "/usr/bin/curl",
        },
        reactions={
            INSTALL: {UNITS: f"{own_units}\n{installed_units}"},
            EDITED: {REBOOT: "kernel command line"},
            SWAPPED: {REBOOT: "kernel command line\nswap settings"},
            REBOOTED: {HEALTH: "boot 2", REBOOT: ""},
        },
    )


def ready(name: str, run: Run, *, recorded: str = "", **texts: str) -> Script:
    """The same machine with everything in place that a run has put there.

    Args:
        name: in the site.
        run: the one that found it bare.
        recorded: what it is; the board of that name, if left out.
        texts: what the last part of a file's path has been changed to.
    """
    key = "/etc/apt/keyrings/docker.asc"
    now = {
        FILES: _files(run.puts(name), texts),
        PACKAGES: "\n".join(map(_package, run.packages(name))),
        UNITS: READY_UNITS,
        HEALTH: WELL,
        DISK: "disk\next4",
        COMMAND_LINE: f"{FIRMWARE}\n{LINE} {CGROUPS}",
        ACCOUNT: account(),
        "test -e /var/lib/apt/periodic/update-success-stamp ||": _stat("-rw-r--r--", "root"),
        "test -e /etc/apt/keyrings ||": _stat("drwxr-xr-x", "root"),
        f"test -e {key} ||": _stat("-rw-r--r--", "root"),
        f"sha256sum {key}": f"{_sum_of_key(run.commands(name))}  {key}",
        "date +": NOW,
    }
    reactions = {
        EDITED: {REBOOT: "kernel command line"},
        REBOOTED: {HEALTH: WELL_AGAIN, REBOOT: ""},
    }
    return Script(bare(name, recorded).answers | now, reactions)


def _files(puts: Iterable[Put], changed: Mapping[str, str]) -> str:
    """What sha256sum and stat say of the files."""
    lines = []
    for put in puts:
        text = changed.get(put.path.rpartition("/")[2], put.text)
        digest = hashlib.sha256(text.encode()).hexdigest()
        lines += [f"{digest}  {put.path}", f"{put.mode} root:root {put.path}"]
    return "\n".join(lines)


def _package(wanted: str) -> str:
    """What dpkg says of a package that was installed."""
    name, _, version = wanted.partition("=")
    return f"ii  {name}  {version or '1.0'}  arm64  what it is for"


def _sum_of_key(commands: Iterable[str]) -> str:
    sums = (re.search(r"grep ([0-9a-f]{64})", command) for command in commands)
    return next((found[1] for found in sums if found), "")


def _stat(mode: str, owner: str) -> str:
    times = " ".join(f"{what}time={NOW_SECONDS}" for what in "amc")
    return f"user={owner} group={owner} mode={mode} {times} size=1 '-'"


def directory(mode: str) -> str:
    """What a machine says of a folder of root's."""
    return _stat(mode, "root")
