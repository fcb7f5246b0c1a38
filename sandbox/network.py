"""The lab's network: a bridge in one namespace, and a namespace per machine.

Nothing of it touches the host's own namespace, so a lab may carry the addresses of the real
network and can reach nothing outside.
"""

from __future__ import annotations

import ctypes
import os
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from sandbox.command import run, succeeds

if TYPE_CHECKING:
    from ipaddress import IPv4Address

    from sandbox.plan import LabPlan, MachinePlan

NAMESPACES = Path("/run/netns")
BRIDGE = "lan"
CLONE_NEWNET = 0x40000000


def names(plan: LabPlan) -> list[str]:
    """The namespaces that a lab has, its machines' first."""
    if not NAMESPACES.is_dir():
        return []
    own = plan.namespace
    found = [
        entry.name
        for entry in NAMESPACES.iterdir()
        if entry.name == own or entry.name.startswith(f"{own}.")
    ]
    return sorted(found, reverse=True)


def usable(namespace: str) -> bool:
    """Whether a namespace is there and more than the file a crash left."""
    return (NAMESPACES / namespace).exists() and succeeds(
        "ip", "-n", namespace, "link", "show", "lo"
    )


def create_switch(plan: LabPlan) -> None:
    """Make the lab's namespace with its bridge and the addresses on it, unless it is whole."""
    if switch_whole(plan):
        return
    delete(plan.namespace)
    run("ip", "netns", "add", plan.namespace)
    steps = [
        "link set lo up",
        f"link add {BRIDGE} type bridge forward_delay 0",
        *(f"address add {address} dev {BRIDGE}" for address in switch_addresses(plan)),
        # Answered at once with "unreachable": a machine that asks the outside must not wait.
        "route add unreachable default",
        f"link set {BRIDGE} up",
    ]
    for step in steps:
        run("ip", "-n", plan.namespace, *step.split())
    run("ip", "netns", "exec", plan.namespace, "sysctl", "-qw", "net.ipv4.ip_forward=1")


def switch_addresses(plan: LabPlan) -> list[str]:
    """The bridge's addresses, the operator's first: it is the source of what the host sends."""
    others = dict.fromkeys((plan.operator, plan.router, plan.registry))
    return [f"{address}/{plan.network.prefixlen}" for address in others]


def switch_whole(plan: LabPlan) -> bool:
    """Whether the switch was made to the end: bringing the bridge up is the last step but one."""
    if not usable(plan.namespace):
        return False
    shown = run(
        "ip", "-n", plan.namespace, "-o", "address", "show", "dev", BRIDGE, "up", check=False
    )
    return all(f" {address} " in shown for address in switch_addresses(plan))


def plug_in(plan: LabPlan, machine: MachinePlan) -> None:
    """Give a machine a fresh namespace, wired to the switch, with its address and route.

    Fresh at every boot: packet filter rules die with a machine's power.
    """
    namespace = plan.machine_namespace(machine.name)
    unplug(plan, machine)
    run("ip", "netns", "add", namespace)
    run(
        *("ip", "-n", plan.namespace, "link", "add", port(machine), "type", "veth"),
        *("peer", "name", "eth0", "netns", namespace),
    )
    run("ip", "-n", plan.namespace, "link", "set", port(machine), "master", BRIDGE, "up")
    for step in (
        "link set lo up",
        f"address add {machine.address}/{plan.network.prefixlen} broadcast + dev eth0",
        "link set eth0 up",
        f"route add default via {plan.router}",
    ):
        run("ip", "-n", namespace, *step.split())


def unplug(plan: LabPlan, machine: MachinePlan) -> None:
    """Take a machine off the switch; its old cable would otherwise linger while it dies."""
    succeeds("ip", "-n", plan.namespace, "link", "delete", port(machine))
    delete(plan.machine_namespace(machine.name))


def port(machine: MachinePlan) -> str:
    """The machine's port on the switch: an interface name has fifteen characters at most."""
    return f"p{int(machine.address):x}"


def delete(namespace: str) -> None:
    """Delete a namespace, or what is left of one."""
    path = NAMESPACES / namespace
    if path.exists() and not succeeds("ip", "netns", "delete", namespace):
        path.unlink(missing_ok=True)


def enter(namespace: str) -> None:
    """Move the calling thread, and it alone, into a namespace.

    Raises:
        OSError: There is no such namespace, or no permission.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    handle = os.open(NAMESPACES / namespace, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if libc.setns(handle, CLONE_NEWNET) != 0:
            error = ctypes.get_errno()
            raise OSError(error, os.strerror(error), namespace)
    finally:
        os.close(handle)


def open_socket(namespace: str) -> socket.socket:
    """A TCP socket that lives in a namespace: it stays where it was made."""

    def make() -> socket.socket:
        enter(namespace)
        return socket.socket(socket.AF_INET, socket.SOCK_STREAM)

    # The thread ends with the pool and takes its change of namespace along.
    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(make).result()


def first_bytes(namespace: str, address: IPv4Address, port: int, seconds: float = 1.0) -> bytes:
    """What a server in the lab says first; nothing when it does not answer in time."""
    try:
        with open_socket(namespace) as connection:
            connection.settimeout(seconds)
            connection.connect((str(address), port))
            return connection.recv(64)
    except OSError:
        return b""


def accepts(namespace: str, address: IPv4Address, port: int, seconds: float = 1.0) -> bool:
    """Whether a server in the lab takes a connection."""
    try:
        with open_socket(namespace) as connection:
            connection.settimeout(seconds)
            connection.connect((str(address), port))
    except OSError:
        return False
    return True
