"""Keeps the kernel's table as the API's policies want it."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import NoReturn, Protocol

from services.policies import kernel
from services.policies.api import Api
from services.policies.mirror import Mirror
from services.policies.objects import Namespace, Pod, Policy, namespace, pod, policy
from services.policies.table import Cluster, Table, table

LOG = logging.getLogger("hearth-policies")
SETTLES_S = 0.1
"""Changes come together: a pod's end and the next one's begin."""
LOOKS_AGAIN_S = 30
"""Whoever flushes the machine's rules takes the table with them."""
TRIES_AGAIN_S = 5


class Kernel(Protocol):
    """What takes tables."""

    def load(self, text: str) -> None:
        """Replaces the table."""

    def is_loaded(self) -> bool:
        """Whether there is one."""


@dataclass(frozen=True, slots=True)
class Mirrors:
    """What the API tells, kept up to date."""

    policies: Mirror[Policy]
    pods: Mirror[Pod]
    namespaces: Mirror[Namespace]
    changed: threading.Event

    @classmethod
    def of(cls, api: Api) -> Mirrors:
        """Those of an API, nothing of them known yet."""
        changed = threading.Event()
        policies = "/apis/networking.k8s.io/v1/networkpolicies"
        return cls(
            Mirror(api, policies, policy, changed),
            Mirror(api, "/api/v1/pods", pod, changed),
            Mirror(api, "/api/v1/namespaces", namespace, changed),
            changed,
        )

    def follow(self) -> None:
        """Has each followed by a thread of its own, which ends with the program."""
        for mirror in (self.policies, self.pods, self.namespaces):
            threading.Thread(target=mirror.follow, daemon=True).start()

    def cluster(self) -> Cluster | None:
        """All of it; None until everything has been listed once."""
        policies, pods = self.policies.all(), self.pods.all()
        namespaces = self.namespaces.all()
        if policies is None or pods is None or namespaces is None:
            return None
        return Cluster(policies, pods, namespaces)


class Engine:
    """Loads a table when it differs from the one that is loaded.

    Args:
        own: the node's share of the pods' network.
        into: where tables are loaded.
    """

    def __init__(self, own: IPv4Network, into: Kernel = kernel) -> None:
        self._own, self._kernel = own, into
        self._loaded = ""

    def begin(self) -> None:
        """Closes the node's pods where nothing is loaded, as after a boot: no kubelet runs yet.

        What an earlier run has loaded stays until more is known.

        Raises:
            KernelError: it cannot be loaded.
        """
        if not self._kernel.is_loaded():
            self._kernel.load(table(Cluster(), self._own).text)
            LOG.info("no rules were loaded: the pods of %s are closed until they are", self._own)

    def keep(self, cluster: Cluster) -> Table | None:
        """Loads the cluster's table; None where it is there.

        Raises:
            KernelError: it is refused.
        """
        found = table(cluster, self._own)
        if found.text == self._loaded and self._kernel.is_loaded():
            return None
        self._kernel.load(found.text)
        self._loaded = found.text
        return found


def run(engine: Engine, mirrors: Mirrors) -> NoReturn:
    """Holds the node's pods to the policies, for as long as it runs.

    Raises:
        KernelError: not even the first table can be loaded.
    """
    engine.begin()
    notify("READY=1", "STATUS=waits for the API")
    mirrors.follow()
    wait: float = LOOKS_AGAIN_S
    while True:
        if mirrors.changed.wait(wait):
            time.sleep(SETTLES_S)
            mirrors.changed.clear()
        wait = LOOKS_AGAIN_S
        cluster = mirrors.cluster()
        if cluster is not None and not kept(engine, cluster):
            wait = TRIES_AGAIN_S


def kept(engine: Engine, cluster: Cluster) -> bool:
    """Whether the table is as it has to be; tells of each that is loaded and each that is not."""
    try:
        found = engine.keep(cluster)
    except kernel.KernelError as error:
        LOG.error("%s; tried again in %d s", error, TRIES_AGAIN_S)  # noqa: TRY400 - for people
        return False
    if found is not None:
        said = f"{found.rules} rules for {found.pods} pods"
        LOG.info("%s", said)
        notify(f"STATUS={said}")
    return True


def notify(*states: str) -> None:
    """Tells systemd, where that has started the program."""
    address = os.environ.get("NOTIFY_SOCKET")
    if address:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as to:
            to.connect(address.replace("@", "\0", 1) if address.startswith("@") else address)
            to.sendall("\n".join(states).encode())
