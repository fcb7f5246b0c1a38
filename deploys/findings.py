"""What a machine's facts mean for its site: what is in the way, and what to do about it.

Pure: facts in, findings out. An error stops the bootstrap or a service, a warning will bite
later, a note is what the bootstrap mends or a person may want to know.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Literal

from deploys.facts.access import Access
from deploys.facts.board import BoardHealth
from deploys.facts.cgroup import Cgroups
from deploys.facts.clock import Clock
from deploys.facts.docker import Docker, major, upstream
from deploys.facts.kernel import Kernel
from deploys.facts.machine import Machine
from deploys.facts.memory import Memory
from deploys.facts.ports import Listener
from deploys.facts.space import FileSystem, Space
from deploys.firewall import NFTABLES, backend
from deploys.kernel import LEFT_ALONE
from inventory.flows import Flow, flows_into
from inventory.hardware import OS_RELEASES, SANDBOX_OS, OsRelease
from inventory.model import Host, Placement, Site
from inventory.paths import state_dir
from inventory.units import GIB, MIB, format_port, format_size

Level = Literal["error", "warning", "note"]
Reason = Literal["refused", "timed out", "no route", "authentication", "host key", "other"]

LEVELS: tuple[Level, ...] = ("error", "warning", "note")

MEMORY_SHARE = 0.85
"""A board without a GPU shows at least this much of its memory: the firmware takes up to 12 %."""

JETSON_MEMORY_SHARE = 0.75
"""L4T keeps memory for its video and security processors: an Orin Nano (8 GB) shows 6.3 GiB with
R35.3, 7.4 with later ones. The next smaller board has half, so this still tells them apart."""

STORAGE_SHARE = 0.8
"""Partitions and the file system's own needs take the rest of the disk that a site states."""

IMAGE_BYTES = 1 * GIB
"""A service's image, unpacked, and its logs; our own estimate, generous on purpose."""

MODEL_RUNNER_BYTES = 3 * GIB
"""What an image that runs models has in GPU libraries, beside."""

PLAYER_IMAGE_BYTES = 256 * MIB
"""A sandbox's images are small, and its models are too."""

PACKAGES_BYTES = 1 * GIB
"""Docker, the firewall and apt's downloads."""

CLOCK_SECONDS = 5.0
HOT_CELSIUS = 80.0
RAW_TABLE_DOCKER = 28
"""From this release on Docker protects published ports with iptables' raw table."""

NEW_API_DOCKER = 29

DOCKERS_OWN = {"dockerd", "docker-proxy"}
"""Who may hold a published port: one container's, then, and most likely ours."""

CLUSTERS_OWN = {"kube-apiserver", "kubelet"}
"""The same of a cluster's machines."""


@dataclass(frozen=True, slots=True)
class Unreachable:
    """Why a machine could not be visited, and what ssh said."""

    reason: Reason
    detail: str


@dataclass(frozen=True, slots=True)
class HostFacts:
    """What one visit found; None for what could not be read.

    Attributes:
        skew_seconds: how far the clock is ahead of this computer's, at least; negative behind.
    """

    unreachable: Unreachable | None = None
    machine: Machine | None = None
    access: Access | None = None
    memory: Memory | None = None
    space: Space | None = None
    cgroups: Cgroups | None = None
    kernel: Kernel | None = None
    clock: Clock | None = None
    docker: Docker | None = None
    sysctls: dict[str, int] | None = None
    ports: list[Listener] | None = None
    board: BoardHealth | None = None
    skew_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing about a machine that a person should know.

    Attributes:
        what: the fault, with the value.
        remedy: what to do.
    """

    host: str
    subject: str
    level: Level
    what: str
    remedy: str


@dataclass(frozen=True, slots=True)
class _Visit:
    """A machine, its place in the site, and what was found there."""

    site: Site
    name: str
    facts: HostFacts

    @property
    def host(self) -> Host:
        return self.site.hosts[self.name]

    @property
    def os(self) -> str:
        """The name of the system that the machine should have."""
        return SANDBOX_OS if self.site.sandbox else self.host.os

    @property
    def release(self) -> OsRelease:
        """The system that the machine should have."""
        return OS_RELEASES[self.os]

    @property
    def container(self) -> bool:
        """Whether the machine has another system's kernel and clock, and cannot change them."""
        return self.facts.machine is not None and self.facts.machine.container

    @property
    def mended(self) -> str:
        return f"the bootstrap mends this: hearth bootstrap {self.site.name}"

    @property
    def memory_bytes(self) -> int:
        """The memory that the machine should have."""
        stated, sandbox = self.host.hardware.memory_bytes, self.site.sandbox
        if sandbox is None:
            return stated
        # As the sandbox scales it: sandbox/plan.py, which deploys may not know.
        return max(int(stated * sandbox.memory_scale), sandbox.memory_floor)

    def error(self, subject: str, what: str, remedy: str) -> Finding:
        return Finding(self.name, subject, "error", what, remedy)

    def warning(self, subject: str, what: str, remedy: str) -> Finding:
        return Finding(self.name, subject, "warning", what, remedy)

    def note(self, subject: str, what: str, remedy: str) -> Finding:
        return Finding(self.name, subject, "note", what, remedy)


def findings(site: Site, host_name: str, facts: HostFacts) -> list[Finding]:
    """Everything to say of one machine, the worst first."""
    visit = _Visit(site, host_name, facts)
    if facts.unreachable is not None:
        return [_unreachable(visit, facts.unreachable)]
    found = [finding for check in _CHECKS for finding in check(visit)]
    return sorted(found, key=lambda finding: LEVELS.index(finding.level))


def _unreachable(visit: _Visit, why: Unreachable) -> Finding:
    ssh, address = visit.site.ssh, visit.host.address
    key, known_hosts = ssh.identity_path, state_dir(visit.site.name) / "known_hosts"
    answers = "see that it is on, on this network, and has the address that the site says"
    what, remedy = {
        "refused": (
            f"{address} refuses ssh on port 22",
            "start sshd on it: `sudo systemctl enable --now ssh`, or on a Raspberry Pi that never "
            "had it, an empty file `ssh` on the card's boot partition",
        ),
        "timed out": (f"{address} does not answer", answers),
        "no route": (f"no way to {address}", answers),
        "authentication": (
            f"{address} does not admit user {ssh.login_user} with the key {key}",
            f"`ssh-copy-id -i {key}.pub {ssh.login_user}@{address}`, or correct ssh.login_user "
            "and ssh.identity_file in the site",
        ),
        "host key": (
            f"{address} has another host key than at the last visit",
            f"if it was flashed anew: `ssh-keygen -f {known_hosts} -R {address}`; if not, find "
            "out who answers there",
        ),
        "other": (
            f"ssh to {address} broke off ({why.detail})",
            f"see what `ssh -v {ssh.login_user}@{address}` says, and that sshd is well there",
        ),
    }[why.reason]
    if visit.site.sandbox is not None and why.reason != "authentication":
        what = f"the machine that plays it does not answer at {address}"
        remedy = f"`hearth sandbox status {visit.site.name}`, then `hearth up {visit.site.name}`"
    elif why.reason == "authentication" and not key.is_file():
        what = f"there is no key to log in with ({key})"
        remedy = f"`ssh-keygen -t ed25519 -f {key}`, and put its .pub on the boards"
    return visit.error("reachable", what, remedy)


def _unread(visit: _Visit) -> Iterator[Finding]:
    names = [f.name for f in dataclasses.fields(visit.facts) if f.name != "unreachable"]
    if unread := [name for name in names if getattr(visit.facts, name) is None]:
        login = f"ssh -F {state_dir(visit.site.name) / 'ssh_config'} -l {visit.site.ssh.login_user}"
        yield visit.warning(
            "facts",
            f"could not be told: {', '.join(unread)}",
            f"see that it is well: `{login} {visit.name}`",
        )


def _sudo(visit: _Visit) -> Iterator[Finding]:
    access = visit.facts.access
    if access is None or access.sudo == "yes":
        return
    if access.sudo == "absent":
        yield visit.error("sudo", "sudo is not installed", "as root there: `apt-get install sudo`")
        return
    yield visit.note(
        "sudo",
        f"sudo asks user {access.user} for a password",
        f"the bootstrap asks you for it, once: hearth bootstrap {visit.site.name}",
    )


def _system(visit: _Visit) -> Iterator[Finding]:
    machine, host = visit.facts.machine, visit.host
    if machine is None:
        return
    flash = f"flash it with {visit.release.title}"
    if machine.os != visit.os:
        supported = machine.os in host.hardware.os_releases
        write = f"write `os: {machine.os}` at hosts.{visit.name}, or {flash}"
        yield visit.error("os", f"runs {machine.os}, not {visit.os}", write if supported else flash)
    if visit.site.sandbox is not None:
        return
    if machine.architecture != host.hardware.architecture:
        yield visit.error(
            "architecture",
            f"is {machine.architecture}, a {host.hardware.title} is {host.hardware.architecture}",
            f"flash it with a 64-bit image, or correct hosts.{visit.name}.board",
        )
    release = visit.release
    if machine.os == host.os and machine.l4t_major != release.l4t:
        yield visit.error(
            "l4t",
            f"Linux for Tegra is {machine.l4t or 'not there'}, {release.title} has "
            f"{f'R{release.l4t}' if release.l4t else 'none'}",
            f"{flash}, or correct hosts.{visit.name}",
        )


def _page_size(visit: _Visit) -> Iterator[Finding]:
    machine, hardware = visit.facts.machine, visit.host.hardware
    if machine is None or visit.site.sandbox or machine.page_size_bytes == hardware.page_size_bytes:
        return
    pages = f"the kernel has pages of {format_size(machine.page_size_bytes)}"
    unfit = [
        placement.name
        for placement in visit.site.on_host(visit.name)
        if machine.page_size_bytes not in placement.kind.page_sizes_bytes
    ]
    if unfit:
        yield visit.error(
            "page size",
            f"{pages}: {', '.join(unfit)} cannot start",
            "on a Raspberry Pi 5 `kernel=kernel8.img` in /boot/firmware/config.txt boots one with "
            f"4 KiB; elsewhere move {', '.join(unfit)} to another board",
        )
    else:
        yield visit.note(
            "page size",
            f"{pages}, not {format_size(hardware.page_size_bytes)}",
            "nothing to do: every service that the site puts here runs on it",
        )


def _memory(visit: _Visit) -> Iterator[Finding]:
    memory, hardware = visit.facts.memory, visit.host.hardware
    if memory is None:
        return
    expected, seen = visit.memory_bytes, format_size(memory.total_bytes)
    if memory.total_bytes < expected * (JETSON_MEMORY_SHARE if hardware.gpu else MEMORY_SHARE):
        yield visit.error(
            "memory",
            f"has {seen}, not {format_size(expected)}",
            f"correct hosts.{visit.name}.board; on a Raspberry Pi see gpu_mem in config.txt",
        )
        return
    promised = sum(p.memory_bytes + p.gpu_memory_bytes for p in visit.site.on_host(visit.name))
    # A sandbox's limits are the board's, its machines are smaller on purpose.
    if promised > memory.total_bytes and visit.site.sandbox is None:
        yield visit.warning(
            "memory",
            f"services may take {format_size(promised)}, the machine has {seen}",
            f"lower their limits at hosts.{visit.name}.services, or move one",
        )


def _space(visit: _Visit) -> Iterator[Finding]:
    space = visit.facts.space
    if space is None:
        return
    if space.root.available_bytes < PACKAGES_BYTES:
        yield visit.error(
            "disk",
            f"{_free(space.root)}, packages need {format_size(PACKAGES_BYTES)}",
            "make room: `sudo apt-get clean`, `sudo journalctl --vacuum-size=50M`",
        )
    # A disk of its own is mounted by the bootstrap: until then this is another one.
    if visit.host.data_disk is None or space.data.mount != space.root.mount:
        yield from _data(visit, space.data)


def _data(visit: _Visit, data: FileSystem) -> Iterator[Finding]:
    docker = visit.facts.docker
    needed = sum(_kept_bytes(p) for p in visit.site.on_host(visit.name) if p.provisioned)
    what = f"{_free(data)}, images and models take about {format_size(needed)}"
    if data.available_bytes < needed:
        remedy = f"add a disk: hosts.{visit.name}.data_disk, or place fewer models"
        if docker is not None and docker.server:
            yield visit.warning("disk", what, f"nothing if they are there already; else {remedy}")
        else:
            yield visit.error("disk", what, remedy)
    stated = visit.host.storage
    if data.size_bytes < stated * STORAGE_SHARE and visit.site.sandbox is None:
        yield visit.warning(
            "disk",
            f"Docker's data is on a disk of {format_size(data.size_bytes)}, the site says "
            f"{format_size(stated)}",
            f"name the larger disk at hosts.{visit.name}.data_disk, or correct its storage",
        )


def _free(system: FileSystem) -> str:
    return f"{format_size(system.available_bytes)} free at {system.mount}"


def _kept_bytes(placement: Placement) -> int:
    """What a service keeps on the disk: its image, its models."""
    if placement.site.sandbox is not None:
        return PLAYER_IMAGE_BYTES
    runner = MODEL_RUNNER_BYTES if placement.kind.holds_models else 0
    return IMAGE_BYTES + runner + sum(m.size_bytes for m in placement.models.values())


def _cgroups(visit: _Visit) -> Iterator[Finding]:
    cgroups, machine = visit.facts.cgroups, visit.facts.machine
    if cgroups is None or cgroups.memory:
        return
    what = "the kernel keeps no memory limits: containers may take everything"
    if machine is not None and machine.raspberry_pi:
        yield visit.note("cgroups", what, f"{visit.mended}; needs a reboot")
    elif cgroups.switched_off:
        yield visit.error(
            "cgroups", what, "take cgroup_disable=memory off the kernel's command line, and reboot"
        )
    else:
        yield visit.error("cgroups", what, "boot a kernel with CONFIG_MEMCG")


def _kernel(visit: _Visit) -> Iterator[Finding]:
    kernel, machine = visit.facts.kernel, visit.facts.machine
    if kernel is None:
        return
    not_needed = {"iptable_raw"}
    if machine is not None and backend(machine) is not NFTABLES:
        not_needed.add("nf_tables")
    needed = {name: is_ for name, is_ in kernel.features.items() if name not in not_needed}
    if lost := [name for name, is_ in needed.items() if is_ == "lost"]:
        yield visit.error(
            "kernel",
            f"modules are not on the disk: {', '.join(lost)}",
            f"`sudo modprobe -a {' '.join(lost)}` on the computer that it shares its kernel with"
            if visit.container
            else "reboot: the kernel was upgraded since the machine started",
        )
    if absent := [name for name, is_ in needed.items() if is_ == "absent"]:
        yield visit.error(
            "kernel",
            f"lacks {', '.join(absent)}: Docker or the firewall cannot start",
            "boot the vendor's own kernel, or one built with these",
        )
    if unknown := [name for name, is_ in needed.items() if is_ == "unknown"]:
        yield visit.note(
            "kernel",
            f"does not tell whether it has {', '.join(unknown)}",
            "nothing to do unless Docker fails to start: `sudo journalctl -u docker` tells why",
        )


def _clock(visit: _Visit) -> Iterator[Finding]:
    clock, skew = visit.facts.clock, visit.facts.skew_seconds
    if clock is None:
        return
    if abs(skew) > CLOCK_SECONDS:
        yield visit.error(
            "clock",
            f"is {abs(skew):.0f} s {'ahead' if skew > 0 else 'behind'} of this computer's: apt and "
            "TLS refuse what is signed in the future, logs do not line up",
            "see which of the two is right (`date -u`), and set the other: "
            '`sudo date -u -s "YYYY-MM-DD hh:mm:ss"`',
        )
    if clock.synchronized is False and not visit.container:
        yield visit.note("clock", "follows no time server", visit.mended)


def _docker(visit: _Visit) -> Iterator[Finding]:
    docker = visit.facts.docker
    if docker is None:
        return
    if visit.site.kubernetes is not None:
        if docker.version:
            yield visit.warning(
                "docker",
                "Docker is there: it drops packets that it does not know, those of pods too",
                f"remove it: `sudo apt-get remove {' '.join(docker.packages)}`, then reboot",
            )
        return
    if docker.snap:
        yield visit.error(
            "docker",
            "Docker is the snap, which reads other settings and keeps its data elsewhere",
            "move what its containers hold, then `sudo snap remove docker`; the bootstrap "
            "installs the package",
        )
        return
    yield from _engine(visit, docker)
    yield from _raw_table(visit, docker)
    if major(docker.server) >= NEW_API_DOCKER:
        yield visit.note(
            "docker",
            f"Docker {docker.server} speaks to no client older than API {docker.min_api}",
            "nothing to do for Hearth; update other tools that talk to it",
        )


def _engine(visit: _Visit, docker: Docker) -> Iterator[Finding]:
    wanted = visit.release.docker
    others = [name for name in docker.packages if name not in wanted.packages]
    if not docker.version:
        version = upstream(wanted.version or docker.candidate)
        package = f"{wanted.packages[0]} {version}".strip()
        yield visit.note("docker", f"Docker is not there; {package} will be", visit.mended)
    elif others and visit.site.sandbox is None:
        yield visit.warning(
            "docker",
            f"Docker is the package {others[0]}; the bootstrap installs {wanted.packages[0]}, and "
            "apt takes the one away for the other: its containers stop",
            "run the bootstrap when they may stop; images and volumes stay",
        )
    elif not docker.server:
        yield visit.note("docker", f"Docker {docker.client} does not answer", visit.mended)


def _raw_table(visit: _Visit, docker: Docker) -> Iterator[Finding]:
    machine, kernel, wanted = visit.facts.machine, visit.facts.kernel, visit.release.docker
    if machine is None or kernel is None or not machine.l4t:
        return
    version = docker.version or wanted.version or docker.candidate
    if kernel.features["iptable_raw"] == "absent" and major(version) >= RAW_TABLE_DOCKER:
        remove = f"`sudo apt-get remove {' '.join(docker.packages) or 'docker.io'}`"
        yield visit.error(
            "docker",
            f"Docker {upstream(version)} needs the kernel's IP_NF_RAW, which L4T {machine.l4t} "
            "lacks: published ports fail",
            f"{remove}, then hearth bootstrap {visit.site.name} installs {upstream(wanted.version)}"
            if wanted.version
            else "pin 27.5.1, the last that does without: `sudo apt-mark hold docker.io`",
        )


def _sysctls(visit: _Visit) -> Iterator[Finding]:
    set_to = visit.facts.sysctls
    if set_to is None:
        return
    for placement in visit.site.on_host(visit.name):
        for name, least in placement.kind.sysctls.items():
            if name in set_to and set_to[name] < least:
                what = f"{name} is {set_to[name]}, {placement.name} needs {least}"
                command = f"`sudo sysctl -w {name}={least}`"
                if visit.container:
                    whose = "on the computer that it shares its kernel with"
                    yield visit.note("sysctl", what, f"{command} {whose}")
                elif name in LEFT_ALONE:
                    yield visit.warning("sysctl", what, f"{command}, and a file in /etc/sysctl.d")
                else:
                    yield visit.note("sysctl", what, visit.mended)


def _ports(visit: _Visit) -> Iterator[Finding]:
    services = {p.name: p for p in visit.site.on_host(visit.name)}
    own = CLUSTERS_OWN if visit.site.kubernetes else DOCKERS_OWN
    for flow in flows_into(visit.site, visit.name):
        if flow.reason not in services:
            continue
        address = services[flow.reason].published_on
        there = [f for f in visit.facts.ports or () if _in_the_way(f, flow, address)]
        if not there or there[0].process in own or there[0].contained:
            continue
        holder = there[0].process
        taken = f"port {format_port(flow.port, flow.protocol)} of {flow.reason} is taken"
        option = {"tcp": "-ltnp", "udp": "-lunp"}[flow.protocol]
        remedy = (
            f"look there with `sudo ss {option} 'sport = :{flow.port}'`; stop it, or give "
            f"{flow.reason} another port in the site"
        )
        if holder:
            yield visit.error("ports", f"{taken} by {holder}", remedy)
        else:
            yield visit.warning("ports", f"{taken}, by whom only root can see", remedy)


def _in_the_way(listener: Listener, flow: Flow, address: IPv4Address) -> bool:
    """Whether a program has what a flow needs: its port, on its address or on every one."""
    if (listener.port, listener.protocol) != (flow.port, flow.protocol):
        return False
    return not listener.address or address == IPv4Address(0) or listener.address == str(address)


def _board(visit: _Visit) -> Iterator[Finding]:
    board = visit.facts.board
    if board is None:
        return
    if board.celsius is not None and board.celsius >= HOT_CELSIUS:
        yield visit.warning(
            "temperature",
            f"{board.celsius:.0f} degrees: it slows down to cool",
            "give it a fan or a heat sink, and air",
        )
    supply = "use the maker's power supply and a short cable; cards get corrupted without"
    if "undervoltage" in board.now:
        yield visit.error("power", "gets too little voltage", supply)
    elif "undervoltage" in board.since_boot:
        yield visit.warning("power", "got too little voltage since it started", supply)
    elif board.now:
        yield visit.warning("power", f"is held back: {', '.join(board.now)}", "see that it is cool")


_CHECKS: tuple[Callable[[_Visit], Iterator[Finding]], ...] = (
    _unread,
    _sudo,
    _system,
    _page_size,
    _memory,
    _space,
    _cgroups,
    _kernel,
    _clock,
    _docker,
    _sysctls,
    _ports,
    _board,
)
