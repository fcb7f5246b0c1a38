"""Ports of this computer's loopback that lead into the lab.

The sockets are opened in the host's namespace and handed to a process in the lab's: the host
gets no route to the lab, and the lab none to the host. A machine's restart does not touch it.
"""

from __future__ import annotations

import socket
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from inventory.errors import HearthError
from sandbox import network
from sandbox.files import write_whole
from sandbox.parts import Part

if TYPE_CHECKING:
    from sandbox.plan import Forward, LabPlan

NAME = "forwards"
LOOPBACK = "127.0.0.1"


def part(plan: LabPlan) -> Part:
    """The forwarder as a running part."""
    return Part(plan, NAME)


def start(plan: LabPlan) -> None:
    """Start the forwarder, unless it runs with these very forwards."""
    forwarder, routes = part(plan), plan.state / "forwards"
    wanted = "".join(f"{route.listen_port} {route.host}:{route.port}\n" for route in plan.forwards)
    if forwarder.running() and routes.exists() and routes.read_text() == wanted:
        return
    forwarder.stop()
    if not plan.forwards:
        return
    with ExitStack() as open_until_started:
        targets = {
            open_until_started.enter_context(listen(route)).fileno(): route
            for route in plan.forwards
        }
        launch(plan, forwarder, targets)
    forwarder.wait_until(lambda: answers(plan), seconds=10)
    write_whole(routes, wanted)


def launch(plan: LabPlan, forwarder: Part, targets: dict[int, Forward]) -> None:
    """Start the relay in the lab's namespace with the sockets that it is to serve."""
    groups = forwarder.group.create()
    forwarder.start(
        [
            *("nsenter", f"--net={network.NAMESPACES / plan.namespace}"),
            *(sys.executable, "-I", str(Path(__file__).with_name("relay.py"))),
            ":".join(map(str, groups)),
            *(f"{descriptor}={route.host}:{route.port}" for descriptor, route in targets.items()),
        ],
        pass_fds=tuple(targets),
    )


def listen(route: Forward) -> socket.socket:
    """Listen on a port of loopback.

    Raises:
        HearthError: The port is taken.
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((LOOPBACK, route.listen_port))
    except OSError as error:
        listener.close()
        raise HearthError(
            f"forward to {route.host}:{route.port}: port {route.listen_port} of {LOOPBACK} "
            f"cannot be had ({error.strerror}); stop what holds it, or choose another port"
        ) from error
    listener.listen(128)
    return listener


def answers(plan: LabPlan) -> bool:
    """Whether the relay has its sockets: it has joined its groups and serves."""
    return bool(part(plan).group.pids()) and all(
        connects(route.listen_port) for route in plan.forwards
    )


def connects(port: int) -> bool:
    """Whether a port of loopback takes a connection."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=1):
            return True
    except OSError:
        return False
