"""What a lab consists of: everything the sandbox needs to know about a site."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from inventory.errors import HearthError
from inventory.ssh import lab_namespace
from tools.versions import KUBERNETES

if TYPE_CHECKING:
    from collections.abc import Callable
    from ipaddress import IPv4Address, IPv4Network

    from inventory.model import Site

    Progress = Callable[[str], None]

# Names become parts of namespaces and cgroups, where "." separates a lab from its machines.
NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


@dataclass(frozen=True)
class MachinePlan:
    """One machine: its address in the lab and its share of this computer."""

    name: str
    address: IPv4Address
    memory_bytes: int
    cpus: float


@dataclass(frozen=True)
class Forward:
    """A port of 127.0.0.1 that leads to an address in the lab."""

    listen_port: int
    host: IPv4Address
    port: int


@dataclass(frozen=True)
class LabPlan:
    """A lab: one switched network and the machines on it.

    Several labs may run side by side: every namespace, cgroup and folder of a lab is named
    after it.

    Args:
        name: Lower-case letters, digits and hyphens.
        network: The lab's network; it exists in namespaces only.
        router: The machines' default gateway. It answers, and knows no way out.
        operator: This computer's address in the lab.
        registry: The address of the lab's image registry.
        registry_port: Its port; plain HTTP.
        machines: The machines to boot.
        forwards: Ports of this computer's loopback that lead into the lab.
        authorized_key: The public key admitted for `login_user`, in OpenSSH's form; empty
            until it is made, and then no machine boots.
        login_user: The user with the key and sudo without a password; root has no login.
        state: Runtime files: process records, logs, known_hosts.
        disks: What the machines write.
        images: What the registry serves, as the site names it: `repository:tag`.
        cluster: Whether the machines are to be a Kubernetes: they have what nodes need.
    """

    name: str
    network: IPv4Network
    router: IPv4Address
    operator: IPv4Address
    registry: IPv4Address
    registry_port: int
    machines: tuple[MachinePlan, ...]
    forwards: tuple[Forward, ...]
    authorized_key: str
    login_user: str
    state: Path
    disks: Path
    images: tuple[str, ...] = ()
    cluster: bool = False

    def __post_init__(self) -> None:
        """Refuse names that could not be told apart once joined."""
        for name in (self.name, *(machine.name for machine in self.machines)):
            if not NAME.fullmatch(name):
                raise HearthError(
                    f"lab {self.name}: a name may not be written so ({name}); "
                    "use lower-case letters, digits and single hyphens"
                )

    @property
    def namespace(self) -> str:
        """The network namespace of the lab's switch, registry and operator."""
        return lab_namespace(self.name)

    @property
    def known_hosts(self) -> Path:
        """The host keys of the lab's machines, so that ssh can be strict."""
        return self.state / "known_hosts"

    def machine_namespace(self, machine: str) -> str:
        """The network namespace of one machine."""
        return f"{self.namespace}.{machine}"

    def machine(self, name: str) -> MachinePlan:
        """The machine of that name.

        Raises:
            HearthError: There is none.
        """
        for machine in self.machines:
            if machine.name == name:
                return machine
        known = ", ".join(machine.name for machine in self.machines)
        raise HearthError(f"lab {self.name}: no such machine ({name}); use one of {known}")


STATE = Path("/run/hearth")
DISKS = Path("/var/lib/hearth")


def plan_for(site: Site) -> LabPlan:
    """The lab that plays a site's machines, scaled from their boards.

    Raises:
        HearthError: The site has no `sandbox:`.
    """
    if site.sandbox is None or site.registry is None:
        raise HearthError(f"{site.name}: has no `sandbox:`; boot a site that has one")
    if site.kubernetes is not None and site.kubernetes.version != KUBERNETES:
        raise HearthError(
            f"{site.name}: kubernetes.version: not built here ({site.kubernetes.version}); "
            f"a sandbox has {KUBERNETES}"
        )
    sandbox = site.sandbox
    gateway = site.hosts[site.gateway].address
    return LabPlan(
        name=site.name,
        network=site.network.cidr,
        router=site.network.router,
        operator=sandbox.operator,
        registry=site.registry.address,
        registry_port=site.registry.port,
        machines=tuple(
            MachinePlan(
                name=name,
                address=host.address,
                memory_bytes=max(
                    int(host.hardware.memory_bytes * sandbox.memory_scale), sandbox.memory_floor
                ),
                cpus=max(host.hardware.cpu_cores * sandbox.cpu_scale, sandbox.cpu_floor),
            )
            for name, host in site.hosts.items()
        ),
        forwards=tuple(
            Forward(listen_port, gateway, port) for listen_port, port in sandbox.forwards.items()
        ),
        authorized_key=site.ssh.public_key,
        login_user=site.ssh.login_user,
        state=STATE / site.name,
        disks=DISKS / site.name,
        images=tuple(site.registry.images.values()),
        cluster=site.kubernetes is not None,
    )
