"""One machine: a disk, a place on the network, a control group, and systemd booted on them."""

from __future__ import annotations

import os
import uuid
from typing import TYPE_CHECKING

from sandbox import network, nodes, rootfs
from sandbox.command import run
from sandbox.files import write_whole
from sandbox.parts import Part

if TYPE_CHECKING:
    from sandbox.plan import LabPlan, MachinePlan, Progress

SSH = 22
BOOT_SECONDS = 60
FIRST_USER_ID = 1000
HOST_KEY = "etc/ssh/ssh_host_ed25519_key"
# What docker and other container engines need within a container. Not the clock: it is the one of
# this computer, which seven time daemons would steer against each other.
NSPAWN = (
    *("--quiet", "--boot", "--register=no", "--keep-unit"),
    *("--capability=all", "--drop-capability=CAP_SYS_TIME"),
    *("--resolv-conf=off", "--timezone=off", "--link-journal=no", "--console=read-only"),
    "--system-call-filter=@keyring bpf @privileged",
)
# Folders on a real filesystem: an overlay cannot be stacked on the machine's own.
REAL_FOLDERS = ("docker", "containerd")


def layer(plan: LabPlan, progress: Progress = lambda _: None) -> rootfs.Layer:
    """What a lab's machines are made of: boards as they were flashed, or a cluster's."""
    if plan.cluster:
        return nodes.layer(plan.login_user, progress)
    return rootfs.machine_layer(plan.login_user)


class Machine:
    """A machine of a lab.

    Args:
        plan: The lab.
        machine: Its plan.
    """

    def __init__(self, plan: LabPlan, machine: MachinePlan) -> None:
        self.plan = plan
        self.machine = machine
        self.part = Part(plan, machine.name)
        self.disk = plan.disks / machine.name
        self.written = self.disk / "upper"

    def up(self) -> bool:
        """Boot the machine unless it runs, and wait for ssh; return whether it was booted."""
        booted = self.part.running() is None
        if booted:
            self.cut_power()
            self.prepare_disk()
            self.boot()
        self.part.wait_until(self.answers, BOOT_SECONDS)
        return booted

    def cut_power(self) -> None:
        """Kill the machine as a power cut would; its disk stays."""
        self.part.clear()
        network.unplug(self.plan, self.machine)

    def boot(self) -> None:
        """Start systemd in the machine's namespace, group and disk."""
        network.plug_in(self.plan, self.machine)
        groups = self.part.group.create()
        self.part.group.limit(self.machine.memory_bytes, self.machine.cpus)
        self.part.start(
            [
                *("unshare", "--mount", "--propagation", "slave"),
                *("sh", str(rootfs.script_file("boot-machine.sh"))),
                rootfs.stack(layer(self.plan)),
                *(str(self.disk), ":".join(map(str, groups)), "--"),
                *NSPAWN,
                f"--machine={self.machine.name}",
                f"--hostname={self.machine.name}",
                f"--uuid={self.machine_id()}",
                f"--network-namespace-path={network.NAMESPACES / self.namespace}",
                *(f"--bind={self.disk / name}:/var/lib/{name}" for name in self.real_folders),
            ],
            # docker sets net.ipv4.ip_forward and its kin.
            SYSTEMD_NSPAWN_API_VFS_WRITABLE="network",
        )

    @property
    def real_folders(self) -> tuple[str, ...]:
        """Its folders of /var/lib on a real filesystem."""
        return nodes.REAL_FOLDERS if self.plan.cluster else REAL_FOLDERS

    @property
    def namespace(self) -> str:
        """The machine's network namespace."""
        return self.plan.machine_namespace(self.machine.name)

    def answers(self) -> bool:
        """Whether the machine's ssh server says hello."""
        said = network.first_bytes(self.plan.namespace, self.machine.address, SSH)
        return said.startswith(b"SSH-")

    def prepare_disk(self) -> None:
        """Write what makes this machine itself; what it wrote earlier stays."""
        self.host_key()
        for name in ("root", "work", "upper", *self.real_folders):
            (self.disk / name).mkdir(parents=True, exist_ok=True)
        for path, text in nodes.own_files(self.plan, self.machine).items():
            write_whole(self.written / path, text)
        write_whole(self.written / "etc/hostname", f"{self.machine.name}\n")
        write_whole(self.written / "etc/hosts", hosts(self.plan, self.machine))
        write_whole(self.written / "etc/machine-id", f"{self.machine_id().replace('-', '')}\n")
        self.admit_operator()
        # Package lists count as read just now: there is no way out to read newer ones.
        write_whole(self.written / "var/lib/apt/periodic/update-success-stamp", "")

    def machine_id(self) -> str:
        """An identity of its own that stays the same from boot to boot."""
        return str(uuid.uuid5(uuid.NAMESPACE_URL, f"hearth:{self.plan.name}:{self.machine.name}"))

    def host_key(self) -> str:
        """The machine's line of known_hosts; its key is made at the first call."""
        secret = self.written / HOST_KEY
        public = secret.with_suffix(".pub")
        if not (public.exists() and public.stat().st_size):
            secret.parent.mkdir(parents=True, exist_ok=True)
            secret.unlink(missing_ok=True)
            options = ("-q", "-t", "ed25519", "-N", "", "-C", self.machine.name)
            run("ssh-keygen", *options, "-f", str(secret))
        kind, key, *_ = public.read_text().split()
        return f"{self.machine.address},{self.machine.name} {kind} {key}\n"

    def admit_operator(self) -> None:
        """Let the operator's key in for the login user."""
        home = self.written / "home" / self.plan.login_user
        keys = home / ".ssh/authorized_keys"
        write_whole(keys, f"{self.plan.authorized_key.strip()}\n", 0o600)
        keys.parent.chmod(0o700)
        for path in (home, keys.parent, keys):
            os.chown(path, FIRST_USER_ID, FIRST_USER_ID)


def hosts(plan: LabPlan, own: MachinePlan) -> str:
    """The lab's names, as /etc/hosts has them."""
    lines = ["127.0.0.1 localhost", f"127.0.1.1 {own.name}"]
    lines += [f"{machine.address} {machine.name}" for machine in plan.machines]
    return "".join(f"{line}\n" for line in lines)
