"""What was found out about a site's capacity, and its form for programs."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from datetime import datetime
from statistics import fmean
from typing import TYPE_CHECKING, Any

from smoke.capacity.judge import error_of, judge
from smoke.capacity.level import broken
from smoke.capacity.model import Plan, Station, plan
from smoke.environment import Environment
from smoke.verdict import EXIT_CODES, Check, overall

if TYPE_CHECKING:
    from smoke.capacity.steps import Load
    from smoke.capacity.trial import Measured

SCHEMA = "hearth.capacity/1"
"""Goes up when a name in the JSON changes its meaning or goes away."""
_DIGITS = 4


@dataclass(frozen=True)
class Report:
    """The outcome of a run.

    Args:
        site: The site's name.
        started: When, in UTC.
        seconds: How long it took.
        routes: What was measured.
        environment: Where it was sent from.
        traffic: Requests a minute to plan for; None for what each route promises.
    """

    site: str
    started: datetime
    seconds: float
    routes: tuple[Measured, ...]
    environment: Environment
    traffic: float | None = None

    @property
    def checks(self) -> list[Check]:
        """The tests of all predictions."""
        return [check for found in self.routes for check in judge(found)]

    @property
    def exit_code(self) -> int:
        """0 the predictions held, 1 one did not, 2 something could not be measured."""
        return EXIT_CODES[overall(self.checks)]

    def traffic_of(self, found: Measured) -> float:
        """Requests a minute to plan a route for."""
        return self.traffic or found.route.service_level.requests_per_minute.high

    def plan_of(self, found: Measured) -> tuple[Station, Plan | None] | None:
        """The node that most of a route's requests go to, and how many of it the traffic takes."""
        if found.fit is None:
            return None
        main = max(found.fit.stations, key=lambda station: station.share)
        target_s = found.route.service_level.first_byte_p95.total_seconds()
        return main, plan(main, self.traffic_of(found), target_s)

    def to_json(self) -> str:
        """The report for programs; `schema` names its version."""
        document = {
            "schema": SCHEMA,
            "site": self.site,
            "started": self.started.isoformat(),
            "seconds": _figure(self.seconds),
            "verdict": overall(self.checks),
            "exit_code": self.exit_code,
            "routes": {found.name: self._route(found) for found in self.routes},
            "environment": asdict(self.environment),
        }
        return json.dumps(document, indent=2)

    def _route(self, found: Measured) -> dict[str, Any]:
        level, checks = found.route.service_level, judge(found)
        return {
            "verdict": overall(checks),
            "fault": found.fault,
            "service_level": {
                "requests_per_minute": level.requests_per_minute.model_dump(),
                "first_token_p95_s": level.first_byte_p95.total_seconds(),
                "success": level.success,
            },
            "tokens_asked_for": found.tokens,
            "capacity_per_minute": _figure(found.per_minute),
            "interval": None if found.interval is None else [_figure(e) for e in found.interval],
            "extrapolated": not found.to_the_knee,
            "saturates_first": found.saturates_first,
            "limiter": _limiter(found),
            "upstreams": _upstreams(found),
            "nodes": self._nodes(found),
            "fit_error": None if found.fit is None else _figure(found.fit.off),
            "prediction_error": next((_figure(error_of(each)) for each in found.tests), None),
            "tests": [
                _load(tested.load)
                | {
                    "at": tested.at,
                    "predicted_p95_s": _figure(tested.predicted_p95_s),
                    "error": _figure(error_of(tested)),
                    "broke": broken(found.route, tested.load),
                }
                for tested in found.tests
            ],
            "steps": [_load(load) | {"broke": broken(found.route, load)} for load in found.steps],
            "checks": [asdict(check) for check in checks],
        }

    def _nodes(self, found: Measured) -> dict[str, Any] | None:
        planned = self.plan_of(found)
        if planned is None:
            return None
        like, found_plan = planned
        return {
            "per_minute": self.traffic_of(found),
            "like": like.name,
            "count": None if found_plan is None else found_plan.nodes,
            "utilisation": None if found_plan is None else _figure(found_plan.utilisation),
        }


def _limiter(found: Measured) -> dict[str, Any]:
    limit = found.route.rate_limit
    return {
        "clients": found.clients,
        "requests": limit.requests,
        "window_s": limit.window_seconds,
        "most_per_minute": found.allowed * 60 / limit.window_seconds,
        "holds_per_minute": _figure(found.limiter_per_minute),
    }


def _upstreams(found: Measured) -> dict[str, Any]:
    if found.fit is None or found.idle is None:
        return {}
    high = found.route.service_level.requests_per_minute.high
    return {
        each.name: {
            "share": each.share,
            "servers": each.servers,
            "stretch": _figure(each.stretch),
            "service_s": _figure(each.service_s(found.per_minute or high)),
            "service_idle_s": _figure(fmean(s.service_s for s in found.idle.of(each.name))),
            "service_variation": _figure(each.variation),
            "first_token_idle_s": _figure(fmean(each.firsts)),
            "utilisation_promised": _figure(each.utilisation(high)),
            "saturates_per_minute": _figure(each.saturates_at),
            "tokens_per_answer": _figure(each.tokens),
            "tokens_per_second": _figure(each.tokens_per_second),
        }
        for each in found.fit.stations
    }


def _load(load: Load) -> dict[str, Any]:
    return {
        "per_minute": _figure(load.per_minute),
        "seconds": _figure(load.seconds),
        "requests": load.requests,
        "failed": load.failed,
        "refused": load.refused,
        "unanswered": len(load.waiting),
        "first_token_p95_s": _figure(load.first_token_p95_s),
        "lag_p95_s": _figure(load.lag_p95_s),
    }


def _figure(value: float | None) -> float | None:
    """To four significant digits; JSON has no infinity."""
    if value is None or not math.isfinite(value):
        return None
    return float(f"{value:.{_DIGITS}g}")
