"""A client that asks for too much is told to wait, and served again after that."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from smoke.bench import LONGEST_QUIET_S
from smoke.load.ollama import CHAT_PATHS, TOO_MANY_REQUESTS, chat_body
from smoke.verdict import Check, judged
from smoke.wording import prefix, seconds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inventory.model import RateLimit, Route
    from smoke.bench import Bench
    from smoke.load.ollama import Answer

BURST_FACTOR = 3
LARGEST_BURST = 200
_MARGIN_S = 0.05
_check = partial(Check, "rate-limit")


@dataclass(frozen=True)
class Burst:
    """What a burst and the wait after it brought.

    Args:
        answers: To requests that were sent at once.
        recovered_after_s: From the burst's last answer to an answer that was no 429; None
            where there was none.
    """

    answers: Sequence[Answer]
    recovered_after_s: float | None = None

    @property
    def refused(self) -> list[Answer]:
        """The answers with 429."""
        return [answer for answer in self.answers if answer.status == TOO_MANY_REQUESTS]

    @property
    def let_through(self) -> int:
        """How many got past the limiter, whatever the upstream made of them."""
        reached = [answer for answer in self.answers if answer.status is not None]
        return len(reached) - len(self.refused)

    @property
    def lasted_s(self) -> float:
        """From the first request to the last, as they left."""
        sent = [answer.on_wire for answer in self.answers]
        return max(sent) - min(sent)


async def suite(bench: Bench) -> list[Check]:
    """Send each served route a burst of three times its limit."""
    checks: list[Check] = []
    for name, route in bench.site.served_routes.items():
        if reason := _left_out(route.rate_limit):
            checks.append(_skipped(name, route.rate_limit, reason))
        else:
            checks += judge(name, route.rate_limit, await _burst(bench, name, route))
    return checks


def _left_out(limit: RateLimit) -> str:
    size = limit.requests * BURST_FACTOR
    if size > LARGEST_BURST:
        return f"not tried: a burst takes {size} requests, more than {LARGEST_BURST}"
    if limit.window_seconds > LONGEST_QUIET_S:
        return f"not tried: it takes a quiet {limit.per} before and after"
    return ""


def _skipped(name: str, limit: RateLimit, reason: str) -> Check:
    return _check(
        name=prefix(name, "limit holds"),
        target=f"{limit.requests} a {limit.per}",
        figure="",
        verdict="unjudged",
        detail=reason,
    )


async def _burst(bench: Bench, name: str, route: Route) -> Burst:
    limit = route.rate_limit
    size = limit.requests * BURST_FACTOR
    await bench.quiet(name)
    bench.progress(f"{name}: a burst of {size} requests")
    body = _cheap_body(route)
    answers = await asyncio.gather(*(bench.ask(name, body) for _ in range(size)))
    return Burst(answers, await _recovery(bench, name, body, limit.window_seconds))


def _cheap_body(route: Route) -> dict[str, Any]:
    """The least work for the upstream: one token, or elsewhere a request that it turns down."""
    if route.upstream_path in CHAT_PATHS and route.model is not None:
        return chat_body(route.model, 1)
    return {}


async def _recovery(bench: Bench, name: str, body: dict[str, Any], window_s: int) -> float | None:
    """Seconds until a request passes: tried after one window, and two windows later.

    The second try is for limiters with a sliding window, which may hold a burst's weight for
    nearly two; asking more often would itself count as load.
    """
    loop = asyncio.get_running_loop()
    end = loop.time()
    for windows in (1, 2):
        await asyncio.sleep(windows * window_s + _MARGIN_S)
        asked = loop.time()
        answer = await bench.ask(name, body)
        if answer.status not in {None, TOO_MANY_REQUESTS}:
            return asked - end
    return None


def judge(name: str, limit: RateLimit, burst: Burst) -> list[Check]:
    """Hold a burst to the route's limit."""
    return [
        _let_through(name, limit, burst),
        _says_when(name, burst),
        _passes_again(name, limit, burst),
    ]


def _let_through(name: str, limit: RateLimit, burst: Burst) -> Check:
    # A fixed window may turn over once within the burst; one may go to another's request.
    least, most = limit.requests - 1, 2 * limit.requests
    verdict = judged(bool(burst.refused) and least <= burst.let_through <= most)
    size = len(burst.answers)
    detail = f"{limit.requests} a {limit.per} allowed; {size} sent in {seconds(burst.lasted_s)}"
    if burst.lasted_s >= limit.window_seconds:
        verdict = "inconclusive"
        detail = f"the burst took {seconds(burst.lasted_s)}, longer than the limit's window"
    return _check(
        name=prefix(name, f"let through of a burst of {size}"),
        target=f"{least} to {most}",
        figure=str(burst.let_through),
        verdict=verdict,
        detail=detail,
        samples=size,
    )


def _says_when(name: str, burst: Burst) -> Check:
    telling = sum(answer.retry_after is not None for answer in burst.refused)
    refused = len(burst.refused)
    return _check(
        name=prefix(name, "refusals (429) that say when to retry"),
        target="all",
        figure=f"{telling} of {refused}",
        verdict=judged(refused > 0 and telling == refused),
        detail="" if refused else "nothing was refused",
        samples=refused,
    )


def _passes_again(name: str, limit: RateLimit, burst: Burst) -> Check:
    after = burst.recovered_after_s
    return _check(
        name=prefix(name, "a request passes again within"),
        target=seconds(3 * limit.window_seconds),
        figure="not at all" if after is None else seconds(after),
        verdict=judged(after is not None),
        detail="tried after one window and, if refused, two later",
        samples=1,
    )
