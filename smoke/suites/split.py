"""A route's upstreams get the shares that the site gives them."""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import TYPE_CHECKING

from smoke.bench import chat_routes, upstream_of
from smoke.verdict import Check, judged
from smoke.wording import percent, prefix

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from inventory.model import Route, Site
    from smoke.bench import Bench
    from smoke.load.ollama import Answer
    from smoke.verdict import Verdict

TOLERANCE = 0.05
LEAST_SAMPLES = 40
_check = partial(Check, "split")


async def suite(bench: Bench) -> list[Check]:
    """Judge by who answered the chat suite's load."""
    checks = []
    for name in chat_routes(bench.site):
        load = await bench.stream_load(name)
        checks += judge(bench.site, name, load.complete)
    return checks


def judge(site: Site, name: str, answers: Sequence[Answer]) -> list[Check]:
    """One check an upstream, and one that nobody else answered."""
    route = site.routes[name]
    seen = Counter(upstream_of(site, route, answer.served_by) for answer in answers)
    strangers = Counter(
        answer.served_by or "no X-Served-By header"
        for answer in answers
        if upstream_of(site, route, answer.served_by) is None
    )
    shares = [_share(name, up.service, up.weight / 100, seen) for up in route.upstreams]
    return [*shares, _nobody_else(name, route, strangers, len(answers))]


def _share(name: str, upstream: str, weight: float, seen: Mapping[str | None, int]) -> Check:
    total = sum(seen.values())
    share = seen.get(upstream, 0) / max(1, total)
    verdict: Verdict = judged(share > 0 and abs(share - weight) <= TOLERANCE + 1e-9)
    detail = f"{seen.get(upstream, 0)} of {total} answers"
    if total < LEAST_SAMPLES:
        verdict, detail = "inconclusive", f"{total} answers are too few; {LEAST_SAMPLES} are needed"
    return _check(
        name=prefix(name, f"share of {upstream}"),
        target=f"{percent(weight)} ± {TOLERANCE * 100:.0f} points",
        figure=percent(share),
        verdict=verdict,
        detail=detail,
        samples=total,
    )


def _nobody_else(name: str, route: Route, strangers: Counter[str], total: int) -> Check:
    named = "; ".join(f"{count} x {who}" for who, count in strangers.most_common())
    return _check(
        name=prefix(name, "answers from anybody else"),
        target="none",
        figure=str(strangers.total() or "none"),
        verdict=judged(not strangers) if total else "inconclusive",
        detail=named or f"{len(route.upstreams)} upstreams declared",
        samples=total,
    )
