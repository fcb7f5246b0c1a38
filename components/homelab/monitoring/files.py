"""The settings of the services that watch, as the site alone makes them: no secrets."""

from __future__ import annotations

from components.homelab.monitoring.alerting import alertmanager_config
from components.homelab.monitoring.dashboards import dashboard_provider, dashboards, datasources
from components.homelab.monitoring.logs import collector_config, loki_config
from components.homelab.monitoring.rules import rule_config
from components.homelab.monitoring.scrape import RULES_FILE, prometheus_config
from inventory.model import Placement
from inventory.services import SETTINGS


def settings_files(placement: Placement) -> dict[str, str]:
    """The text of each file by its name; none for a service that does not watch."""
    site = placement.site
    if placement.kind_name == "prometheus":
        return {"prometheus.yml": prometheus_config(site), RULES_FILE: rule_config(site)}
    if placement.kind_name == "alertmanager":
        return {"alertmanager.yml": alertmanager_config(site)}
    if placement.kind_name == "loki":
        return {"loki.yaml": loki_config(site, placement)}
    if placement.kind_name == "collector":
        return {"collector.yaml": collector_config(site, placement.host_name)}
    if placement.kind_name == "grafana":
        return {
            "provisioning/datasources/hearth.yaml": datasources(site),
            "provisioning/dashboards/hearth.yaml": dashboard_provider(f"{SETTINGS}/dashboards"),
            **{f"dashboards/{name}": text for name, text in dashboards(site).items()},
        }
    return {}
