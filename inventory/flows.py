"""The network flows that a site declares: who may open which port where.

The firewall admits exactly these, and the exposure suite holds the machines to them.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network, collapse_addresses

from inventory.model import Placement, Site
from inventory.units import Protocol

SSH_PORT = 22
NTP_PORT = 123
ANYWHERE = IPv4Network("0.0.0.0/0")
CONTAINERS = IPv4Network("172.16.0.0/12")
"""From which Docker numbers its networks."""


@dataclass(frozen=True, slots=True)
class Flow:
    """A port of a host that some sources may connect to.

    Attributes:
        sources: networks; a single host is a /32.
        reason: the service that listens, for people.
    """

    port: int
    sources: tuple[IPv4Network, ...]
    reason: str
    protocol: Protocol = "tcp"

    @property
    def open_to_all(self) -> bool:
        """Whether everybody may connect."""
        return ANYWHERE in self.sources


def flows_into(site: Site, host_name: str) -> list[Flow]:
    """What may be opened on a host, by port."""
    flows = [Flow(SSH_PORT, site.network.management, "ssh")]
    if host_name in site.time_hosts:
        flows.append(Flow(NTP_PORT, (site.network.cidr,), "time", "udp"))
    for placement in site.on_host(host_name):
        if placement.provisioned:
            flows += [
                Flow(placement.ports[port], sources, placement.name, protocol)
                for port in placement.ports
                if (sources := _sources(placement, port))
                for protocol in placement.kind.protocols_of(port)
            ]
    return sorted(flows, key=lambda flow: (flow.port, flow.protocol))


def _sources(placement: Placement, port: str) -> tuple[IPv4Network, ...]:
    """Who may open a port of a service."""
    if placement.service.exposed:
        return (ANYWHERE,)
    if placement.kind.network_wide:
        # Containers beside it ask as well: theirs is the machine's own name server.
        return tuple(collapse_addresses((placement.site.network.cidr, CONTAINERS)))
    hosts = placement.site.hosts
    sources = [IPv4Network(hosts[name].address) for name in placement.clients_of(port)]
    shape = placement.kind.container
    beside = placement.host_name in placement.site.clients[placement.reference, port]
    if beside and shape and shape.host_network:
        # It listens on the machine itself: containers beside it come from Docker's networks.
        sources.append(CONTAINERS)
    if placement.kind.administered:
        sources = list(collapse_addresses((*sources, *placement.site.network.management)))
    return tuple(sorted(sources))


def forwarded(site: Site) -> tuple[tuple[IPv4Network, ...], tuple[IPv4Network, ...]]:
    """A cluster's own networks, and who may send into them: its pods and its machines alone.

    Nothing where the site is no cluster: then a machine hands on to its own containers only.
    """
    if site.kubernetes is None:
        return (), ()
    own = (site.kubernetes.pods, site.kubernetes.services)
    machines = [IPv4Network(site.hosts[name].address) for name in site.hosts]
    return own, (site.kubernetes.pods, *machines)
