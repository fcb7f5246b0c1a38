"""As many people as the site promises talk at once, and each is answered turn by turn."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING
from uuid import uuid4

from smoke.bench import chat_routes
from smoke.load.latency import Latencies
from smoke.load.ollama import TOO_MANY_REQUESTS, chat_body
from smoke.verdict import Check, judged
from smoke.wording import percent, prefix, seconds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inventory.model import Route
    from smoke.bench import Bench
    from smoke.load.ollama import Answer

TURNS = 3
LONGEST_S = 180
_TOKENS = 4
"""Few: each turn sends all that was said before it."""
_check = partial(Check, "sessions")


@dataclass(frozen=True)
class Session:
    """A person's conversation, one turn after the other."""

    turns: Sequence[Answer]

    @property
    def complete(self) -> bool:
        """Whether every turn was answered to its end."""
        return all(answer.outcome == "complete" for answer in self.turns)


async def suite(bench: Bench) -> list[Check]:
    """Let the people of the site's `sessions` talk on the first chat route."""
    found = next(iter(chat_routes(bench.site).items()), None)
    if found is None or bench.site.sessions is None:
        return []
    name, route = found
    people = int(bench.site.sessions.high)
    think_s = people * 60 / _turns_per_minute(route)
    if think_s * TURNS > LONGEST_S:
        return [_skipped(name, people, think_s * TURNS)]
    bench.progress(f"{name}: {people} people at once, {TURNS} turns each")
    talks = (_talk(bench, name, route, think_s, number / people) for number in range(people))
    return judge(name, route, await asyncio.gather(*talks))


def _turns_per_minute(route: Route) -> float:
    """What all people ask together: the middle of what the route promises to carry."""
    promised = route.service_level.requests_per_minute
    return (promised.low + promised.high) / 2


def _skipped(name: str, people: int, takes_s: float) -> Check:
    return _check(
        name=prefix(name, f"people, of {people} at once, answered in every turn"),
        target="",
        figure="",
        verdict="unjudged",
        detail=f"not tried: at the route's rate it takes {takes_s / 60:.0f} min",
    )


async def _talk(bench: Bench, name: str, route: Route, think_s: float, phase: float) -> Session:
    """One person: asks, reads, thinks; `phase` of a pause after the first."""
    await asyncio.sleep(phase * think_s)
    body = {**chat_body(route.model or "", _TOKENS), "conversation": str(uuid4())}
    turns: list[Answer] = []
    for number in range(TURNS):
        if number:
            await asyncio.sleep(think_s)
        turns.append(await bench.ask(name, body))
    return Session(turns)


def judge(name: str, route: Route, sessions: Sequence[Session]) -> list[Check]:
    """Hold the conversations to the route's service level.

    The latencies are those of a closed model: who waits does not ask, so they say how these
    people fared and not what a load of that rate would meet.
    """
    answers = [answer for session in sessions for answer in session.turns]
    whole = sum(session.complete for session in sessions)
    limited = sum(answer.status == TOO_MANY_REQUESTS for answer in answers)
    waits = Latencies(a.first - a.sent for a in answers if a.first is not None)
    target_s = route.service_level.first_byte_p95.total_seconds()
    shown = [
        _check(
            name=prefix(name, f"people, of {len(sessions)} at once, answered in every turn"),
            target=percent(route.service_level.success),
            figure=percent(whole / max(1, len(sessions))),
            verdict=judged(whole >= route.service_level.success * len(sessions)),
            detail=f"{TURNS} turns each"
            + (f"; {limited} turns were refused by the limiter" if limited else ""),
            samples=len(sessions),
        )
    ]
    if len(waits):
        shown.append(
            _check(
                name=prefix(name, "people wait for the first token, 95 % within"),
                target=seconds(target_s),
                figure=seconds(waits.percentile(95)),
                verdict=judged(waits.percentile(95) <= target_s),
                detail=f"{len(waits)} turns; nobody asks while he waits",
                samples=len(waits),
            )
        )
    return shown
