"""The name server of the lab's network: its machines and services by name, the rest by the router.

Both files are read anew at a signal; what is fixed stands in the catalogue, as its command.
"""

from __future__ import annotations

from collections import Counter

from components.homelab.service import Extras, Service, ServiceArgs
from inventory.model import Site
from templates import render


class NetworkTools(Service):
    """dnsmasq: answers for the site's domain, and hands other names on."""

    def extras(self, args: ServiceArgs) -> Extras:
        """The names that it knows, and whom it asks for others."""
        return Extras(files=dnsmasq_files(args.site))


def dnsmasq_files(site: Site) -> dict[str, str]:
    """The text of each of its files by its name."""
    network = site.network
    names = {name: [name] for name in site.hosts}
    for alias, host_name in aliases(site).items():
        names[host_name].append(alias)
    hosts = {str(site.hosts[name].address): known for name, known in names.items()}
    return {
        "hosts": render("dnsmasq/hosts.j2", hosts=hosts, domain=network.domain),
        "servers": render("dnsmasq/servers.j2", domain=network.domain, upstream=network.router),
    }


def aliases(site: Site) -> dict[str, str]:
    """Hosts by the names that they have beside their own.

    `gateway`; a service's name, where other machines reach only one that has it; and the name of
    what the gateway hands on, which people find there.
    """
    reached = [p for p in site.placements() if p.provisioned and p.published]
    times = Counter(placement.name for placement in reached)
    found = {p.name: p.host_name for p in reached if times[p.name] == 1}
    for placement in site.on_host(site.gateway):
        if placement.provisioned:
            handed_on = [port for port in placement.ports if port in placement.kind.uses]
            found |= dict.fromkeys(handed_on, site.gateway)
    found["gateway"] = site.gateway
    return {name: host for name, host in found.items() if name not in site.hosts}
