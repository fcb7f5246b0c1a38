"""How the smoke suites reach a site: through its gateway, its ssh, and from outside."""

from __future__ import annotations

import os
from pathlib import Path

from inventory.errors import HearthError
from inventory.model import KEY_HEADER, Site
from inventory.paths import state_dir
from inventory.ssh import lab_namespace, write_ssh_config
from smoke.access import Access

HTTPS = 443
KEY_VARIABLE = "HEARTH_API_KEY"


def gateway_url(site: Site) -> str:
    """Where this machine reaches the gateway: a forwarded port in a sandbox."""
    if site.sandbox is not None:
        for listen_port, port in site.sandbox.forwards.items():
            if port == HTTPS:
                return f"https://127.0.0.1:{listen_port}"
    return f"https://{site.hosts[site.gateway].address}"


def key_file(site: Site) -> Path:
    """The header with the smoke suites' key, as `curl -H @FILE` reads it; `Stack` writes it."""
    return state_dir(site.name) / "smoke.header"


def smoke_key(site: Site) -> str:
    """The key that the smoke suites ask with: HEARTH_API_KEY, else the file's; empty without keys.

    Raises:
        HearthError: The site has clients, and there is neither.
    """
    if given := os.environ.get(KEY_VARIABLE):
        return given
    if not site.api_clients:
        return ""
    file = key_file(site)
    if not file.is_file():
        raise HearthError(
            f"{file}: no API key there; `hearth provision` writes it, "
            f"or put one into {KEY_VARIABLE}"
        )
    return file.read_text().strip().removeprefix(f"{KEY_HEADER}: ")


def access_to(site: Site) -> Access:
    """The ways into a site from this machine."""
    enter = ("nsenter", f"--net=/run/netns/{lab_namespace(site.name)}") if site.sandbox else ()
    return Access(
        gateway_url=gateway_url(site),
        ssh_config=write_ssh_config(site),
        ca_file=state_dir(site.name) / "ca.crt",
        connect_command=enter,
        outside_address=site.sandbox.operator if site.sandbox else None,
        api_key=smoke_key(site),
    )
