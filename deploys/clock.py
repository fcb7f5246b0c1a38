"""Time: machines ask the site's time servers and the lab's own, which goes on without the others.

Certificates and logs depend on it.
"""

from __future__ import annotations

from ipaddress import ip_address

from pyinfra.api import deploy

from deploys.facts.machine import Machine
from deploys.files import config_file
from deploys.units import running
from inventory.model import Site
from templates import render

PACKAGES = ("chrony",)


def settings(site: Site, host_name: str) -> str:
    """The text of chrony's file.

    A name may stand for several servers, and one of them that is wrong is outvoted.
    """
    sources = [
        {"kind": "server" if _is_address(name) else "pool", "name": name}
        for name in site.time_sources(host_name)
    ]
    tells = site.network.cidr if host_name in site.time_hosts else None
    return render("chrony/chrony.conf.j2", sources=sources, tells=tells)


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


@deploy("Time")
def clock(machine: Machine, site: Site, host_name: str) -> None:
    """Runs chrony; a container has its host's clock and cannot set it, but it can tell it."""
    config_file(
        "Time servers",
        "/etc/chrony/chrony.conf",
        settings(site, host_name),
        then="systemctl try-restart chrony",
    )
    if machine.container and host_name not in site.time_hosts:
        return
    if machine.container:
        config_file(
            "Time without setting it",
            "/etc/systemd/system/chrony.service.d/hearth.conf",
            render("systemd/chrony-tells.conf.j2"),
            then="systemctl daemon-reload && systemctl try-restart chrony",
        )
    running("Time is kept", "chrony.service")
