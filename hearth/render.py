"""Writes the configuration files of a site to a folder, for people to look at."""

from __future__ import annotations

from pathlib import Path

from components.homelab.monitoring.files import settings_files
from components.homelab.monitoring.handbook import handbook
from components.homelab.monitoring.rules import rule_tests
from components.homelab.network import dnsmasq_files
from components.homelab.routing import haproxy_config, kong_config, limits_lua, nginx_config
from inventory.flows import SSH_PORT, flows_into, forwarded
from inventory.model import Site
from inventory.ssh import ssh_config
from templates import render

BLANK = "(secret)"


def render_site(site: Site, folder: Path) -> list[Path]:
    """Writes every file that is rendered from the site; returns their paths."""
    kinds = {p.kind_name for p in site.on_host(site.gateway)}
    files = {"ssh_config": ssh_config(site)}
    if "nginx" in kinds:
        files[f"{site.gateway}/nginx.conf"] = nginx_config(site)
    if "haproxy" in kinds:
        files[f"{site.gateway}/haproxy.cfg"] = haproxy_config(site)
        files[f"{site.gateway}/limits.lua"] = limits_lua(site)
    if "kong" in kinds:
        files[f"{site.gateway}/kong.yaml"] = kong_config(
            site, BLANK, dict.fromkeys(site.api_clients, BLANK)
        )
    own_networks, own_sources = forwarded(site)
    for name in site.hosts:
        files[f"{name}/nftables.conf"] = render(
            "nftables/nftables.conf.j2",
            flows=flows_into(site, name),
            ssh_port=SSH_PORT,
            own_networks=own_networks,
            own_sources=own_sources,
        )
    for placement in site.by_kind.get("network-tools", []):
        if placement.provisioned:
            folder_there = f"{placement.host_name}/{placement.name}"
            texts = dnsmasq_files(site)
            files |= {f"{folder_there}/{name}": text for name, text in texts.items()}
    files |= _monitoring(site)
    paths = []
    for name, text in files.items():
        path = folder / site.name / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        paths.append(path)
    return paths


def _monitoring(site: Site) -> dict[str, str]:
    """What watches the site, by file."""
    files: dict[str, str] = {}
    for placement in site.placements():
        if not placement.provisioned:
            continue
        folder = f"{placement.host_name}/{placement.name}"
        files |= {f"{folder}/{name}": text for name, text in settings_files(placement).items()}
        if placement.kind_name == "prometheus":
            files[f"{folder}/rules_test.yml"] = rule_tests(site)
            files["alerts.md"] = handbook(site)
    return files
