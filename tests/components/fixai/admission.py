"""What network policies admit, worked out from the policies alone as a cluster would."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.components.fixai.whole import namespaces, templates
from tests.components.recorder import Recording


@dataclass(frozen=True, slots=True)
class End:
    """A pod, or somebody outside."""

    name: str
    namespace: str = ""
    labels: frozenset[tuple[str, str]] = frozenset()
    address: str = ""


def pods(recording: Recording) -> dict[str, End]:
    """A pod of each workload."""
    return {
        name: End(
            name, namespaces(recording)[name], frozenset(template["metadata"]["labels"].items())
        )
        for name, template in templates(recording).items()
    }


def admitted(recording: Recording, source: End, target: End, port: int) -> bool:
    """Whether both ends admit a connection; who is outside has no policies."""
    return _lets(recording, source, target, port, "egress", "to") and _lets(
        recording, target, source, port, "ingress", "from"
    )


def _lets(  # noqa: PLR0913, PLR0917 - the two ends, and the direction's two names
    recording: Recording, own: End, other: End, port: int, way: str, whom: str
) -> bool:
    policies = list(_policies_of(recording, own, way))
    if not policies:
        return True
    return any(
        _is_port(rule["ports"], port) and any(_is(peer, own, other) for peer in rule[whom])
        for policy in policies
        for rule in policy.get(way, ())
    )


def _policies_of(recording: Recording, own: End, way: str) -> Iterator[dict[str, Any]]:
    for policy in recording.of_type("NetworkPolicy").values():
        spec = policy.inputs["spec"]
        wanted = spec["podSelector"].get("matchLabels", {})
        if (
            own.namespace
            and policy.inputs["metadata"]["namespace"] == own.namespace
            and way.capitalize() in spec["policyTypes"]
            and wanted.items() <= dict(own.labels).items()
        ):
            yield spec


def _is_port(ports: list[dict[str, Any]], port: int) -> bool:
    return any(one["protocol"] == "TCP" and one["port"] == port for one in ports)


def _is(peer: dict[str, Any], own: End, other: End) -> bool:
    if block := peer.get("ipBlock"):
        # A block is about addresses: none of the pods' would be meant by `internet`.
        return not block.get("except") or other.address == "internet"
    if not other.namespace:
        return False
    namespace = peer.get("namespaceSelector", {}).get("matchLabels", {})
    if namespace.get("kubernetes.io/metadata.name", own.namespace) != other.namespace:
        return False
    wanted: dict[str, str] = peer.get("podSelector", {}).get("matchLabels", {})
    return wanted.items() <= dict(other.labels).items()
