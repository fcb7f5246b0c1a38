"""A cluster as its API tells it: pods, namespaces, policies; and the tables of its nodes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from typing import Any

from services.policies import objects
from services.policies.table import Cluster, Table, table

Document = dict[str, Any]

NODES = (IPv4Network("10.244.0.0/24"), IPv4Network("10.244.1.0/24"))
"""The two nodes' shares of the pods' network."""


@dataclass
class Told:
    """What an API tells.

    Attributes:
        pods: by name, which no two namespaces share.
    """

    pods: dict[str, Document] = field(default_factory=dict)
    namespaces: list[Document] = field(default_factory=list)
    policies: list[Document] = field(default_factory=list)

    def cluster(self) -> Cluster:
        """As the program keeps it."""
        pods = [found for told in self.pods.values() if (found := objects.pod(told)) is not None]
        return Cluster(
            [objects.policy(told) for told in self.policies],
            pods,
            [objects.namespace(told) for told in self.namespaces],
        )

    def table(self, own: IPv4Network = NODES[0]) -> Table:
        """A node's."""
        return table(self.cluster(), own)

    def address(self, pod: str) -> str:
        """A pod's."""
        return str(self.pods[pod]["status"]["podIP"])


def pod(
    name: str,
    address: str,
    *,
    namespace: str = "shop",
    labels: Mapping[str, str] | None = None,
    ports: Iterable[Document] = (),
    **status: Any,
) -> Document:
    """A pod that runs."""
    return {
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": dict({"app": name} if labels is None else labels),
        },
        "spec": {"containers": [{"name": "it", "ports": list(ports)}]},
        "status": {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}], **status},
    }


def namespace(name: str, **labels: str) -> Document:
    """A namespace, with the label that each has."""
    return {"metadata": {"name": name, "labels": {"kubernetes.io/metadata.name": name, **labels}}}


def policy(
    name: str, pods: Document | None = None, *, namespace: str = "shop", **spec: Any
) -> Document:
    """A policy, of all pods of its namespace where it does not say."""
    return {
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"podSelector": pods or {}, **spec},
    }


def app(name: str) -> Document:
    """A selector of the pods of an application."""
    return {"matchLabels": {"app": name}}
