"""Who may connect to whom: nobody, except along the edges of the table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pulumi
from pulumi_kubernetes.networking.v1 import NetworkPolicy

from components.fixai.pods import Document, metadata, selector
from inventory.fixai_edges import FOREIGN, INTERNET, WORLD, Edge, namespace_of

_NAMESPACE = "kubernetes.io/metadata.name"
_DNS = {
    "namespaceSelector": {"matchLabels": {_NAMESPACE: "kube-system"}},
    "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
}
_PRIVATE = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "100.64.0.0/10")
_BOTH = ["Ingress", "Egress"]


@dataclass(frozen=True, slots=True)
class NetworkArgs:
    """Who is admitted where.

    Attributes:
        namespaces: in which nothing else is.
        edges: all of them.
        after: what has to be there before.
    """

    namespaces: Sequence[str]
    edges: Sequence[Edge]
    after: Sequence[pulumi.Resource] = ()


class Network(pulumi.ComponentResource):
    """In each namespace a policy that forbids everything but names, and one for each workload.

    Both ends have to admit a connection. `services.policies` enforces it on each node.
    """

    def __init__(
        self, name: str, args: NetworkArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("hearth:fixai:Network", name, None, opts)
        own = pulumi.ResourceOptions(parent=self, depends_on=list(args.after))
        for namespace in args.namespaces:
            for called, spec in (("nothing", nothing()), ("names", names())):
                NetworkPolicy(
                    f"{name}-{namespace}-{called}",
                    metadata=metadata(called, namespace),
                    spec=spec,
                    opts=own,
                )
        for workload in _workloads(args.edges):
            NetworkPolicy(
                f"{name}-{workload}",
                metadata=metadata(workload, namespace_of(workload)),
                spec=admitted(workload, args.edges),
                opts=own,
            )
        self.register_outputs({})


def nothing() -> Document:
    """No pod of the namespace connects to anybody or is connected to."""
    return {"podSelector": {}, "policyTypes": _BOTH}


def names() -> Document:
    """Every pod may ask the cluster's name server."""
    ports = [{"protocol": protocol, "port": 53} for protocol in ("UDP", "TCP")]
    egress = [{"to": [_DNS], "ports": ports}]
    return {"podSelector": {}, "policyTypes": ["Egress"], "egress": egress}


def admitted(workload: str, edges: Iterable[Edge]) -> Document:
    """A workload's edges, in and out."""
    within = [edge for edge in edges if edge.target == workload]
    out = [edge for edge in edges if edge.source == workload]
    rules = {
        "ingress": [{"from": [_peer(e.source, e.target)], "ports": _port(e)} for e in within],
        "egress": [{"to": [_peer(e.target, e.source)], "ports": _port(e)} for e in out],
    }
    # Stored, an empty list is none: written as one, it would look changed at each update.
    given = {way: listed for way, listed in rules.items() if listed}
    return {"podSelector": selector(workload), "policyTypes": _BOTH, **given}


def _workloads(edges: Sequence[Edge]) -> list[str]:
    outside = {WORLD, INTERNET, *FOREIGN}
    ends = dict.fromkeys(end for edge in edges for end in (edge.source, edge.target))
    return [end for end in ends if end not in outside]


def _port(edge: Edge) -> list[Document]:
    return [{"protocol": "TCP", "port": edge.port}]


def _peer(other: str, own: str) -> Document:
    """One end of a connection, as seen from the other."""
    if other == WORLD:
        return {"ipBlock": {"cidr": "0.0.0.0/0"}}
    if other == INTERNET:
        return {"ipBlock": {"cidr": "0.0.0.0/0", "except": list(_PRIVATE)}}
    namespace = {"namespaceSelector": {"matchLabels": {_NAMESPACE: namespace_of(other)}}}
    if other in FOREIGN:
        return namespace
    found: Document = {"podSelector": selector(other)}
    return found if namespace_of(other) == namespace_of(own) else {**namespace, **found}
