"""From policies to the text of a table of nftables: one node's share of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import Literal

from services.policies.objects import Namespace, Peer, Pod, Policy, Port, Rule
from services.policies.ranges import Range, merged, without

TABLE = "hearth-policies"
EVERYBODY: Range = (0, 2**32 - 1)
EVERY_PORT: Range = (0, 2**16 - 1)
ANY_PROTOCOL = ""
_LONGEST_COMMENT = 128
"""Characters, nftables' own limit."""

Way = Literal["in", "out"]
Ranges = tuple[Range, ...]


@dataclass(frozen=True, slots=True)
class Cluster:
    """What the API tells."""

    policies: Sequence[Policy] = ()
    pods: Sequence[Pod] = ()
    namespaces: Sequence[Namespace] = ()


@dataclass(frozen=True, slots=True)
class Table:
    """A table as `nft -f` takes it: it replaces the one before it at once.

    Attributes:
        pods: how many of the node's pods are held to policies.
        rules: how many rules admit something to them.
    """

    text: str
    pods: int
    rules: int


@dataclass(frozen=True, slots=True)
class Opening:
    """Connections that a policy admits to a pod or from it.

    Attributes:
        others: addresses at the other end.
        ports: of the end that is connected to.
        by: the policy.
    """

    others: Ranges
    protocol: str
    ports: Ranges
    by: str


def table(cluster: Cluster, own: IPv4Network) -> Table:
    """The rules for the pods whose addresses are of the node's share of the pods' network.

    An address that no pod has, or more than one, is closed: it is a pod's that has just begun,
    before it is known to whom it may speak.
    """
    pods = _unambiguous(cluster.pods)
    namespaces = {each.name: each for each in cluster.namespaces}
    own_pods = [pod for pod in pods if pod.address in own]
    maps: dict[Way, list[str]] = {"in": [], "out": []}
    chains, rules, held = [], 0, set()
    for pod in own_pods:
        for way, jumps in maps.items():
            openings = admitted(pod, way, cluster.policies, pods, namespaces)
            if openings is None:
                continue
            held.add(pod.address)
            rules += len(openings)
            jumps.append(f"{pod.address} : jump {way}-{pod.address}")
            chains += _chain(pod, way, openings)
    lines = [
        "set known {",
        "    type ipv4_addr",
        *_elements([str(pod.address) for pod in own_pods]),
        "}",
        *_map("leaving", maps["out"]),
        *_map("arriving", maps["in"]),
        *chains,
        *_hooks(own),
    ]
    head = f"table ip {TABLE}\ndelete table ip {TABLE}\ntable ip {TABLE} {{\n"
    text = head + "".join(f"    {line}\n" for line in lines) + "}\n"
    return Table(text, len(held), rules)


def admitted(
    pod: Pod,
    way: Way,
    policies: Iterable[Policy],
    pods: Sequence[Pod],
    namespaces: Mapping[str, Namespace],
) -> list[Opening] | None:
    """What the policies that select a pod admit together; None where none of them says."""
    said = [
        (policy, rules)
        for policy in sorted(policies, key=lambda each: (each.namespace, each.name))
        if policy.namespace == pod.namespace
        and policy.pods.selects(pod.labels)
        and (rules := policy.ingress if way == "in" else policy.egress) is not None
    ]
    if not said:
        return None
    found = [
        opening
        for policy, rules in said
        for rule in rules
        for opening in _openings(rule, policy, pod if way == "in" else None, pods, namespaces)
    ]
    return list(dict.fromkeys(found))


def _openings(
    rule: Rule,
    policy: Policy,
    target: Pod | None,
    pods: Sequence[Pod],
    namespaces: Mapping[str, Namespace],
) -> Iterator[Opening]:
    """What a rule admits, with the ports that belong to the same addresses together.

    Args:
        rule: of the policy.
        policy: tells whose namespace is meant where none is.
        target: whose port's name is meant; None where it is each peer's.
        pods: all there are.
        namespaces: by name.
    """
    chosen = [pod for pod in pods if _chooses(rule, policy, pod, namespaces)]
    blocks = [found for peer in rule.peers for found in _block(peer)]
    others = merged([*blocks, *map(_address, chosen)]) if rule.peers else (EVERYBODY,)
    ends: dict[tuple[str, Range], list[Range]] = defaultdict(list)
    for port in rule.ports or (Port(ANY_PROTOCOL),):
        if not isinstance(port.number, str):
            ends[port.protocol, _numbers(port)] += others
        elif target is not None:
            for number in target.called(port.number, port.protocol):
                ends[port.protocol, (number, number)] += others
        else:
            for pod in chosen:
                for number in pod.called(port.number, port.protocol):
                    ends[port.protocol, (number, number)].append(_address(pod))
    together: dict[tuple[str, Ranges], list[Range]] = defaultdict(list)
    for (protocol, numbers), addresses in ends.items():
        if addresses:
            together[protocol, merged(addresses)].append(numbers)
    for (protocol, reached), ports in together.items():
        yield Opening(reached, protocol, merged(ports), f"{policy.namespace}/{policy.name}")


def _chooses(rule: Rule, policy: Policy, pod: Pod, namespaces: Mapping[str, Namespace]) -> bool:
    """Whether one of a rule's peers selects a pod; without peers all are selected."""
    return not rule.peers or any(
        _is(peer, policy, pod, namespaces) for peer in rule.peers if peer.block is None
    )


def _is(peer: Peer, policy: Policy, pod: Pod, namespaces: Mapping[str, Namespace]) -> bool:
    if peer.namespaces is None:
        here = pod.namespace == policy.namespace
    else:
        found = namespaces.get(pod.namespace)
        here = found is not None and peer.namespaces.selects(found.labels)
    return here and (peer.pods is None or peer.pods.selects(pod.labels))


def _block(peer: Peer) -> Ranges:
    if peer.block is None or peer.block.network is None:
        return ()
    return without(_network(peer.block.network), map(_network, peer.block.but))


def _network(network: IPv4Network) -> Range:
    return int(network.network_address), int(network.broadcast_address)


def _address(pod: Pod) -> Range:
    return int(pod.address), int(pod.address)


def _numbers(port: Port) -> Range:
    if port.number is None:
        return EVERY_PORT
    first = int(port.number)
    return first, first if port.last is None else port.last


def _unambiguous(pods: Iterable[Pod]) -> list[Pod]:
    """Those whose address nobody else claims, by address.

    After a node's boot a pod may be given the address that another one had, which still says so.
    """
    claims: dict[IPv4Address, list[Pod]] = defaultdict(list)
    for pod in pods:
        claims[pod.address].append(pod)
    return [claims[address][0] for address in sorted(claims) if len(claims[address]) == 1]


def _hooks(own: IPv4Network) -> list[str]:
    """Where packets are judged: each that opens a connection, with the addresses that pods have.

    Services' addresses are translated by then, and nothing has left in its machine's name yet.
    What the node itself sends to its pods is judged nowhere: it probes them.
    """
    unnamed = 'counter drop comment "of no pod that the API names"'
    judged_first = [
        "    ct state established,related accept",
        # Whoever a pod says to be: the way back is the wire that the packet came by.
        '    iifname "veth*" fib saddr . iif oif missing counter drop comment "in another\'s name"',
        f"    ip saddr {own} ip saddr != @known {unnamed}",
    ]
    return [
        "chain forward {",
        "    type filter hook forward priority filter; policy accept;",
        *judged_first,
        f"    ip daddr {own} ip daddr != @known {unnamed}",
        "    ip saddr vmap @leaving",
        "    ip daddr vmap @arriving",
        "}",
        "chain input {",
        "    type filter hook input priority filter; policy accept;",
        '    iifname "lo" accept',
        *judged_first,
        "    ip saddr vmap @leaving",
        "}",
    ]


def _chain(pod: Pod, way: Way, openings: Iterable[Opening]) -> list[str]:
    """What a pod may, and a counter of what it may not. Nothing keeps it from itself."""
    other = "saddr" if way == "in" else "daddr"
    refused = f"{'to' if way == 'in' else 'from'} {pod.namespace}/{pod.name}"
    return [
        f"chain {way}-{pod.address} {{",
        f"    ip {other} {pod.address} return",
        *(f"    {_condition(other, one)}return {_comment(one.by)}" for one in openings),
        f"    counter drop {_comment(refused)}",
        "}",
    ]


def _condition(other: str, opening: Opening) -> str:
    found = ""
    if opening.others != (EVERYBODY,):
        found += f"ip {other} {{ {', '.join(map(_addresses, opening.others))} }} "
    if opening.protocol == ANY_PROTOCOL:
        return found
    protocol = opening.protocol.lower()
    if opening.ports == (EVERY_PORT,):
        return f"{found}meta l4proto {protocol} "
    ports = ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in opening.ports)
    return f"{found}{protocol} dport {{ {ports} }} "


def _addresses(found: Range) -> str:
    first, last = map(IPv4Address, found)
    return str(first) if first == last else f"{first}-{last}"


def _comment(text: str) -> str:
    return f'comment "{text[:_LONGEST_COMMENT]}"'


def _map(name: str, elements: Sequence[str]) -> list[str]:
    return [f"map {name} {{", "    type ipv4_addr : verdict", *_elements(elements), "}"]


def _elements(elements: Sequence[str]) -> list[str]:
    return [f"    elements = {{ {', '.join(elements)} }}"] if elements else []
