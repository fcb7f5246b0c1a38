"""The services that watch, each with what the site makes of its settings."""

from __future__ import annotations

from components.homelab.monitoring.alerting import alertmanager_config
from components.homelab.monitoring.dashboards import dashboard_provider, dashboards, datasources
from components.homelab.monitoring.logs import collector_config, loki_config
from components.homelab.monitoring.rules import rule_config
from components.homelab.monitoring.scrape import RULES_FILE, prometheus_config
from components.homelab.service import Extras, Service, ServiceArgs
from inventory.model import Site
from inventory.services import KINDS, SETTINGS


class Prometheus(Service):
    """Asks every service for its figures, and tells Alertmanager what is wrong."""

    def extras(self, args: ServiceArgs) -> Extras:
        """Whom it asks, and the rules that it judges by."""
        return Extras(
            files={
                "prometheus.yml": prometheus_config(args.site),
                RULES_FILE: rule_config(args.site),
            }
        )


class Alertmanager(Service):
    """Sends alerts on, each once, to who has to know."""

    def extras(self, args: ServiceArgs) -> Extras:
        """Who has to know what."""
        return Extras(files={"alertmanager.yml": alertmanager_config(args.site)})


class Grafana(Service):
    """Shows what Prometheus and Loki know, to who has its account."""

    def extras(self, args: ServiceArgs) -> Extras:
        """Where it asks, what it shows, and its account's password."""
        shown = {f"dashboards/{name}": text for name, text in dashboards(args.site).items()}
        return Extras(
            files={
                "admin": args.secrets.password(args.placement, "admin"),
                "provisioning/datasources/hearth.yaml": datasources(args.site),
                "provisioning/dashboards/hearth.yaml": dashboard_provider(f"{SETTINGS}/dashboards"),
                **shown,
            },
            environment={"GF_SERVER_ROOT_URL": f"{_shown_at(args.site)}/"},
        )


def _shown_at(site: Site) -> str:
    """Where a browser finds it: at the gateway, which its live connections have to name."""
    return f"https://{site.hosts[site.gateway].address}:{KINDS['nginx'].ports['grafana']}"


class Loki(Service):
    """Keeps every container's log lines for some days."""

    def extras(self, args: ServiceArgs) -> Extras:
        """Its limits, by the memory that it has."""
        return Extras(files={"loki.yaml": loki_config(args.site, args.placement)})


class Collector(Service):
    """Sends its machine's log lines to Loki and tells Prometheus about its containers."""

    def extras(self, args: ServiceArgs) -> Extras:
        """What it reads, and where Loki is."""
        return Extras(
            files={"collector.yaml": collector_config(args.site, args.placement.host_name)}
        )
