"""The states in which the bootstrap and the upgrade find machines, and what they do then."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from typing import Any

from inventory.loading import load
from tests.deploys.fake import NOBODY_LET_IN, Script, pyinfra_run
from tests.deploys.machines import (
    ACCOUNT,
    BOARDS,
    CGROUPS,
    CLUSTER,
    CLUSTER_VMS,
    COMMAND_LINE,
    DISK,
    FILES,
    FIRMWARE,
    HALF_INSTALLED,
    HEALTH,
    LINE,
    MACHINE,
    READY_UNITS,
    REBOOT,
    REBOOTED,
    SANDBOX,
    UNITS,
    UPGRADABLE,
    WELL,
    WELL_AGAIN,
    account,
    bare,
    directory,
    ready,
    unit,
)
from tests.deploys.record import NEW, Run

Scripts = dict[str, Script]
States = Iterator[tuple[str, Scripts]]
Changes = dict[str, dict[str, Any]]
"""Fields of a script, by what is wrong."""

IN_SANDBOX = ("pi5", "nano-r32", "pi3")
"""A board's place in the sandbox, one whose system is not the container's at all, and the one that
tells the time."""
TIERS = ("pi5-trixie", "agx-r36", "nano-r32", "pi5", "pi4", "pi3")
"""A machine of each tier, in their order."""
THREE = ("pi5-trixie", "nano-r32", "pi5")
"""The second of them has trouble, in whatever direction they are taken."""

NODES = ("master01", "worker01")
TOKEN = "abcdef.0123456789abcdef"  # noqa: S105 - the tests' own
TOLD = {"kubeadm token create": TOKEN, "cat /etc/kubernetes/pki/ca.crt": "-----CA-----"}
CONFIG, ENCRYPTION = "/etc/hearth/kubernetes/kubeadm.yaml", "/etc/hearth/kubernetes/encryption.yaml"
KUBELET = "/etc/kubernetes/kubelet.conf"
VOLUMES = "test -e /var/lib/fixai ||"
VM = (
    "os=debian-12\nkernel=6.1.0-31-amd64\nmachine=x86_64\npage_size=4096\n"
    "memory_kib=8152108\nvirtualization=none\nmodel="
)

STALE = {
    "pi5": {"daemon.json": "{}\n"},
    "pi4": {"10-hearth.conf": "old", "chrony.conf": "old"},
    "pi3": {"90-hearth.conf": "old"},
    "agx-r35": {"nftables.conf": "old"},
    "agx-r36": {"hearth-docker": "old"},
    "nano-r32": {"hearth-firewall": "old"},
    "orin-nano-r35": {"hearth-metrics": "old", "hearth-metrics.service": "old"},
    "orin-nano-r36": {"hearth-metrics.timer": "old"},
    "pi5-trixie": {"data-disk.conf": "old"},
    "pi4-trixie": {"hearth.conf": "old", "motd": "old"},
}
"""Files that are out of date, by the last part of their paths."""

DISKS = {
    "empty": "disk",
    "partitions": "disk\ngpt\nPMBR\n|-nvme0n1p1",
    "xfs": "disk\nxfs",
    "missing": "",
}

FIREWALL: Changes = {
    "locked out": {"lets_in": False},
    "bad rules": {"fails": {"nft -cf": "syntax error", "sh -n": "syntax error"}},
    "not loaded": {"fails": {f"nft -f /etc/nftables.conf{NEW}": "busy", "sh /usr/local": "busy"}},
    "no guard": {"fails": {"systemd-run": "Unit was already loaded"}},
}

_STARTING = WELL_AGAIN.replace("(healthy)", "(health: starting)")
_CLOSED = {"success": False, "stderr": "Socket is closed"}
AFTER_REBOOT: Changes = {
    "lost": {HEALTH: "", NOBODY_LET_IN: 10_000},
    "away": {HEALTH: WELL_AGAIN, NOBODY_LET_IN: 20},
    "not rebooted": {},
    "unit": {HEALTH: f"{WELL_AGAIN}\nfailed chrony.service"},
    "container": {HEALTH: WELL_AGAIN.replace("(healthy)", "(unhealthy)")},
    "service": {HEALTH: WELL_AGAIN.replace("running docker\n", "")},
    "slow": {HEALTH: {"stdout": _STARTING, "then": {"stdout": _STARTING, "then": WELL_AGAIN}}},
    "cut": {HEALTH: _CLOSED | {"then": WELL_AGAIN}},
}

_DONE = " upgrade"
_DPKG = "E: Sub-process /usr/bin/dpkg returned an error code (1)"
UPGRADE: Changes = {
    "reboot": {"reactions": {_DONE: {REBOOT: "linux-image"}, REBOOTED: {HEALTH: WELL_AGAIN}}},
    "not well": {"reactions": {_DONE: {HEALTH: WELL.replace("(healthy)", "(unhealthy)")}}},
    "refused": {"fails": {_DONE: _DPKG}},
    "refused without a word": {"fails": {_DONE: ""}},
}


def bootstraps() -> Iterator[tuple[str, Run]]:
    """The runs of the bootstrap, by what is special about each."""
    names = list(load(BOARDS).hosts)
    new = {name: bare(name) for name in names}
    yield "bare", (first := pyinfra_run("bootstrap", BOARDS, new, "-y"))
    yield "bare, dry", pyinfra_run("bootstrap", BOARDS, new, "--dry")
    done = {name: ready(name, first) for name in names}
    yield "ready", pyinfra_run("bootstrap", BOARDS, done, "-y")
    yield "ready, dry", pyinfra_run("bootstrap", BOARDS, done, "--dry")
    new = {name: bare(name, "sandbox") for name in IN_SANDBOX}
    yield "sandbox", (sandbox := pyinfra_run("bootstrap", SANDBOX, new, "-y"))
    played = {name: ready(name, sandbox, recorded="sandbox") for name in IN_SANDBOX}
    yield "sandbox, ready", pyinfra_run("bootstrap", SANDBOX, played, "-y")
    yield from _clusters()
    for what, scripts in _states(first, done):
        yield what, pyinfra_run("bootstrap", BOARDS, scripts, "-y")
    postponed = ("-y", "--data", "reboot=no")
    yield "postponed", pyinfra_run("bootstrap", BOARDS, _wanting(done, ["pi5"]), *postponed)


def _states(first: Run, done: Scripts) -> States:
    """Machines that were ready, and on which something is not as it should be."""
    yield "stale", {name: ready(name, first, **texts) for name, texts in STALE.items()}
    yield "touched", _touched(done)
    yield "command line", _command_lines(done)
    yield from _disks(done)
    yield from _firewalls(first)
    yield from _strangers(done)
    yield from _reboots(done)


def _touched(done: Scripts) -> Scripts:
    """What people, power cuts and other programs do to machines."""
    stopped = unit("docker.service", "inactive", "disabled")
    modes = done["pi3"].answers[FILES].replace("440 root:root", "666 root:root")
    owners = done["agx-r36"].answers[FILES].replace("root:root /etc/motd", "pi:pi /etc/motd")
    key = "ssh-ed25519 AAAAC3Nzsomebodyelses stranger"
    answers = {
        "pi5": {UNITS: READY_UNITS.replace(unit("docker.service"), stopped)},
        "pi4": {HALF_INSTALLED: "The following packages are only half configured"},
        "pi3": {FILES: modes},
        "agx-r36": {FILES: owners},
        "nano-r32": {ACCOUNT: account(key)},
        "pi5-trixie": {ACCOUNT: account(login="/bin/sh")},
        "pi4-trixie": {ACCOUNT: account(groups="hearth")},
        "agx-r35": {ACCOUNT: account(guard="755")},
        "orin-nano-r35": {ACCOUNT: "group=docker\nin="},
    }
    return {name: done[name].answering(said) for name, said in answers.items()}


def _clusters() -> Iterator[tuple[str, Run]]:
    """A cluster's machines: bare, as they are when it is made, and with something in the way."""
    new = {name: bare(name, "sandbox") for name in NODES}
    new["master01"] = dataclasses.replace(new["master01"], says=TOLD)
    yield "cluster", (first := pyinfra_run("bootstrap", CLUSTER, new, "-y"))
    done = {name: ready(name, first, recorded="sandbox") for name in NODES}
    joined = f"{'0' * 64}  {KUBELET}\n600 root:root {KUBELET}"
    for name in NODES:
        files = done[name].answers[FILES] + f"\n{joined}\n{joined.replace(KUBELET, ENCRYPTION)}"
        done[name] = done[name].answering({FILES: files, VOLUMES: directory("drwx--x--x")})
    yield "cluster, ready", pyinfra_run("bootstrap", CLUSTER, done, "-y")
    files = done["master01"].answers[FILES].splitlines()
    unmade = "\n".join(line for line in files if not line.endswith(CONFIG))
    stale = done | {"master01": done["master01"].answering({FILES: unmade})}
    yield "cluster, cut off", pyinfra_run("bootstrap", CLUSTER, stale, "-y")
    edited = ready("master01", first, recorded="sandbox", **{"kubeadm.yaml": "old"})
    files = edited.answers[FILES] + f"\n{joined.replace(KUBELET, ENCRYPTION)}"
    edited = edited.answering({FILES: files, VOLUMES: directory("drwx--x--x")})
    yield "cluster, edited", pyinfra_run("bootstrap", CLUSTER, done | {"master01": edited}, "-y")
    tokenless = new | {"master01": dataclasses.replace(new["master01"], says={})}
    yield "cluster, no token", pyinfra_run("bootstrap", CLUSTER, tokenless, "-y")
    refused = dataclasses.replace(new["worker01"], fails={"kubeadm join": f"refused {TOKEN}"})
    yield (
        "cluster, refused",
        pyinfra_run("bootstrap", CLUSTER, new | {"worker01": refused}, "-y"),
    )
    real = {name: bare(name, "pi5").answering({MACHINE: VM}) for name in NODES}
    real["master01"] = dataclasses.replace(real["master01"], says=TOLD)
    yield "cluster, real", pyinfra_run("bootstrap", CLUSTER_VMS, real, "-y")


def _command_lines(done: Scripts) -> Scripts:
    """The kernel's command line where it once was, half done, done, and not there at all."""
    lines = {
        "pi5": f"/boot/cmdline.txt\n{LINE}",
        "pi4": f"{FIRMWARE}\n{LINE} cgroup_memory=1",
        "pi3": f"/boot/cmdline.txt\n{CGROUPS} {LINE}",
        "pi5-trixie": "",
    }
    return {name: done[name].answering({COMMAND_LINE: line}) for name, line in lines.items()}


def _disks(done: Scripts) -> States:
    """Data disks, beside a machine that has much to do."""
    for what, said in DISKS.items():
        yield (
            f"disk, {what}",
            {"pi5-trixie": done["pi5-trixie"].answering({DISK: said}), "pi4": bare("pi4")},
        )


def _firewalls(first: Run) -> States:
    """New rules with trouble, on both kinds of kernel, beside a machine that has none."""
    old = {name: ready(name, first, **{"nftables.conf": "old"}) for name in ("agx-r36", "pi4")}
    old["nano-r32"] = ready("nano-r32", first, **{"hearth-firewall": "old"})
    for what, change in FIREWALL.items():
        changed = {n: dataclasses.replace(old[n], **change) for n in ("agx-r36", "nano-r32")}
        yield f"firewall, {what}", old | changed


def _strangers(done: Scripts) -> States:
    """Machines that are not what the site says, beside one that has much to do."""
    machine = done["agx-r36"].answers[MACHINE]
    for what, said in {
        "another": machine.replace("os=ubuntu-22.04", "os=ubuntu-20.04"),
        "unknown": machine.replace("os=ubuntu-22.04", "os=fedora-43"),
        "silent": "",
    }.items():
        yield (
            f"stranger, {what}",
            {"agx-r36": done["agx-r36"].answering({MACHINE: said}), "pi4": bare("pi4")},
        )


def _reboots(done: Scripts) -> States:
    """Machines that need a reboot; after it, the second of three has trouble."""
    yield "reboots", _wanting(done, TIERS)
    for what, after in AFTER_REBOOT.items():
        scripts = _wanting(done, THREE)
        second = dataclasses.replace(scripts["nano-r32"], reactions={REBOOTED: after})
        yield f"reboots, {what}", scripts | {"nano-r32": second}
    yield "reboot, cut", {"nano-r32": second}


def _wanting(done: Scripts, names: Iterable[str]) -> Scripts:
    return {name: done[name].answering({REBOOT: "linux-image\nlibc6\nlibc6"}) for name in names}


def upgrades() -> Iterator[tuple[str, Run]]:
    """The runs of the upgrade; where there is trouble, the second of three has it."""
    yield "upgrade, current", pyinfra_run("upgrade", BOARDS, {"pi5": bare("pi5")}, "-y")
    old = {UPGRADABLE: "openssl\ndocker.io", HEALTH: WELL}
    scripts = {name: bare(name).answering(old) for name in THREE}
    yield "upgrade", pyinfra_run("upgrade", BOARDS, scripts, "-y")
    for what, change in UPGRADE.items():
        second = dataclasses.replace(scripts["nano-r32"], **change)
        run = pyinfra_run("upgrade", BOARDS, scripts | {"nano-r32": second}, "-y")
        yield f"upgrade, {what}", run
