"""The network flows that a site declares: who may open which port where.

The firewall admits exactly these, and the exposure suite holds the machines to them.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network

from inventory.model import Site

SSH_PORT = 22
ANYWHERE = IPv4Network("0.0.0.0/0")


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

    @property
    def open_to_all(self) -> bool:
        """Whether everybody may connect."""
        return ANYWHERE in self.sources


def flows_into(site: Site, host_name: str) -> list[Flow]:
    """What may be opened on a host, by port."""
    flows = [Flow(SSH_PORT, site.network.management, "ssh")]
    for placement in site.on_host(host_name):
        if not (placement.published and placement.provisioned):
            continue
        sources = (
            (ANYWHERE,)
            if placement.service.exposed
            else tuple(IPv4Network(address) for address in placement.client_addresses)
        )
        flows += [Flow(port, sources, placement.name) for port in placement.ports.values()]
    return sorted(flows, key=lambda flow: flow.port)
