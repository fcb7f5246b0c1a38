"""Prometheus' configuration: what it asks, how often, and whom it tells."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import yaml

from inventory.model import Placement, Site

RULES_FILE = "rules.yml"
"""Beside prometheus.yml."""

SCRAPE_INTERVAL = timedelta(seconds=15)
SCRAPE_TIMEOUT = timedelta(seconds=10)

_UNITS = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))

SPEAKS_FOR_OTHERS = ("backup", "collector", "drift-check", "node-exporter")
"""Kinds whose metrics say themselves which service or machine they are about."""

RELABELLED: dict[str, list[dict[str, Any]]] = {
    # About the exporter itself: nobody reads it, and every machine would send it.
    "node-exporter": [
        {"source_labels": ["__name__"], "regex": "go_.*|promhttp_.*", "action": "drop"}
    ],
    "collector": [{"regex": "otel_scope_.*", "action": "labeldrop"}],
}


def duration(value: timedelta) -> str:
    """A duration as Prometheus and Loki write it: `15s`, `5m`, `6h`, `3d`."""
    seconds = int(value.total_seconds())
    unit, size = next((u, n) for u, n in _UNITS if seconds % n == 0)
    return f"{seconds // size}{unit}"


@dataclass(frozen=True, slots=True)
class Target:
    """A page with metrics.

    Attributes:
        address: `name:port` or `address:port`, as Prometheus reaches it.
    """

    placement: Placement
    address: str
    path: str

    @property
    def labels(self) -> dict[str, str]:
        """What every series of it carries."""
        return labels_of(self.placement)


def labels_of(placement: Placement) -> dict[str, str]:
    """Where a service is: the labels by which metrics, logs and alerts are found."""
    return {
        "host": placement.host_name,
        "service": placement.reference,
        "tier": placement.host.tier,
        "board": placement.host.board,
    }


def first(site: Site, kind_name: str) -> Placement | None:
    """The provisioned service of a kind that the others use; None where there is none."""
    return next((p for p in site.by_kind.get(kind_name, []) if p.provisioned), None)


def targets(site: Site) -> Iterator[Target]:
    """Every page with metrics, in the site's order. None where no Prometheus would ask."""
    prometheus = first(site, "prometheus")
    if prometheus is None:
        return
    for placement in site.placements():
        metrics = placement.kind.metrics
        if metrics is not None and placement.provisioned:
            address = placement.endpoint_from(prometheus.host_name, metrics.port)
            yield Target(placement, address, metrics.path)


def prometheus_config(site: Site) -> str:
    """The text of prometheus.yml."""
    document = {
        "global": {
            "scrape_interval": duration(SCRAPE_INTERVAL),
            "scrape_timeout": duration(SCRAPE_TIMEOUT),
            "evaluation_interval": duration(SCRAPE_INTERVAL),
            "external_labels": {"site": site.name},
        },
        "alerting": {"alertmanagers": _alertmanagers(site)},
        "rule_files": [RULES_FILE],
        "scrape_configs": _jobs(site),
    }
    return yaml.safe_dump(document, sort_keys=False)


def _alertmanagers(site: Site) -> list[dict[str, Any]]:
    prometheus, alertmanager = first(site, "prometheus"), first(site, "alertmanager")
    if prometheus is None or alertmanager is None:
        return []
    return [{"static_configs": [{"targets": [alertmanager.endpoint_from(prometheus.host_name)]}]}]


def _jobs(site: Site) -> list[dict[str, Any]]:
    """One job a kind, in the order in which the site first names it."""
    by_kind: dict[str, list[Target]] = {}
    for target in targets(site):
        by_kind.setdefault(target.placement.kind_name, []).append(target)
    return [_job(kind, found) for kind, found in by_kind.items()]


def _job(kind: str, found: list[Target]) -> dict[str, Any]:
    job: dict[str, Any] = {
        "job_name": kind,
        "metrics_path": found[0].path,
        "honor_labels": kind in SPEAKS_FOR_OTHERS,
        "static_configs": [{"targets": [t.address], "labels": t.labels} for t in found],
    }
    if kind in RELABELLED:
        job["metric_relabel_configs"] = RELABELLED[kind]
    return job
