"""Pods, namespaces and network policies: what of them decides who may connect to whom."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, ip_address, ip_network
from typing import Any, Literal

Document = Mapping[str, Any]
"""As the API tells it."""

OPERATORS = frozenset({"In", "NotIn", "Exists", "DoesNotExist"})
FINISHED = frozenset({"Succeeded", "Failed"})
"""Phases of pods whose addresses may be others' by now."""


@dataclass(frozen=True, slots=True)
class Expression:
    """A condition on a label; without a label, `NotIn` and `DoesNotExist` hold."""

    key: str
    operator: str
    values: frozenset[str]

    def holds(self, labels: Mapping[str, str]) -> bool:
        """Whether it is met."""
        if self.operator in {"In", "NotIn"}:
            return (labels.get(self.key) in self.values) is (self.operator == "In")
        return (self.key in labels) is (self.operator == "Exists")


@dataclass(frozen=True, slots=True)
class Selector:
    """Conditions on labels, all of which have to hold; none of them: everything."""

    labels: tuple[tuple[str, str], ...] = ()
    expressions: tuple[Expression, ...] = ()

    def selects(self, labels: Mapping[str, str]) -> bool:
        """Whether all hold."""
        return all(labels.get(key) == value for key, value in self.labels) and all(
            expression.holds(labels) for expression in self.expressions
        )


@dataclass(frozen=True, slots=True)
class Block:
    """Addresses, but for some of them; None of it is of IPv4 where the whole is not."""

    network: IPv4Network | None
    but: tuple[IPv4Network, ...] = ()


@dataclass(frozen=True, slots=True)
class Peer:
    """The other end of a connection: a block of addresses, or pods.

    Attributes:
        namespaces: in which the pods are; None is the policy's own.
        pods: None is all of them.
    """

    block: Block | None = None
    namespaces: Selector | None = None
    pods: Selector | None = None


@dataclass(frozen=True, slots=True)
class Port:
    """Where a connection is opened to.

    Attributes:
        number: a name is that of a container's port; None is every port.
        last: of a range that begins with the number.
    """

    protocol: str = "TCP"
    number: int | str | None = None
    last: int | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """Connections that are admitted; no peers are everybody, no ports are all."""

    peers: tuple[Peer, ...] = ()
    ports: tuple[Port, ...] = ()


@dataclass(frozen=True, slots=True)
class Policy:
    """What the pods that it selects are held to.

    Attributes:
        ingress: who may connect to them; None where it does not say.
        egress: whom they may connect to; None where it does not say.
    """

    namespace: str
    name: str
    pods: Selector = Selector()
    ingress: tuple[Rule, ...] | None = None
    egress: tuple[Rule, ...] | None = None


@dataclass(frozen=True, slots=True)
class Namespace:
    """A namespace with its labels."""

    name: str
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod with an address of its own.

    Attributes:
        ports: its containers' names of ports: name, protocol, number.
    """

    namespace: str
    name: str
    address: IPv4Address
    labels: Mapping[str, str] = field(default_factory=dict)
    ports: tuple[tuple[str, str, int], ...] = ()

    def called(self, port: str, protocol: str) -> tuple[int, ...]:
        """The numbers of its ports of a name."""
        wanted = (port, protocol)
        return tuple(number for name, by, number in self.ports if (name, by) == wanted)


def pod(told: Document) -> Pod | None:
    """A pod; None where it has no address of its own: its node's, none yet, or none any more."""
    spec, status = told["spec"], told.get("status") or {}
    addresses = [entry["ip"] for entry in status.get("podIPs") or ()] or [status.get("podIP")]
    found = [address for text in addresses if text and (address := ip_address(text)).version == 4]  # noqa: PLR2004
    if spec.get("hostNetwork") or status.get("phase") in FINISHED or not found:
        return None
    # A container that is begun before the others and goes on beside them has ports, too.
    beside = [c for c in spec.get("initContainers") or () if c.get("restartPolicy") == "Always"]
    ports = tuple(
        (port["name"], port.get("protocol") or "TCP", int(port["containerPort"]))
        for container in (*spec["containers"], *beside)
        for port in container.get("ports") or ()
        if port.get("name")
    )
    data = told["metadata"]
    return Pod(data["namespace"], data["name"], found[0], data.get("labels") or {}, ports)


def namespace(told: Document) -> Namespace:
    """A namespace."""
    return Namespace(told["metadata"]["name"], told["metadata"].get("labels") or {})


def policy(told: Document) -> Policy:
    """A network policy.

    One that does not say of which ways it is is of ingress, and of egress where it has rules of it.
    """
    data, spec = told["metadata"], told["spec"]
    types = spec.get("policyTypes") or ["Ingress", *(["Egress"] if spec.get("egress") else [])]
    return Policy(
        data["namespace"],
        data["name"],
        _selector(spec.get("podSelector") or {}),
        _rules(spec.get("ingress"), "from") if "Ingress" in types else None,
        _rules(spec.get("egress"), "to") if "Egress" in types else None,
    )


def _rules(told: Sequence[Document] | None, end: Literal["from", "to"]) -> tuple[Rule, ...]:
    return tuple(
        Rule(
            tuple(map(_peer, rule.get(end) or ())),
            tuple(map(_port, rule.get("ports") or ())),
        )
        for rule in told or ()
    )


def _peer(told: Document) -> Peer:
    if block := told.get("ipBlock"):
        return Peer(_block(block))
    namespaces, pods = (
        None if told.get(key) is None else _selector(told[key])
        for key in ("namespaceSelector", "podSelector")
    )
    return Peer(None, namespaces, pods)


def _block(told: Document) -> Block:
    network, *but = (
        found if isinstance(found := ip_network(text, strict=False), IPv4Network) else None
        for text in (told["cidr"], *(told.get("except") or ()))
    )
    return Block(network, tuple(hole for hole in but if hole is not None))


def _port(told: Document) -> Port:
    number, last = told.get("port"), told.get("endPort")
    if not isinstance(number, int | str | None) or not isinstance(last, int | None):
        raise ValueError(f"a policy's port {number!r} is neither a number nor a name")  # noqa: TRY004
    return Port(told.get("protocol") or "TCP", number, last)


def _selector(told: Document) -> Selector:
    return Selector(
        tuple((told.get("matchLabels") or {}).items()),
        tuple(
            Expression(one["key"], _operator(one), frozenset(one.get("values") or ()))
            for one in told.get("matchExpressions") or ()
        ),
    )


def _operator(told: Document) -> str:
    found = str(told["operator"])
    if found not in OPERATORS:
        raise ValueError(f"a selector's operator {found!r} is not known")
    return found
