"""How the smoke suites reach a site: through its gateway, its ssh, and from outside."""

from __future__ import annotations

from inventory.model import Site
from inventory.paths import state_dir
from inventory.ssh import lab_namespace, write_ssh_config
from smoke.access import Access

HTTPS = 443


def gateway_url(site: Site) -> str:
    """Where this machine reaches the gateway: a forwarded port in a sandbox."""
    if site.sandbox is not None:
        for listen_port, port in site.sandbox.forwards.items():
            if port == HTTPS:
                return f"https://127.0.0.1:{listen_port}"
    return f"https://{site.hosts[site.gateway].address}"


def access_to(site: Site) -> Access:
    """The ways into a site from this machine."""
    enter = ("nsenter", f"--net=/run/netns/{lab_namespace(site.name)}") if site.sandbox else ()
    return Access(
        gateway_url=gateway_url(site),
        ssh_config=write_ssh_config(site),
        ca_file=state_dir(site.name) / "ca.crt",
        connect_command=enter,
        outside_address=site.sandbox.operator if site.sandbox else None,
    )
