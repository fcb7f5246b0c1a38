"""What was found out about a site's capacity, for people."""

from __future__ import annotations

from statistics import fmean
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from smoke.capacity.level import broken
from smoke.capacity.trial import LIMITER
from smoke.wording import percent, seconds

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

    from smoke.capacity.model import Fit
    from smoke.capacity.report import Report
    from smoke.capacity.trial import Measured


def show(report: Report, out: Console) -> None:
    """Print each route's capacity, its upstreams and loads, then the tests of the predictions."""
    for found in report.routes:
        for line in _lines(report, found):
            out.print(line, markup=False, highlight=False, soft_wrap=True)
        if found.fit is not None:
            out.print()
            out.print(_upstreams(found, found.fit))
        if found.steps:
            out.print()
            out.print(_loads(found))
        out.print()
    for check in report.checks:
        line = f"{check.name}: {check.figure}, expected {check.target} | {check.verdict}"
        line += f" | {check.detail}" if check.detail else ""
        out.print(line, markup=False, highlight=False, soft_wrap=True)


def _lines(report: Report, found: Measured) -> Iterator[str]:
    planned = report.plan_of(found)
    if found.per_minute is None or found.interval is None or planned is None:
        yield f"{found.name}: its capacity is not known ({found.fault})"
        return
    low, high = found.interval
    within = seconds(found.route.service_level.first_byte_p95.total_seconds())
    yield (
        f"{found.name}: holds {found.per_minute:.0f} requests a minute ({low:.0f} to {high:.0f}): "
        f"95 % begin within {within}, for answers of {found.tokens} tokens"
    )
    yield f"gives way first: {_gives_way(found)}"
    if not found.to_the_knee:
        yield "no load brought the upstreams to their end: what they hold is extrapolated"
    (like, nodes), traffic = planned, report.traffic_of(found)
    if nodes is None:
        yield f"for {traffic:g} a minute: no number of nodes like {like.name} begins soon enough"
    else:
        each = f"each {percent(nodes.utilisation)} used"
        yield f"for {traffic:g} a minute: {nodes.nodes} x {like.name}, {each}"
    if traffic > found.limiter_per_minute:
        yield f"that much the limiter does not let through: {_limiter(found)}"


def _gives_way(found: Measured) -> str:
    return _limiter(found) if found.saturates_first == LIMITER else found.saturates_first or ""


def _limiter(found: Measured) -> str:
    limit, success = found.route.rate_limit, found.route.service_level.success
    per_minute = found.allowed * 60 / limit.window_seconds
    return (
        f"the limiter: {found.clients} clients x {limit.requests} a {limit.per} = "
        f"{per_minute:.0f} a minute; of random arrivals {percent(success)} pass "
        f"up to {found.limiter_per_minute:.0f} a minute"
    )


def _upstreams(found: Measured, fit: Fit) -> Table:
    high = found.route.service_level.requests_per_minute.high
    headings = ("upstream", "share", "servers", "an answer takes", "begins, idle, after")
    table = _table(*headings, f"used at {high:g} a minute", "saturates at", "tokens a second")
    for each in fit.stations:
        table.add_row(
            each.name,
            percent(each.share),
            str(each.servers),
            seconds(each.service_s(found.per_minute or high)),
            seconds(fmean(each.firsts)),
            percent(each.utilisation(high)),
            f"{each.saturates_at:.0f} a minute",
            f"{each.tokens_per_second:.0f}",
        )
    return table


def _loads(found: Measured) -> Table:
    table = _table("load", "requests", "95 % began within", "predicted", "service level")
    loads = [(f"{load.per_minute:.0f} a minute", load, "") for load in found.steps]
    loads += [
        (
            f"{tested.load.per_minute:.0f} a minute: test, {percent(tested.at)}",
            tested.load,
            seconds(tested.predicted_p95_s),
        )
        for tested in found.tests
    ]
    for name, load, predicted in loads:
        level = Text(broken(found.route, load) or "holds")
        table.add_row(name, str(load.requests), seconds(load.first_token_p95_s), predicted, level)
    return table


def _table(*headings: str) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in headings:
        table.add_column(heading)
    return table
