"""Exactly the declared ports are open: to the world, and between the hosts.

Of UDP only an answer proves anything: a silent port may be closed, or open to a program that did
not understand. So DNS and time are asked for, everywhere; no other port of UDP is judged.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from inventory.flows import SSH_PORT, Flow, flows_into
from inventory.units import Protocol, format_port
from smoke.dial import QUERIES
from smoke.probe import Sight, Target, from_host, from_outside
from smoke.verdict import Check, judged
from smoke.wording import listed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from ipaddress import IPv4Address

    from inventory.model import Site
    from smoke.bench import Bench

Opening = tuple[int, Protocol]

WELL_KNOWN = frozenset({111, 2375, 2376, 5000, 8000, 8404, 9100})
"""What tends to stand open by accident: Docker's API, a registry, admin pages, exporters."""
CONTROL_PORT = 1
"""Nothing listens here; where it is open on every host, connections prove nothing."""

_check = partial(Check, "exposure")


@dataclass(frozen=True, slots=True)
class Restricted:
    """A flow between hosts of the site."""

    host: str
    flow: Flow
    target: Target
    clients: tuple[str, ...]


async def suite(bench: Bench) -> list[Check]:
    """Dial every port that matters from outside, and every restricted one from every host."""
    site, access = bench.site, bench.access
    outside = sorted(outside_targets(site))
    inside = {host: inside_targets(site, host) for host in site.hosts}
    dials = len(outside) + sum(map(len, inside.values()))
    bench.progress(f"{dials} connections from outside and from {len(inside)} hosts")
    seen, *seen_by = await asyncio.gather(
        from_outside(access, outside),
        *(from_host(access, host, targets) for host, targets in inside.items()),
    )
    return [
        *judge_outside(site, access.outside_address, seen),
        *judge_inside(site, dict(zip(inside, seen_by, strict=True))),
    ]


def ports_of_interest(site: Site) -> frozenset[int]:
    """Every TCP port that a host declares, that a placed service has, or that is well known."""
    flows = (flow for host in site.hosts for flow in flows_into(site, host))
    declared = {flow.port for flow in flows if flow.protocol == "tcp"}
    placed = {
        port
        for placement in site.placements()
        for port in (*placement.kind.ports.values(), *placement.ports.values())
    }
    return WELL_KNOWN | declared | placed


def outside_targets(site: Site) -> set[Target]:
    """Each port of interest on each host, and the control; of UDP what can be asked."""
    dialled = ports_of_interest(site) | {CONTROL_PORT}
    addresses = [host.address for host in site.hosts.values()]
    return {Target(address, port) for address in addresses for port in dialled} | {
        Target(address, port, "udp") for address in addresses for port in QUERIES
    }


def restricted_flows(site: Site) -> list[Restricted]:
    """The flows that are for some hosts only; ssh is the operator's and judged from outside."""
    return [
        Restricted(
            name, flow, Target(host.address, flow.port, flow.protocol), _clients(site, name, flow)
        )
        for name, host in site.hosts.items()
        for flow in flows_into(site, name)
        if flow.port != SSH_PORT and not flow.open_to_all
    ]


def _clients(site: Site, host: str, flow: Flow) -> tuple[str, ...]:
    return tuple(
        name for name, other in site.hosts.items() if name != host and _admits(flow, other.address)
    )


def _admits(flow: Flow, source: IPv4Address) -> bool:
    return any(source in network for network in flow.sources)


def inside_targets(site: Site, source: str) -> list[Target]:
    """The restricted ports of the other hosts, as far as they can be asked."""
    restricted = restricted_flows(site)
    return [flow.target for flow in restricted if flow.host != source and _can_be_told(flow.flow)]


def _can_be_told(flow: Flow) -> bool:
    return flow.protocol == "tcp" or flow.port in QUERIES


def judge_outside(site: Site, source: IPv4Address | None, seen: Sight) -> list[Check]:
    """One check a host: what is open to the outside is what is declared."""
    if seen.fault:
        return [_unseen("open to the outside", seen.fault)]
    if all(Target(host.address, CONTROL_PORT) in seen.opened for host in site.hosts.values()):
        fault = f"something on the way accepts every connection, even to port {CONTROL_PORT}"
        return [_unseen("open to the outside", fault)]
    return [_outside(site, name, source, seen) for name in site.hosts]


def _outside(site: Site, name: str, source: IPv4Address | None, seen: Sight) -> Check:
    flows = [flow for flow in flows_into(site, name) if _can_be_told(flow)]
    expected = {
        (flow.port, flow.protocol)
        for flow in flows
        if flow.open_to_all or (source is not None and _admits(flow, source))
    }
    ignored = {(f.port, f.protocol) for f in flows if source is None and _for_networks(site, f)}
    address = site.hosts[name].address
    opened = {(port, protocol) for at, port, protocol in seen.opened if at == address} - ignored
    detail = _difference(expected, opened)
    dialled = {(port, "tcp") for port in ports_of_interest(site)} - ignored
    asked = {(port, "udp") for port in QUERIES} - ignored
    return _check(
        name=f"{name}: open to the outside, exactly",
        target=_ports(expected),
        figure=_ports(opened),
        verdict=judged(not detail),
        detail=detail or f"{len(dialled)} ports of TCP dialled, {len(asked)} of UDP asked",
        samples=len(dialled) + len(asked),
    )


def _for_networks(site: Site, flow: Flow) -> bool:
    """Whether it is for all of a network, in which an unknown source may be."""
    return not {site.network.cidr, *site.network.management}.isdisjoint(flow.sources)


def _ports(openings: Iterable[Opening]) -> str:
    return listed(format_port(*opening) for opening in sorted(openings))


def _difference(expected: Iterable[Opening], opened: Iterable[Opening]) -> str:
    """What is open and should not be, and the reverse; empty where they agree."""
    unexpected = set(opened) - set(expected)
    missing = set(expected) - set(opened)
    parts = (("open but not declared", unexpected), ("declared but closed", missing))
    return "; ".join(f"{what}: {_ports(openings)}" for what, openings in parts if openings)


def judge_inside(site: Site, seen_by: Mapping[str, Sight]) -> list[Check]:
    """One check a restricted flow, and one a host that could not be asked."""
    unseen = [
        _unseen(f"connections from {host}", sight.fault)
        for host, sight in seen_by.items()
        if sight.fault
    ]
    asked = {host: sight for host, sight in seen_by.items() if not sight.fault}
    return [_inside(flow, asked) for flow in restricted_flows(site)] + unseen


def _inside(flow: Restricted, seen_by: Mapping[str, Sight]) -> Check:
    port = format_port(flow.flow.port, flow.flow.protocol)
    name = f"{flow.host}: {flow.flow.reason} ({port}) reached by, exactly"
    if not _can_be_told(flow.flow):
        return _unseen(name, f"no question is known that a program at {port} answers")
    sources = [host for host in seen_by if host != flow.host]
    unasked = set(flow.clients) - set(sources)
    reached = {host for host in sources if flow.target in seen_by[host].opened}
    let_in = sorted(reached - set(flow.clients))
    shut_out = sorted(set(flow.clients) - unasked - reached)
    parts = (("not a client, yet let in", let_in), ("a client, yet shut out", shut_out))
    faults = "; ".join(f"{what}: {listed(hosts)}" for what, hosts in parts if hosts)
    closed = f"closed to {listed(host for host in sources if host not in flow.clients)}"
    return _check(
        name=name,
        target=listed(sorted(flow.clients)),
        figure=listed(sorted(reached)),
        verdict="inconclusive" if unasked and not faults else judged(not faults),
        detail=faults or (f"not asked: {listed(sorted(unasked))}" if unasked else closed),
        samples=len(sources),
    )


def _unseen(claim: str, fault: str) -> Check:
    return _check(name=claim, target="", figure="", verdict="inconclusive", detail=fault)
