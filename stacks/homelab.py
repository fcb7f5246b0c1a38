"""The homelab stack: every provisioned service of a site on its machine's Docker engine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pulumi
import pulumi_docker as docker

from components.homelab.ai_node import AiNode, AiNodeArgs
from components.homelab.data_node import DataNode, DataNodeArgs
from components.homelab.gateway import Gateway, GatewayArgs
from inventory.model import TIERS, Site


@dataclass(frozen=True, slots=True)
class Secrets:
    """What the stack keeps secret; `hearth up` generates each once, as Pulumi configuration."""

    postgres_password: pulumi.Input[str]
    redis_password: pulumi.Input[str]
    tls_certificate: pulumi.Input[str]
    tls_private_key: pulumi.Input[str]

    @classmethod
    def from_config(cls, config: pulumi.Config) -> Secrets:
        """The stack's configuration, still secret."""
        return cls(
            postgres_password=config.require_secret("postgresPassword"),
            redis_password=config.require_secret("redisPassword"),
            tls_certificate=config.require("tlsCertificate"),
            tls_private_key=config.require_secret("tlsPrivateKey"),
        )


def declare(site: Site, secrets: Secrets, ssh_config: Path) -> None:
    """Declares the site's machines, tier by tier: data before AI before the gateway.

    Args:
        site: what to provision.
        secrets: passwords and the gateway's key.
        ssh_config: how ssh reaches the machines by their names.
    """
    earlier: list[pulumi.Resource] = []
    for tier in TIERS:
        hosts = [
            name
            for name, host in site.hosts.items()
            if host.tier == tier and any(p.provisioned for p in site.on_host(name))
        ]
        # Only the gateway needs the others: the rest come up side by side.
        after = list(earlier) if tier == "gateway" else []
        components = [_declare_host(site, name, secrets, ssh_config, after) for name in hosts]
        earlier += [component for component in components if component is not None]


def _declare_host(
    site: Site, host_name: str, secrets: Secrets, ssh_config: Path, after: list[pulumi.Resource]
) -> pulumi.ComponentResource | None:
    provider = docker.Provider(
        host_name, host=f"ssh://{host_name}", ssh_opts=["-F", str(ssh_config)]
    )
    opts = pulumi.ResourceOptions(providers=[provider], depends_on=after)
    tier = site.hosts[host_name].tier
    if tier == "gateway":
        gateway = Gateway(
            host_name,
            GatewayArgs(
                site,
                host_name,
                tls_certificate=secrets.tls_certificate,
                tls_private_key=secrets.tls_private_key,
                redis_password=secrets.redis_password,
            ),
            opts,
        )
        pulumi.export("gatewayUrl", gateway.url)
        return gateway
    if tier in ("ai", "edge"):
        return AiNode(host_name, AiNodeArgs(site, host_name), opts)
    if tier == "data":
        return DataNode(
            host_name,
            DataNodeArgs(site, host_name, secrets.postgres_password, secrets.redis_password),
            opts,
        )
    return None
