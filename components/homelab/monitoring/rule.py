"""Alerts and recorded series as types: an alert without a case for and one against it is none."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal, TypeAlias

from components.homelab.monitoring.scrape import duration

Severity = Literal["critical", "warning"]
Labels: TypeAlias = Mapping[str, str]

LOOKED_AT = timedelta(minutes=20)
"""When a case is judged, if it does not say; the cases start at Unix time 0."""

RUNBOOKS = "docs/reference/alerts.md"
"""The page with a heading for every alert."""


@dataclass(frozen=True, slots=True)
class Series:
    """A series of a case, as promtool takes it.

    Attributes:
        text: `name{label="value"}`.
        values: one a minute, in promtool's notation: `5x60`, `0+10x60`.
    """

    text: str
    values: str


Samples: TypeAlias = tuple[Series, *tuple[Series, ...]]


def series(name: str, labels: Labels, values: str, **more: str) -> Series:
    """A series with the labels of a target and more of its own."""
    pairs = ",".join(f'{key}="{value}"' for key, value in {**labels, **more}.items())
    return Series(f"{name}{{{pairs}}}", values)


@dataclass(frozen=True, slots=True)
class Fires:
    """A case in which the alert has to be raised, once.

    Attributes:
        labels: what the expression's result carries.
        value: as the description shows it; empty where it does not.
        at: the minute at which is looked.
    """

    samples: Samples
    labels: Labels
    value: str = ""
    at: timedelta = LOOKED_AT


@dataclass(frozen=True, slots=True)
class Quiet:
    """A case, close to the limit, in which the alert must not be raised."""

    samples: Samples
    at: timedelta = LOOKED_AT


@dataclass(frozen=True, slots=True)
class Alert:
    """A rule that tells people.

    Attributes:
        name: unique; also its heading in `RUNBOOKS`.
        subject: what it is about: a critical alert hides the warning of the same subject.
        hold: how long the expression has to be true.
        summary: one line, with `{{ $labels.x }}`.
        description: what it means, with `{{ $value | ... }}` at most once.
        labels: where it is, beside what the expression's result says.
    """

    name: str
    subject: str
    severity: Severity
    expr: str
    hold: timedelta
    summary: str
    description: str
    fires: Fires
    quiet: tuple[Quiet, *tuple[Quiet, ...]]
    labels: Labels = field(default_factory=dict)

    @property
    def runbook(self) -> str:
        """Where it is written what to do."""
        return f"{RUNBOOKS}#{self.name.lower()}"

    @property
    def all_labels(self) -> dict[str, str]:
        """What the rule adds to the expression's labels."""
        return {**self.labels, "severity": self.severity, "subject": self.subject}

    @property
    def annotations(self) -> dict[str, str]:
        """What people read."""
        return {
            "summary": self.summary,
            "description": self.description,
            "runbook": self.runbook,
        }

    def document(self) -> dict[str, Any]:
        """The rule as Prometheus reads it."""
        return {
            "alert": self.name,
            "expr": self.expr,
            "for": duration(self.hold),
            "labels": self.all_labels,
            "annotations": self.annotations,
        }

    def tests(self) -> list[dict[str, Any]]:
        """Its cases as promtool reads them."""
        raised = {
            "exp_labels": {**self.fires.labels, **self.all_labels},
            "exp_annotations": {
                key: _filled(text, self.fires) for key, text in self.annotations.items()
            },
        }
        return [
            self._test("fires", self.fires.samples, self.fires.at, [raised]),
            *(self._test("is quiet", case.samples, case.at, []) for case in self.quiet),
        ]

    def _test(
        self, claim: str, samples: Samples, at: timedelta, raised: list[dict[str, Any]]
    ) -> dict[str, Any]:
        return {
            "name": f"{self.name} {claim}",
            "interval": "1m",
            "input_series": [{"series": s.text, "values": s.values} for s in samples],
            "alert_rule_test": [
                {"eval_time": duration(at), "alertname": self.name, "exp_alerts": raised}
            ],
        }


@dataclass(frozen=True, slots=True)
class Recording:
    """A series that Prometheus computes and keeps.

    Attributes:
        name: `level:what:how`.
        labels: added to the expression's.
    """

    name: str
    expr: str
    labels: Labels = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """The rule as Prometheus reads it."""
        labels = {"labels": dict(self.labels)} if self.labels else {}
        return {"record": self.name, "expr": self.expr, **labels}


@dataclass(frozen=True, slots=True)
class Group:
    """Rules that are evaluated one after the other.

    Attributes:
        interval: None for the site's usual one.
    """

    name: str
    recordings: tuple[Recording, ...] = ()
    alerts: tuple[Alert, ...] = ()
    interval: timedelta | None = None

    def document(self) -> dict[str, Any]:
        """The group as Prometheus reads it."""
        interval = {} if self.interval is None else {"interval": duration(self.interval)}
        rules: Iterable[Recording | Alert] = (*self.recordings, *self.alerts)
        return {"name": self.name, **interval, "rules": [rule.document() for rule in rules]}


_LABEL = re.compile(r"\{\{ \$labels\.(\w+) \}\}")
_VALUE = re.compile(r"\{\{ \$value[^}]*\}\}")


def _filled(text: str, case: Fires) -> str:
    """An annotation as Prometheus would fill it in."""
    with_labels = _LABEL.sub(lambda match: case.labels[match[1]], text)
    return _VALUE.sub(case.value, with_labels)
