"""What the routes promise: how fast each uses up the errors and slow answers it may have.

Windows and factors are those of Google's SRE workbook for a month's budget. An alert needs both
its windows: the long one says that it matters, the short one that it goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal, TypeAlias

from components.homelab.monitoring.alerts.examples import example, minutes
from components.homelab.monitoring.rule import (
    Alert,
    Fires,
    Group,
    Labels,
    Quiet,
    Recording,
    Samples,
    Series,
    Severity,
    series,
)
from components.homelab.monitoring.scrape import duration, labels_of
from components.homelab.routing import gateway_service
from inventory.model import Placement, Route, Site
from inventory.services import GATEWAY_ENGINES

Indicator = Literal["errors", "slow"]

EVERY_MINUTE = timedelta(minutes=1)
SLOW_BUDGET = 0.05
"""`first_byte_p95` promises 95 of 100 answers."""

OUTAGE = 0.9
"""A share of errors at which any budget burns too fast, however large it is."""


@dataclass(frozen=True, slots=True)
class Burn:
    """A pace at which a month's budget is used up too early.

    Attributes:
        factor: times the pace that would last a month.
    """

    long: timedelta
    short: timedelta
    factor: float
    severity: Severity
    hold: timedelta


BURNS = (
    Burn(timedelta(hours=1), timedelta(minutes=5), 14.4, "critical", minutes(2)),
    Burn(timedelta(hours=6), timedelta(minutes=30), 6, "critical", minutes(5)),
    Burn(timedelta(days=1), timedelta(hours=2), 3, "warning", minutes(30)),
    Burn(timedelta(days=3), timedelta(hours=6), 1, "warning", minutes(60)),
)

WINDOWS = sorted({window for burn in BURNS for window in (burn.long, burn.short)})


def groups(site: Site) -> Iterator[Group]:
    """The groups of this subject."""
    routes = site.served_routes
    for name, route in routes.items():
        yield Group(f"route.{name}", tuple(_measured(name, route)), interval=EVERY_MINUTE)
    for name, route in list(routes.items())[:1]:
        alerts = tuple(_burning(site, name, route))
        yield Group("service-levels", alerts=alerts, interval=EVERY_MINUTE)
    yield Group("upstreams", tuple(_upstreams(site)), tuple(_reachable(site)))
    yield Group("spool", alerts=tuple(_spool(example(site, "assistant"))))


def recorded(indicator: Indicator, window: timedelta) -> str:
    """The series of a route's share of failed or slow answers."""
    return f"hearth:route_{indicator}:ratio_rate{duration(window)}"


def budget(indicator: Indicator) -> str:
    """The series of the share that a route promises not to exceed."""
    return f"hearth:route_{indicator}:budget"


def _measured(name: str, route: Route) -> Iterator[Recording]:
    labels = {"route": name}
    share = round(1 - route.service_level.success, 6)
    yield Recording(budget("errors"), f"vector({share})", labels)
    yield Recording(budget("slow"), f"vector({SLOW_BUDGET})", labels)
    for window in WINDOWS:
        for where, failed, every in _counters(name):
            yield Recording(
                recorded("errors", window),
                f"(sum(rate({failed}[{duration(window)}])) or vector(0))"
                f" / sum(rate({every}[{duration(window)}]))",
                {**labels, "measured": where},
            )
        yield Recording(
            recorded("slow", window), _slow(name, route, window), {**labels, "measured": "api"}
        )


def _counters(name: str) -> Iterator[tuple[str, str, str]]:
    """Where answers are counted: the counter of those that failed, and that of all."""
    yield (
        "api",
        f'assistant_requests_total{{route="{name}",status=~"5.."}}',
        f'assistant_requests_total{{route="{name}"}}',
    )
    yield (
        "haproxy",
        f'haproxy_backend_http_responses_total{{proxy="{name}",code="5xx"}}',
        f'haproxy_backend_http_responses_total{{proxy="{name}"}}',
    )
    yield (
        "kong",
        f'kong_http_requests_total{{route="{name}",code=~"5.."}}',
        f'kong_http_requests_total{{route="{name}"}}',
    )


def _slow(name: str, route: Route, window: timedelta) -> str:
    """The gateways keep no histogram with the promised time as a bound; the API does.

    A bound is `3.0` to Prometheus 3, and what the program wrote, perhaps `3`, before.
    """
    limit = f"{route.service_level.first_byte_p95.total_seconds():g}"
    bound = limit.replace(".", r"\\.") + ("" if "." in limit else r"(\\.0)?")
    within = f'assistant_first_token_seconds_bucket{{route="{name}",le=~"{bound}"}}'
    begun = f'assistant_first_token_seconds_count{{route="{name}"}}'
    over = duration(window)
    return f"1 - sum(rate({within}[{over}])) / sum(rate({begun}[{over}]))"


@dataclass(frozen=True, slots=True)
class _Answers:
    """A case's answers, as counters in promtool's notation.

    Attributes:
        bad: failed or slow.
        every: good and bad.
    """

    bad: str
    good: str
    every: str


A_MINUTE = 1_000_000
"""Answers a minute in the cases: whole numbers for every share."""


def _steady(share: float, length: int) -> _Answers:
    """The same share of bad answers, for so many minutes."""
    bad = round(A_MINUTE * share)
    counts = (bad, A_MINUTE - bad, A_MINUTE)
    return _Answers(*(f"0+{count}x{length}" for count in counts))


def _recovered(length: int) -> _Answers:
    """Half an hour of bad answers only, then as many minutes of good ones."""
    return _Answers(
        bad=f"0+{A_MINUTE}x30 {30 * A_MINUTE}x{length}",
        good=f"0x30 0+{A_MINUTE}x{length}",
        every=f"0+{A_MINUTE}x{31 + length}",
    )


Shown: TypeAlias = Callable[[_Answers], Samples]


def _at_gateway(engine: Placement, name: str) -> Shown:
    """Answers as the gateway's engine counts them."""
    where = labels_of(engine)

    def shown(answers: _Answers) -> Samples:
        if engine.kind_name == "kong":
            metric, labels = "kong_http_requests_total", {**where, "route": name}
            return (
                series(metric, labels, answers.bad, code="503"),
                series(metric, labels, answers.good, code="200"),
            )
        metric, labels = "haproxy_backend_http_responses_total", {**where, "proxy": name}
        return (
            series(metric, labels, answers.bad, code="5xx"),
            series(metric, labels, answers.good, code="2xx"),
        )

    return shown


def _at_api(site: Site, name: str, limit: str) -> Shown:
    """First tokens as the lab's API measures them."""
    labels = {**example(site, "assistant"), "route": name}

    def shown(answers: _Answers) -> Samples:
        return (
            series("assistant_first_token_seconds_bucket", labels, answers.good, le=limit),
            series("assistant_first_token_seconds_count", labels, answers.every),
        )

    return shown


@dataclass(frozen=True, slots=True)
class _Promise:
    """What a case's route promises.

    Attributes:
        budget: the share of answers that may break it.
        shown: makes the series that a case's answers leave.
    """

    route: str
    indicator: Indicator
    budget: float
    shown: Shown


def _burning(site: Site, name: str, route: Route) -> Iterator[Alert]:
    engine = gateway_service(site, *GATEWAY_ENGINES)
    level = route.service_level
    limit = f"{level.first_byte_p95.total_seconds():g}"
    for promise in (
        _Promise(name, "errors", 1 - level.success, _at_gateway(engine, name)),
        _Promise(name, "slow", SLOW_BUDGET, _at_api(site, name, limit)),
    ):
        for burn in BURNS:
            yield _burns(burn, engine, promise)


MEANING: dict[Indicator, str] = {
    "errors": "of the answers failed",
    "slow": "of the answers began later than promised",
}


def _burns(burn: Burn, engine: Placement, promise: _Promise) -> Alert:
    indicator, shown = promise.indicator, promise.shown
    limit = min(burn.factor * promise.budget, OUTAGE)
    held = int(burn.hold / EVERY_MINUTE) + 10
    short = int(burn.short / EVERY_MINUTE) + 5
    firing = min(1.1 * limit, 1)
    return Alert(
        f"Route{indicator.title()}Burn{duration(burn.long)}",
        subject=f"service-level-{indicator}",
        severity=burn.severity,
        expr=f"{_above(indicator, burn.short, burn)} and on (route) "
        f"{_above(indicator, burn.long, burn)}",
        hold=burn.hold,
        summary="Route {{ $labels.route }} breaks its promise",
        description=f"{{{{ $value | humanizePercentage }}}} {MEANING[indicator]} within "
        f"{duration(burn.short)}: more than {burn.factor:g} times what a month allows, and so for "
        f"{duration(burn.long)}.",
        fires=Fires(
            shown(_steady(firing, held + 1)),
            {"route": promise.route},
            f"{100 * firing:.4g}%",
            at=minutes(held),
        ),
        quiet=(
            Quiet(shown(_steady(0.9 * limit, held + 1)), minutes(held)),
            Quiet(shown(_recovered(short + 1)), minutes(30 + short)),
        ),
        labels=labels_of(engine),
    )


def _above(indicator: Indicator, window: timedelta, burn: Burn) -> str:
    allowed = f"clamp_max({burn.factor:g} * {budget(indicator)}, {OUTAGE})"
    return f"max by (route) ({recorded(indicator, window)}) > on (route) {allowed}"


UPSTREAM_UP = "hearth:upstream_up"


def _upstreams(site: Site) -> Iterator[Recording]:
    """Whether the gateway gets answers from each upstream; Ollama has no metrics of its own."""
    routes = site.served_routes.values()
    references = dict.fromkeys(up.service for route in routes for up in route.upstreams)
    for reference in references:
        placement = site.placement(reference)
        labels = labels_of(placement)
        yield Recording(
            UPSTREAM_UP,
            f'max(haproxy_server_status{{server="{reference}",state="UP"}})',
            labels,
        )
        yield Recording(
            UPSTREAM_UP,
            f'max(kong_upstream_target_health{{target="{placement.address}",state="healthy"}})',
            labels,
        )


def _checked(site: Site, upstream: Placement, values: str) -> Series:
    """An upstream as the gateway's health checks see it."""
    engine = gateway_service(site, *GATEWAY_ENGINES)
    if engine.kind_name == "kong":
        return series(
            "kong_upstream_target_health",
            labels_of(engine),
            values,
            target=upstream.address,
            state="healthy",
        )
    return series(
        "haproxy_server_status", labels_of(engine), values, server=upstream.reference, state="UP"
    )


def _reachable(site: Site) -> Iterator[Alert]:
    routes = list(site.served_routes.values())
    if not routes:
        return
    asked = [site.placement(up.service) for up in routes[0].upstreams]
    some = asked[0]
    upstreams = [other for other in asked if other.host.tier == some.host.tier]
    yield Alert(
        "UpstreamDown",
        subject="upstream",
        severity="warning",
        expr=f"{UPSTREAM_UP} == 0",
        hold=minutes(2),
        summary="{{ $labels.service }} does not answer the gateway",
        description="The gateway's checks of it on {{ $labels.host }} fail; the others carry its "
        "share.",
        fires=Fires((_checked(site, some, "1x10 0x10"),), labels_of(some)),
        quiet=(Quiet((_checked(site, some, "1x19 0x1"),)),),
    )
    lost = _checked(site, some, "1x10 0x10")
    yield Alert(
        "NoUpstreamLeft",
        subject="upstream",
        severity="critical",
        expr=f"max by (tier) ({UPSTREAM_UP}) == 0",
        hold=minutes(1),
        summary="No machine of tier {{ $labels.tier }} answers the gateway",
        description="Every upstream of the tier fails the gateway's checks: routes get no answers.",
        fires=Fires(
            (lost, *(_checked(site, other, "1x10 0x10") for other in upstreams[1:])),
            {"tier": some.host.tier},
        ),
        quiet=_one_left(site, upstreams),
    )


def _one_left(site: Site, upstreams: list[Placement]) -> tuple[Quiet, *tuple[Quiet, ...]]:
    """All answer; and, where there are several, all but the first."""
    first, *others = upstreams
    fine = tuple(_checked(site, other, "1x20") for other in others)
    calm = Quiet((_checked(site, first, "1x20"), *fine))
    return (calm, Quiet((_checked(site, first, "1x10 0x10"), *fine))) if fine else (calm,)


def _spool(api: Labels) -> Iterator[Alert]:
    metric = "assistant_spool_messages"
    yield _spooled(api, "SpoolNotEmpty", "warning", metric, held=10)
    yield _spooled(api, "SpoolStuck", "critical", metric, held=120)


def _spooled(api: Labels, name: str, severity: Severity, metric: str, *, held: int) -> Alert:
    return Alert(
        name,
        subject="spool",
        severity=severity,
        expr=f"{metric} > 0",
        hold=minutes(held),
        summary="Messages of {{ $labels.service }} wait for the database",
        description="{{ $value | humanize }} of them, for "
        f"{duration(minutes(held))}: they are on {{{{ $labels.host }}}} only.",
        fires=Fires((series(metric, api, f"0x10 3x{held + 20}"),), api, "3", at=minutes(held + 20)),
        quiet=(
            Quiet((series(metric, api, f"0x10 3x{held + 10} 0x10"),), minutes(held + 24)),
            Quiet((series(metric, api, f"0x20 3x{held}"),), minutes(held + 15)),
        ),
    )
