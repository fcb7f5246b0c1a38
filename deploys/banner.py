"""What a person reads after logging in: which machine this is, and what runs on it."""

from __future__ import annotations

from pyinfra.api import deploy

from deploys.files import config_file
from inventory.model import Site
from templates import render


def greeting(site: Site, host_name: str) -> str:
    """The text: the machine, its place in the lab, its services with their ports."""
    host = site.hosts[host_name]
    services = [
        f"{placement.name} {' '.join(f':{port}' for port in placement.ports.values())}".strip()
        for placement in site.on_host(host_name)
        if placement.provisioned
    ]
    return render("motd/motd.j2", name=host_name, host=host, site_name=site.name, services=services)


@deploy("Banner")
def banner(site: Site, host_name: str) -> None:
    """Puts the text where login shows it."""
    config_file("Greeting", "/etc/motd", greeting(site, host_name))
