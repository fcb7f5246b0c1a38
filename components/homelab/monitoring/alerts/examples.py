"""Where a rule's cases take place: on services that the site itself has."""

from __future__ import annotations

from datetime import timedelta

from components.homelab.monitoring.rule import Labels
from components.homelab.monitoring.scrape import labels_of
from inventory.model import Site


def minutes(count: float) -> timedelta:
    """A duration in minutes."""
    return timedelta(minutes=count)


def example(site: Site, kind_name: str) -> Labels:
    """The labels of the site's first service of a kind; empty where it provisions none."""
    found = (p for p in site.placements() if p.kind_name == kind_name and p.provisioned)
    return next((labels_of(placement) for placement in found), {})


def whole_host(labels: Labels) -> Labels:
    """The labels that all services of a host share."""
    return {key: value for key, value in labels.items() if key != "service"}
