"""The homelab stack: every provisioned service of a site on its machine's Docker engine."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import pulumi
import pulumi_docker as docker

from components.homelab.drift import KIND as DRIFT_CHECK
from components.homelab.machine import Machine, MachineArgs
from components.homelab.secrets import Secrets
from components.homelab.service import Service
from inventory.model import TIERS, Site
from inventory.services import Tier
from provider.resources import Hosts

AFTER: dict[Tier, tuple[Tier, ...]] = {"ai": ("data",), "gateway": ("data", "ai", "edge")}
"""Among which tiers a machine may have to wait: for those services that its own use, as they have
to be there before it. The gateway asks every one. The rest come up side by side."""


def secrets_from(config: pulumi.Config, site: Site) -> Secrets:
    """The stack's configuration, still secret; `hearth up` generates each once."""
    return Secrets(
        passwords={key: config.require_secret(key) for key in site.accounts()},
        tls_certificate=config.require("tlsCertificate"),
        tls_private_key=config.require_secret("tlsPrivateKey"),
        tls_authority=config.require("tlsAuthority"),
    )


def declare(site: Site, secrets: Secrets, ssh_config: Path, absent: Collection[str] = ()) -> None:
    """Declares the site's machines, tier by tier; in the last, one with a drift check at the end.

    Args:
        site: what to provision.
        secrets: passwords and the gateway's key.
        ssh_config: how ssh reaches the machines by their names.
        absent: machines that do not answer: nothing waits for what is on them, or judges it.
    """
    hosts = Hosts("hosts", str(ssh_config))
    declared: dict[str, Service] = {}
    containers: dict[str, dict[str, pulumi.Resource]] = {tier: {} for tier in TIERS}
    last = {p.host_name for p in site.by_kind.get(DRIFT_CHECK, ())}
    for tier in TIERS:
        behind = {k: c for earlier in AFTER.get(tier, ()) for k, c in containers[earlier].items()}
        for name in sorted(site.hosts, key=last.__contains__):
            host = site.hosts[name]
            if host.tier == tier and any(p.provisioned for p in site.on_host(name)):
                used = {u.reference for p in site.on_host(name) for u in p.uses}
                # The gateway asks them all.
                after = tuple(c for k, c in behind.items() if tier == "gateway" or k in used)
                engine = docker.Provider(
                    name, host=f"ssh://{name}", ssh_opts=["-F", str(ssh_config)]
                )
                machine = Machine(
                    name,
                    MachineArgs(site, name, secrets, after, {} if name in absent else declared),
                    pulumi.ResourceOptions(providers=[engine, hosts]),
                )
                if name not in absent:
                    containers[tier] |= machine.containers
    pulumi.export("gatewayUrl", f"https://{site.hosts[site.gateway].address}")
