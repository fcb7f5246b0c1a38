"""How many GPU nodes run: as the settings say, or as many as the traffic takes.

A node's rate comes from a report of `hearth capacity`, or from the settings.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inventory.cloud.model import Environment, Traffic
from inventory.errors import HearthError

SCHEMA = "hearth.capacity/1"
"""Of the reports that are read, as docs/reference/capacity.md has it."""
USUAL_ROUTE = "chat"


@dataclass(frozen=True, slots=True)
class Rate:
    """What one node holds within the service level.

    Attributes:
        per_minute: chats that the model answers.
        source: where that is known from.
    """

    per_minute: float
    source: str


@dataclass(frozen=True, slots=True)
class Pool:
    """GPU nodes by the kind of hour, those of the base included.

    Attributes:
        ordinary: in an ordinary hour.
        peak: in a peak day's busy hours.
        off_peak: in off-peak hours.
        basis: where the numbers come from.
        lacking: what the pool's limit keeps it from; empty where nothing is.
    """

    ordinary: int
    peak: int
    off_peak: int
    basis: str
    lacking: str = ""


def pool_of(environment: Environment, measured: Rate | None = None) -> Pool:
    """The pool: of the measured rate, of the settings' rate, or of the settings' own numbers."""
    gpu, off_peak = environment.cluster.gpu, environment.cluster.off_peak
    rate = measured or _stated(environment.traffic)
    if rate is None:
        ordinary, peak, lacking = gpu.typical, gpu.most, ""
        basis = "the settings' own numbers of nodes (cluster.gpu.typical and most)"
    else:
        traffic = environment.traffic
        needed = _needed(traffic, traffic.requests_per_day, rate)
        at_peak = _needed(traffic, traffic.peak_requests_per_day, rate)
        ordinary = min(max(gpu.base, needed), gpu.most)
        peak = min(max(ordinary, at_peak), gpu.most)
        lacking = _lacking(needed, at_peak, gpu.most)
        basis = f"{rate.per_minute:g} chats a minute a node, from {rate.source}"
    left = ordinary if off_peak is None else min(off_peak.gpu_nodes, ordinary)
    return Pool(ordinary, peak, left, basis, lacking)


def _stated(traffic: Traffic) -> Rate | None:
    stated = traffic.chats_per_minute_per_node
    return Rate(stated, "traffic.chats_per_minute_per_node") if stated else None


def _needed(traffic: Traffic, requests_per_day: int, rate: Rate) -> int:
    """Nodes for the busiest hour of a day, without the answers that the cache gives."""
    in_busiest_hour = requests_per_day * traffic.peak_hour_share / 100
    chats_per_minute = in_busiest_hour / 60 * (100 - traffic.cached_share) / 100
    return math.ceil(chats_per_minute / rate.per_minute)


def _lacking(needed: int, at_peak: int, most: int) -> str:
    when, nodes = ("an ordinary day", needed) if needed > most else ("a peak day", at_peak)
    if nodes <= most:
        return ""
    return (
        f"{when} takes {nodes} nodes to keep the service level, cluster.gpu.most is {most}; "
        "raise it, or people wait"
    )


def read_rate(path: Path) -> Rate:
    """The rate of a node, from a report that `hearth capacity --json` wrote.

    A node like the upstream of the largest share holds that share of what the route holds. That is
    a lower bound where another upstream, or the limiter, gave way first.

    Raises:
        HearthError: It is no such report, or no rate is in it.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise HearthError(f"{path}: cannot be read ({error.strerror}); name a report") from None
    except ValueError as error:
        raise HearthError(f"{path}: is not JSON ({error}); {_REMEDY}") from None
    schema = document.get("schema") if isinstance(document, dict) else None
    if schema != SCHEMA:
        told = schema or "not named"
        raise HearthError(f"{path}: its schema is {told}, this Hearth reads {SCHEMA}; {_REMEDY}")
    try:
        return _rate(path, document)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise HearthError(
            f"{path}: is not a report of {SCHEMA} ({type(error).__name__}: {error}); {_REMEDY}"
        ) from None


_REMEDY = "write it with `hearth capacity SITE --json`"


def _rate(path: Path, document: dict[str, Any]) -> Rate:
    routes = document["routes"]
    name = USUAL_ROUTE if len(routes) != 1 else next(iter(routes))
    if name not in routes:
        raise HearthError(
            f"{path}: has no route {USUAL_ROUTE} ({', '.join(routes) or 'none at all'}); "
            "measure one with `hearth capacity SITE --route NAME --json`"
        )
    holds, shares = routes[name]["capacity_per_minute"], _shares(routes[name])
    if holds is None or not holds > 0 or not shares:
        fault = routes[name]["fault"] or "it holds no rate within its service level"
        raise HearthError(f"{path}: the capacity of {name} is not known ({fault}); measure again")
    like, share = max(shares.items(), key=lambda each: each[1])
    when = document["started"].partition("T")[0]
    source = f"{path.name}: {document['site']} of {when}, route {name}, a node like {like}"
    return Rate(float(f"{holds * share:.4g}"), source)


def _shares(route: dict[str, Any]) -> dict[str, float]:
    return {name: float(each["share"]) for name, each in route["upstreams"].items()}
