"""The rules of a site, and the cases that promtool holds them to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import yaml

from components.homelab.monitoring.alerts import chores, containers, hosts, routes, stores, watch
from components.homelab.monitoring.metrics import METRICS, names_in, sources
from components.homelab.monitoring.rule import Alert, Group, Recording
from components.homelab.monitoring.scrape import RULES_FILE
from inventory.model import Site

_SUBJECTS = (hosts.groups, containers.groups, routes.groups, stores.groups)
_AFTERWARDS = (chores.groups, watch.groups)


def groups(site: Site) -> list[Group]:
    """The rules whose metrics the site's services expose; groups without any are left out."""
    available = sources(site)
    known = {name for name, metric in METRICS.items() if metric.source in available}
    every = [group for subject in (*_SUBJECTS, *_AFTERWARDS) for group in subject(site)]
    known |= {r.name for group in every for r in group.recordings if names_in(r.expr) <= known}
    return [kept for group in every if (kept := _of(group, known)) is not None]


def _of(group: Group, known: set[str]) -> Group | None:
    """The part of a group that reads only what is known; None where nothing is left of it."""
    recordings = tuple(r for r in group.recordings if names_in(r.expr) <= known)
    alerts = tuple(alert for alert in group.alerts if names_in(alert.expr) <= known)
    return replace(group, recordings=recordings, alerts=alerts) if recordings or alerts else None


def alerts(site: Site) -> Iterator[Alert]:
    """The site's alerts, in the order of their groups."""
    return (alert for group in groups(site) for alert in group.alerts)


def recordings(site: Site) -> Iterator[Recording]:
    """What the site's Prometheus computes and keeps."""
    return (recording for group in groups(site) for recording in group.recordings)


def rule_config(site: Site) -> str:
    """The text of the rules' file."""
    return _dump({"groups": [group.document() for group in groups(site)]})


def rule_tests(site: Site) -> str:
    """The text of the file for `promtool test rules`, which lies beside the rules' own."""
    return _dump(
        {
            "rule_files": [RULES_FILE],
            "evaluation_interval": "1m",
            "group_eval_order": [group.name for group in groups(site)],
            "tests": list(_tests(alerts(site))),
        }
    )


def _tests(found: Iterable[Alert]) -> Iterator[dict[str, Any]]:
    return (test for alert in found for test in alert.tests())


class _Plain(yaml.CSafeDumper):
    """Writes a value twice rather than by reference: people read these files."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - PyYAML's signature
        return True


def _dump(document: dict[str, Any]) -> str:
    return yaml.dump(document, Dumper=_Plain, sort_keys=False, width=1000)
