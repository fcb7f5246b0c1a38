"""The homelab stack: every provisioned service of a site on its machine's Docker engine."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import pulumi
import pulumi_docker as docker

from components.homelab.machine import Machine, MachineArgs
from components.homelab.secrets import Secrets
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
    )


def declare(site: Site, secrets: Secrets, ssh_config: Path, absent: Collection[str] = ()) -> None:
    """Declares the site's machines, tier by tier.

    Args:
        site: what to provision.
        secrets: passwords and the gateway's key.
        ssh_config: how ssh reaches the machines by their names.
        absent: machines that do not answer: no other one waits for what is on them.
    """
    hosts = Hosts("hosts", str(ssh_config))
    containers: dict[str, dict[str, pulumi.Resource]] = {tier: {} for tier in TIERS}
    for tier in TIERS:
        behind = {k: c for earlier in AFTER.get(tier, ()) for k, c in containers[earlier].items()}
        for name, host in site.hosts.items():
            if host.tier == tier and any(p.provisioned for p in site.on_host(name)):
                used = {u.reference for p in site.on_host(name) for u in p.uses}
                # The gateway asks them all.
                after = tuple(c for k, c in behind.items() if tier == "gateway" or k in used)
                engine = docker.Provider(
                    name, host=f"ssh://{name}", ssh_opts=["-F", str(ssh_config)]
                )
                machine = Machine(
                    name,
                    MachineArgs(site, name, secrets, after),
                    pulumi.ResourceOptions(providers=[engine, hosts]),
                )
                if name not in absent:
                    containers[tier] |= machine.containers
    pulumi.export("gatewayUrl", f"https://{site.hosts[site.gateway].address}")
