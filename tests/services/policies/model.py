"""Who may connect to whom, read straight from the API's objects: slow, and written for reading."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address, ip_network
from typing import Any

from tests.services.policies.documents import Document, Told


def may(told: Told, source: str, target: str, protocol: str, port: int) -> bool:
    """Whether a connection is admitted at both ends."""
    ends = {told.address(name): document for name, document in told.pods.items()}
    sender, receiver = ends.get(source), ends.get(target)
    return _admits(told, sender, "Egress", receiver, target, receiver, protocol, port) and _admits(
        told, receiver, "Ingress", sender, source, receiver, protocol, port
    )


def _admits(  # noqa: PLR0913, PLR0917 - a connection, seen from one end
    told: Told,
    subject: Document | None,
    way: str,
    other: Document | None,
    address: str,
    receiver: Document | None,
    protocol: str,
    port: int,
) -> bool:
    if subject is None:
        return True
    isolating = [one for one in told.policies if _selects(one, subject) and way in _types(one)]
    rules = [rule for one in isolating for rule in one["spec"].get(way.lower()) or ()]
    homes = {id(rule): one["metadata"]["namespace"] for one in isolating for rule in _all(one, way)}
    end = "from" if way == "Ingress" else "to"
    return not isolating or any(
        _is_peer(told, rule.get(end), homes[id(rule)], other, address)
        and _is_port(rule, receiver, protocol, port)
        and _names_can_be_meant(told, rule, end, homes[id(rule)], other, way, protocol, port)
        for rule in rules
    )


def _all(policy: Document, way: str) -> list[Document]:
    return list(policy["spec"].get(way.lower()) or ())


def _selects(policy: Document, pod: Document) -> bool:
    same = policy["metadata"]["namespace"] == pod["metadata"]["namespace"]
    return same and _fits(policy["spec"]["podSelector"], pod["metadata"]["labels"])


def _types(policy: Document) -> list[str]:
    spec = policy["spec"]
    return spec.get("policyTypes") or ["Ingress"] + ["Egress"] * bool(spec.get("egress"))


def _is_peer(
    told: Told, peers: list[Document] | None, home: str, other: Document | None, address: str
) -> bool:
    return not peers or any(_is(told, peer, home, other, address) for peer in peers)


def _is(told: Told, peer: Document, home: str, other: Document | None, address: str) -> bool:
    if block := peer.get("ipBlock"):
        at = ip_address(address)
        return at in ip_network(block["cidr"]) and not any(
            at in ip_network(hole) for hole in block["except"]
        )
    return other is not None and _is_selected(told, peer, home, other)


def _is_selected(told: Told, peer: Document, home: str, other: Document) -> bool:
    where = other["metadata"]["namespace"]
    if "namespaceSelector" in peer:
        labels = next(n for n in told.namespaces if n["metadata"]["name"] == where)["metadata"][
            "labels"
        ]
        if not _fits(peer["namespaceSelector"], labels):
            return False
    elif where != home:
        return False
    return _fits(peer.get("podSelector") or {}, other["metadata"]["labels"])


def _is_port(rule: Document, receiver: Document | None, protocol: str, port: int) -> bool:
    ports = rule.get("ports")
    return not ports or any(_meant(one, receiver, protocol, port) for one in ports)


def _meant(told: Mapping[str, Any], receiver: Document | None, protocol: str, port: int) -> bool:
    if told.get("protocol", "TCP").lower() != protocol:
        return False
    first = told.get("port")
    if first is None:
        return True
    if isinstance(first, str):
        listed = receiver["spec"]["containers"][0]["ports"] if receiver else []
        return any(one["name"] == first and one["containerPort"] == port for one in listed)
    return bool(first <= port <= told.get("endPort", first))


def _names_can_be_meant(  # noqa: PLR0913, PLR0917 - the same connection
    told: Told,
    rule: Document,
    end: str,
    home: str,
    other: Document | None,
    way: str,
    protocol: str,
    port: int,
) -> bool:
    """A block has no pods, so that a port's name means nothing there."""
    if way == "Ingress" or not rule.get("ports"):
        return True
    numbers = [one for one in rule["ports"] if not isinstance(one.get("port"), str)]
    if any(_meant(one, None, protocol, port) for one in numbers):
        return True
    selected = [peer for peer in rule.get(end) or () if "ipBlock" not in peer]
    return not rule.get(end) or (
        other is not None and any(_is_selected(told, peer, home, other) for peer in selected)
    )


def _fits(selector: Document, labels: Mapping[str, str]) -> bool:
    wanted = selector.get("matchLabels") or {}
    return all(labels.get(key) == value for key, value in wanted.items()) and all(
        _holds(one, labels) for one in selector.get("matchExpressions") or ()
    )


def _holds(one: Document, labels: Mapping[str, str]) -> bool:
    has = one["key"] in labels
    inside = has and labels[one["key"]] in one["values"]
    return {"In": inside, "NotIn": not inside, "Exists": has, "DoesNotExist": not has}[
        one["operator"]
    ]
