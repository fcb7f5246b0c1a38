"""A measured load of one route that a model answers: warm-up, constant rate, long streams."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING, Protocol

from smoke.load.arrivals import constant, drive
from smoke.load.latency import Latencies

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from inventory.model import Route
    from smoke.load.ollama import Answer

TOKENS = 16
LONGEST_LOAD_S = 180
MOST_REQUESTS = 60
"""One more than it takes to be 95 % sure of a 95th percentile."""
WARM_UP_S = 30
_BUSY = frozenset({429, 502, 503})
_LONG_TOKENS = 400
LONG_STREAMS = 5
FEWEST_TELLING = 3
"""Of long streams a few may be over too soon to tell."""
_TELLING_S = 0.300
"""Quicker streams a busy machine may send at once, held back or not."""
_LINES_A_READ = 8
_UNSEEN_S = 0.075


class Ask(Protocol):
    """Sends one request to the route."""

    async def __call__(self, tokens: int, due: float | None = None) -> Answer:
        """Ask for so many tokens; `due` is when the request should have been sent."""


@dataclass(frozen=True)
class StreamLoad:
    """What a load on one route brought.

    Args:
        per_minute: The rate that was asked for.
        warm_up: The requests before it; the last one was answered, if any was.
        answers: The load's, in the order in which they were due.
        long: Streams of more tokens, sent after it where its own were too quick to tell
            whether they were held back.
    """

    per_minute: float
    warm_up: Sequence[Answer]
    answers: Sequence[Answer] = ()
    long: Sequence[Answer] = ()

    @property
    def ready(self) -> bool:
        """Whether the route answered before the load."""
        return any(answer.outcome == "complete" for answer in self.warm_up)

    @property
    def complete(self) -> list[Answer]:
        """The load's answers that came to their end."""
        return [answer for answer in self.answers if answer.outcome == "complete"]

    @property
    def first_token(self) -> Latencies:
        """From when a request was due to its first token."""
        return Latencies(a.first - a.due for a in self.answers if a.first is not None)

    @property
    def first_token_service(self) -> Latencies:
        """From when a request was sent to its first token."""
        return Latencies(a.first - a.sent for a in self.answers if a.first is not None)

    @property
    def lag(self) -> Latencies:
        """From when a request was due to when it was sent: the generator's own delay."""
        return Latencies(answer.sent - answer.due for answer in self.answers)

    @property
    def answered_per_minute(self) -> float:
        """How fast complete answers came; falls behind the arrivals when work piles up."""
        ends = sorted(answer.ended for answer in self.complete)
        if len(ends) < 2 or ends[-1] == ends[0]:  # noqa: PLR2004  (a rate needs an interval)
            return 0.0
        return (len(ends) - 1) / (ends[-1] - ends[0]) * 60

    @property
    def telling(self) -> list[Answer]:
        """Complete streams that took the model long enough to tell whether they flowed."""
        every = (*self.answers, *self.long)
        return [a for a in every if a.outcome == "complete" and is_telling(a)]


def is_telling(answer: Answer) -> bool:
    """Whether the model was slow enough for its lines to come apart."""
    return answer.stream.made_over_s >= _TELLING_S and answer.stream.lines > 1


def flowed(answer: Answer) -> bool:
    """Whether tokens came as they were made, rather than at the end or in large bursts."""
    stream = answer.stream
    made_over = stream.made_over_s
    # Lines that a busy machine sends together after so short a time, nobody sees as a burst.
    often = stream.reads * _UNSEEN_S >= made_over
    return answer.spread >= made_over / 2 and (
        often or stream.reads * _LINES_A_READ >= stream.lines
    )


def request_count(per_minute: float) -> int:
    """As many requests as fit the longest load, at most 60, at least one."""
    return max(1, min(MOST_REQUESTS, int(per_minute * LONGEST_LOAD_S / 60)))


async def measure(
    route: Route, ask: Ask, upstream_of: Callable[[Answer], str | None]
) -> StreamLoad:
    """Warm every upstream up, then send the rate that the route promises to carry."""
    per_minute = route.service_level.requests_per_minute.high
    interval_s = 60 / per_minute
    first = await warm_up(route, ask, upstream_of, interval_s)
    load = StreamLoad(per_minute, first)
    if not load.ready:
        return load
    schedule = constant(per_minute, request_count(per_minute))
    # One interval on, so that the warm-up's last request does not crowd the first.
    start = asyncio.get_running_loop().time() + interval_s
    answers = await drive(schedule, lambda due: ask(TOKENS, due), start=start)
    load = StreamLoad(per_minute, first, answers)
    if len(load.telling) >= LONG_STREAMS or not load.complete:
        return load
    return StreamLoad(per_minute, first, answers, await _one_by_one(ask, interval_s))


async def warm_up(
    route: Route, ask: Ask, upstream_of: Callable[[Answer], str | None], interval_s: float
) -> list[Answer]:
    """Ask until each upstream has answered once; a busy gateway is asked again for 30 s."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + WARM_UP_S
    missing = {upstream.service for upstream in route.upstreams}
    most = 2 * ceil(100 / min(upstream.weight for upstream in route.upstreams))
    answers: list[Answer] = []
    while missing and loop.time() < deadline:
        answer = await ask(1)
        answers.append(answer)
        missing.discard(upstream_of(answer) or "")
        if answer.status in _BUSY:
            await asyncio.sleep(min(_pause_s(answer), max(0.0, deadline - loop.time())))
        elif answer.outcome != "complete" or _completed(answers) >= most:
            break
        else:
            await asyncio.sleep(max(0.0, answer.sent + interval_s - loop.time()))
    return answers


def _pause_s(busy: Answer) -> float:
    """What the gateway asks for, a second where it does not say; never a tight loop."""
    return 1.0 if busy.retry_after is None else max(0.05, busy.retry_after)


def _completed(answers: Sequence[Answer]) -> int:
    return sum(answer.outcome == "complete" for answer in answers)


async def _one_by_one(ask: Ask, interval_s: float) -> list[Answer]:
    loop = asyncio.get_running_loop()
    answers = []
    for _ in range(LONG_STREAMS):
        await asyncio.sleep(interval_s)
        answers.append(await ask(_LONG_TOKENS, loop.time()))
    return answers
