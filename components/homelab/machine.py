"""A machine of the lab: its Docker network and every service that the site places on it."""

from __future__ import annotations

from dataclasses import dataclass, field

import pulumi
import pulumi_docker as docker

from components.homelab.assistant import Assistant
from components.homelab.backup import Backup
from components.homelab.drift import KIND as DRIFT_CHECK
from components.homelab.drift import DriftCheck
from components.homelab.gateway import HAProxy, Kong, Nginx
from components.homelab.jupyterhub import JupyterHub
from components.homelab.minio import Minio
from components.homelab.monitoring.services import (
    Alertmanager,
    Collector,
    Grafana,
    Loki,
    Prometheus,
)
from components.homelab.network import NetworkTools
from components.homelab.ollama import Ollama
from components.homelab.postgres import PgAdmin, Postgres, PostgresExporter
from components.homelab.redis import Redis, RedisCommander, RedisExporter
from components.homelab.secrets import Secrets
from components.homelab.service import Service, ServiceArgs
from components.homelab.sonarqube import SonarQube
from inventory.model import Placement, Site
from provider.resources import Script

NETWORK = "lab"
COMPONENTS: dict[str, type[Service]] = {
    "alertmanager": Alertmanager,
    "assistant": Assistant,
    "backup": Backup,
    "collector": Collector,
    DRIFT_CHECK: DriftCheck,
    "grafana": Grafana,
    "haproxy": HAProxy,
    "jupyterhub": JupyterHub,
    "kong": Kong,
    "loki": Loki,
    "minio": Minio,
    "network-tools": NetworkTools,
    "nginx": Nginx,
    "ollama": Ollama,
    "pgadmin": PgAdmin,
    "postgres": Postgres,
    "postgres-exporter": PostgresExporter,
    "prometheus": Prometheus,
    "redis": Redis,
    "redis-commander": RedisCommander,
    "redis-exporter": RedisExporter,
    "sonarqube": SonarQube,
}
"""Kinds that need more than the catalogue says."""


@dataclass(frozen=True, slots=True)
class MachineArgs:
    """What a machine needs.

    Attributes:
        site: the whole site.
        host_name: which of its machines this is.
        secrets: the site's.
        after: what has to be there before its containers.
        declared: the services of the machines before it, by `host.service`; it adds its own.
    """

    site: Site
    host_name: str
    secrets: Secrets
    after: tuple[pulumi.Resource, ...] = ()
    declared: dict[str, Service] = field(default_factory=dict)


class Machine(pulumi.ComponentResource):
    """A machine's services, those that others beside them use first.

    All resources of a machine have its name, or begin with it and a dot: an update can leave
    exactly them out.
    """

    containers: dict[str, pulumi.Resource]
    """By `host.service`."""

    def __init__(
        self, name: str, args: MachineArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("hearth:homelab:Machine", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        formerly = pulumi.ResourceOptions(parent=self, aliases=[pulumi.Alias(f"{name}-{NETWORK}")])
        network = docker.Network(f"{name}.{NETWORK}", name=NETWORK, opts=formerly).name
        services: dict[str, Service] = {}
        for placement in in_order(args.site.on_host(args.host_name)):
            beside = [services[p.name].container for p in placement.uses if p.name in services]
            after = (*args.after, *beside)
            service = COMPONENTS.get(placement.kind_name, Service)(
                placement.reference,
                ServiceArgs(placement, network, args.secrets, after, args.declared),
                child,
            )
            services[placement.name] = args.declared[placement.reference] = service
        _limit_processes(name, services, args.site, child)
        self.containers = {f"{name}.{key}": s.container for key, s in services.items()}
        self.register_outputs({})


def in_order(placements: list[Placement]) -> list[Placement]:
    """The provisioned services of a machine, each after those beside it that it uses.

    The drift check, which is told about all others, is the last.
    """
    ordered: dict[str, Placement] = {}

    def add(placement: Placement) -> None:
        for used in placement.uses:
            if used.host_name == placement.host_name and used.provisioned:
                add(used)
        ordered.setdefault(placement.name, placement)

    for placement in sorted(placements, key=lambda p: p.kind_name == DRIFT_CHECK):
        if placement.provisioned:
            add(placement)
    return list(ordered.values())


def _limit_processes(
    name: str, services: dict[str, Service], site: Site, child: pulumi.ResourceOptions
) -> None:
    """Limits each container's processes, for which the docker plugin has no argument."""
    kinds = {p.name: p.kind for p in site.on_host(name)}
    lines = [
        f"docker update --pids-limit {shape.processes} {service} >/dev/null"
        for service in services
        if (shape := kinds[service].container)
    ]
    Script(
        f"{name}.processes",
        host=name,
        script="\n".join(["set -e", *lines, ""]),
        triggers=[service.container.id for service in services.values()],
        opts=child,
    )
