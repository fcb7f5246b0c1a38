"""What a model streams comes at the promised rate, in full, soon, and as it is written."""

from __future__ import annotations

from collections import Counter
from functools import partial
from statistics import median
from typing import TYPE_CHECKING

from smoke.bench import upstream_of
from smoke.judging import judge_percentile, judge_share
from smoke.load.streams import FEWEST_TELLING, flowed
from smoke.statistics import Distribution
from smoke.verdict import Check, judged
from smoke.wording import percent, prefix, seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from inventory.model import Route, Site
    from smoke.bench import Bench
    from smoke.load.ollama import Answer
    from smoke.load.streams import StreamLoad
    from smoke.verdict import Verdict

    _Make = Callable[..., Check]

_RATE_TOLERANCE = 0.9  # the last answers' own time shifts the rate of a short run
_FLOWING = 0.75  # a busy computer holds single streams back; a buffer holds back all


async def loaded(bench: Bench, suite: str, routes: Collection[str]) -> list[Check]:
    """Send each route the load that it promises to carry, and judge that for a suite."""
    checks = []
    for name in routes:
        checks += judge(bench.site, suite, name, await bench.stream_load(name))
    return checks


def judge(site: Site, suite: str, name: str, load: StreamLoad) -> list[Check]:
    """Hold a route's load to its service level."""
    route = site.routes[name]
    check = partial(Check, suite)
    ready = _ready(check, site, name, load)
    if not load.ready:
        return [ready]
    return [
        ready,
        _success(check, name, route, load),
        _first_token(check, name, route, load),
        _rate(check, name, route, load),
        _flow(check, name, load),
        _speed(check, name, load),
    ]


def lag_fault(route: Route, load: StreamLoad) -> str:
    """Why the load was not the one asked for; empty where it was.

    The generator may add a tenth of what it judges, and no more than one request's interval.
    """
    target_s = route.service_level.first_byte_p95.total_seconds()
    allowed_s = min(target_s / 10, 60 / load.per_minute)
    lag_s = load.lag.percentile(95)
    if lag_s <= allowed_s:
        return ""
    return (
        f"the generator was late: 5 % of the requests left {seconds(lag_s)} or more after they "
        f"were due (at most {seconds(allowed_s)} is allowed); run it on an idle machine"
    )


def _ready(check: _Make, site: Site, name: str, load: StreamLoad) -> Check:
    return check(
        name=prefix(name, "answers before the load"),
        target="yes",
        figure="yes" if load.ready else "no",
        verdict=judged(load.ready),
        detail=_cold_loads(site, site.routes[name], load.warm_up)
        if load.ready
        else _faults(load.warm_up),
        samples=len(load.warm_up),
    )


def _cold_loads(site: Site, route: Route, warm_up: Sequence[Answer]) -> str:
    """The longest model load of each upstream that was warmed up."""
    longest: dict[str, float] = {}
    for answer in warm_up:
        upstream = upstream_of(site, route, answer.served_by) or "an unnamed upstream"
        longest[upstream] = max(longest.get(upstream, 0.0), answer.seconds("load_duration"))
    listed = ", ".join(f"{upstream} {seconds(value)}" for upstream, value in longest.items())
    return f"model load at the first request: {listed}"


def _success(check: _Make, name: str, route: Route, load: StreamLoad) -> Check:
    least = route.service_level.success
    found = judge_share(len(load.complete), len(load.answers), least=least)
    found["detail"] = _faults(load.answers) or f"{len(load.answers)} requests"
    claim = prefix(name, "answered in full, at least")
    return check(name=claim, target=percent(least), **found)


def _faults(answers: Sequence[Answer]) -> str:
    """What went wrong, most frequent first."""
    faults = Counter(_fault(answer) for answer in answers if answer.outcome != "complete")
    return "; ".join(f"{count} x {fault}" for fault, count in faults.most_common())


def _fault(answer: Answer) -> str:
    if answer.outcome == "refused":
        return f"status {answer.status}"
    if answer.outcome == "truncated":
        return f"cut short ({answer.fault or 'the stream ended without done'})"
    return answer.fault


def _first_token(check: _Make, name: str, route: Route, load: StreamLoad) -> Check:
    target_s = route.service_level.first_byte_p95.total_seconds()
    measured = Distribution.decode(load.first_token.encoded)
    found = judge_percentile(measured, 0.95, within_s=target_s, per_minute=load.per_minute)
    sent = seconds(load.first_token_service.percentile(95))
    found["detail"] = found["detail"] or f"{len(measured)} requests; from when it was sent {sent}"
    if fault := lag_fault(route, load):
        found["verdict"], found["detail"] = "inconclusive", fault
    claim = prefix(name, "first token, 95 % within")
    return check(name=claim, target=seconds(target_s), **found)


def _rate(check: _Make, name: str, route: Route, load: StreamLoad) -> Check:
    answered = load.answered_per_minute
    fault = lag_fault(route, load)
    return check(
        name=prefix(name, "answers a minute, at least"),
        target=f"{load.per_minute * _RATE_TOLERANCE:.0f}",
        figure=f"{answered:.0f}",
        verdict="inconclusive" if fault else judged(answered >= load.per_minute * _RATE_TOLERANCE),
        detail=fault or f"{load.per_minute:g} a minute sent, 10 % tolerance",
        samples=len(load.complete),
    )


def _flow(check: _Make, name: str, load: StreamLoad) -> Check:
    telling = load.telling
    share = sum(flowed(answer) for answer in telling) / max(1, len(telling))
    verdict: Verdict = judged(share >= _FLOWING)
    detail = "the rest was held back on the way" if share < 1 else ""
    if len(telling) < FEWEST_TELLING:
        verdict = "inconclusive"
        detail = "the model writes too fast to tell whether its tokens are held back"
    return check(
        name=prefix(name, "streams that come as they are written, at least"),
        target=percent(_FLOWING),
        figure=percent(share) if telling else "",
        verdict=verdict,
        detail=detail,
        samples=len(telling),
    )


def _speed(check: _Make, name: str, load: StreamLoad) -> Check:
    """The model's own figures: queueing and the network are not in them."""
    speeds = [
        answer.figure("eval_count") / answer.seconds("eval_duration")
        for answer in load.complete
        if answer.seconds("eval_duration") > 0
    ]
    return check(
        name=prefix(name, "tokens a second, median"),
        target="",
        figure=f"{median(speeds):.0f}" if speeds else "",
        verdict="unjudged",
        detail="no target" if speeds else "the answers carry no figures",
        samples=len(speeds),
    )
