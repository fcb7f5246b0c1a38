"""The dashboards of a site, and what Grafana needs to find them and their data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import yaml

from components.homelab.monitoring.metrics import METRICS, names_in, sources
from components.homelab.monitoring.panel import DATA_SOURCES, Panel, Row, Source, View, text
from components.homelab.monitoring.rules import recordings
from components.homelab.monitoring.scrape import SCRAPE_INTERVAL, duration, first
from components.homelab.monitoring.views import (
    assistant,
    gateway,
    gpu,
    host,
    lab,
    postgres,
    redis,
)
from inventory.model import Site

VIEWS = (
    lab.VIEW,
    gateway.VIEW,
    assistant.VIEW,
    gpu.VIEW,
    postgres.VIEW,
    redis.VIEW,
    host.VIEW,
)

FOLDER = "/var/lib/grafana/dashboards"
"""Where Grafana finds the dashboards' files, unless told otherwise."""


def views(site: Site) -> list[View]:
    """The dashboards, with the panels whose data the site has; those without any are left out."""
    known = {name for name, metric in METRICS.items() if metric.source in sources(site)}
    known |= {recording.name for recording in recordings(site)}
    logs = first(site, "loki") is not None and first(site, "collector") is not None
    return [view for view in (_of(view, known, logs=logs) for view in VIEWS) if view.rows]


def _of(view: View, known: set[str], *, logs: bool) -> View:
    """A dashboard's panels that have data; a row of logs alone makes none."""
    rows = [
        Row(row.title, tuple(panel for panel in row.panels if _has_data(panel, known, logs=logs)))
        for row in view.rows
    ]
    kept = tuple(row for row in rows if row.panels)
    charts = any(panel.source == "prometheus" for row in kept for panel in row.panels)
    return replace(view, rows=kept if charts else ())


def _has_data(panel: Panel, known: set[str], *, logs: bool) -> bool:
    if panel.source == "loki":
        return logs
    return all(names_in(query.expr) <= known for query in panel.queries)


def dashboards(site: Site) -> dict[str, str]:
    """The dashboards' files: name to JSON."""
    return {f"{view.uid}.json": text(view) for view in views(site)}


def queries(site: Site) -> list[tuple[str, str, str]]:
    """Every question that the dashboards put to Prometheus: dashboard, panel, expression.

    What the reader chooses is filled in, so that each can be asked as it stands.
    """
    return list(_asked(site, "prometheus"))


def log_queries(site: Site) -> list[tuple[str, str, str]]:
    """The same for Loki."""
    return list(_asked(site, "loki"))


def _asked(site: Site, source: Source) -> Iterator[tuple[str, str, str]]:
    chosen = {"$__rate_interval": "5m", "$host": site.gateway}
    for view in views(site):
        for panel in view.panels:
            if panel.source == source:
                for query in panel.queries:
                    yield view.uid, panel.title, _filled(query.expr, chosen)


def _filled(expr: str, chosen: dict[str, str]) -> str:
    for name, value in chosen.items():
        expr = expr.replace(name, value)
    return expr


def datasources(site: Site) -> str:
    """The text of provisioning/datasources/hearth.yaml."""
    (grafana, *_) = site.by_kind["grafana"]
    asked: list[dict[str, Any]] = []
    for name, settings in (
        ("prometheus", {"httpMethod": "POST", "timeInterval": duration(SCRAPE_INTERVAL)}),
        ("loki", {"maxLines": 1000}),
    ):
        there = first(site, name)
        if there is not None:
            asked.append(_data_source(name, there.endpoint_from(grafana.host_name), settings))
    return yaml.safe_dump({"apiVersion": 1, "datasources": asked}, sort_keys=False)


def _data_source(name: str, endpoint: str, settings: dict[str, Any]) -> dict[str, Any]:
    source: Source = "loki" if name == "loki" else "prometheus"
    return {
        "name": name.title(),
        "type": source,
        "uid": DATA_SOURCES[source],
        "access": "proxy",
        "url": f"http://{endpoint}",
        "isDefault": source == "prometheus",
        "editable": False,
        "jsonData": settings,
    }


def dashboard_provider(folder: str = FOLDER) -> str:
    """The text of provisioning/dashboards/hearth.yaml.

    Args:
        folder: where the files of `dashboards` lie, inside Grafana's container.
    """
    provider = {
        "name": "hearth",
        "folder": "Hearth",
        "type": "file",
        "disableDeletion": True,
        "allowUiUpdates": False,
        "updateIntervalSeconds": 30,
        "options": {"path": folder},
    }
    return yaml.safe_dump({"apiVersion": 1, "providers": [provider]}, sort_keys=False)
