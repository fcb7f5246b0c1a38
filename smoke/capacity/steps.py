"""Sends a chat route loads at stated rates, in the name of every client in turn."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass
from itertools import cycle
from statistics import fmean
from typing import TYPE_CHECKING

from inventory.errors import HearthError
from smoke.bench import let_through_s, upstream_of
from smoke.capacity.model import LEAST_ANSWERS, Arrival, Run, Served, percentile
from smoke.load.arrivals import drive, poisson
from smoke.load.ollama import TOO_MANY_REQUESTS, body_for
from smoke.load.streams import warm_up

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from smoke.bench import Bench
    from smoke.load.ollama import Answer

_PATIENCE = 3
"""So much longer an upstream is waited for that has a small share."""
_FEWEST_THAT_GROW = 12
_SETTLING_S = 15.0


@dataclass(frozen=True, slots=True)
class Pace:
    """How long loads are.

    Args:
        most_s: All that is done to a route takes at most so many seconds, a last answer aside.
        search_share: Of them until the knee is found; the rest is for the test.
        step_s: A load takes at least so many seconds,
        longest_step_s: and at most so many,
        requests: if that is enough for so many requests.
        test_requests: The same for a test; more than it takes to be sure of a 95th percentile.
        idle_s: At most so many seconds requests are sent one at a time,
        idle_requests: and at most so many of them.
        factor: From one rate to the next.
    """

    most_s: float = 180.0
    search_share: float = 0.6
    step_s: float = 12.0
    longest_step_s: float = 20.0
    requests: int = 30
    test_requests: int = 80
    idle_s: float = 12.0
    idle_requests: int = 40
    factor: float = 1.6


@dataclass(frozen=True)
class Load:
    """Random arrivals at one rate, and what became of them.

    Args:
        per_minute: The rate.
        seconds: How long requests were due.
        zero: The start, on the event loop's clock.
        end: When no answer was waited for any longer, on the same.
        answers: In the order in which they were due.
        waiting: When those were due, and sent, that were not answered by then.
    """

    per_minute: float
    seconds: float
    zero: float
    end: float
    answers: Sequence[Answer]
    waiting: Sequence[tuple[float, float]] = ()

    @property
    def requests(self) -> int:
        """How many were sent."""
        return len(self.answers) + len(self.waiting)

    @property
    def lag_p95_s(self) -> float:
        """How late the generator was: 95 % of the requests left no later after they were due."""
        told = [*((answer.due, answer.sent) for answer in self.answers), *self.waiting]
        return percentile([sent - due for due, sent in told])

    @property
    def failed(self) -> int:
        """How many were not answered in full; being late is no failure."""
        return sum(answer.outcome != "complete" for answer in self.answers)

    @property
    def refused(self) -> int:
        """How many the limiter turned away."""
        return sum(answer.status == TOO_MANY_REQUESTS for answer in self.answers)

    @property
    def begun_s(self) -> list[float]:
        """For how long each request waited for its first token, at least; ascending."""
        answered = [each.first - each.due for each in self.answers if each.first is not None]
        return sorted([*answered, *(self.end - due for due, _ in self.waiting)])

    @property
    def first_token_p95_s(self) -> float:
        """The 95th percentile of the time to the first token, from when a request was due."""
        return percentile(self.begun_s)

    @property
    def falls_behind(self) -> tuple[float, str]:
        """The share of its arrivals by which a server's answers are fewer, and who that is.

        Of the server that falls behind most, by how waits grow; 0 where none do.
        """
        begun: dict[str, list[tuple[float, float]]] = {}
        for answer in self.answers:
            if answer.first is not None:
                begun.setdefault(answer.sample.server, []).append(
                    (answer.due, answer.first - answer.due)
                )
        return max(((_grows(each), server) for server, each in begun.items()), default=(0.0, ""))


def _grows(begun: Sequence[tuple[float, float]]) -> float:
    """By which share answers are fewer than arrivals, by the waits of the first and last third."""
    if len(begun) < _FEWEST_THAT_GROW:
        return 0.0
    third = len(begun) // 3
    first, last = begun[:third], begun[-third:]
    over = fmean(due for due, _ in last) - fmean(due for due, _ in first)
    grown = fmean(waited for _, waited in last) - fmean(waited for _, waited in first)
    return max(0.0, grown / (over + grown)) if over + grown > 0 else 0.0


class Sender:
    """What asks a route.

    Args:
        bench: The way in.
        name: The route.
        keys: The clients' API keys; none where the route is open.
        tokens: Asked for in each answer.
    """

    def __init__(self, bench: Bench, name: str, keys: Sequence[str], tokens: int) -> None:
        self.bench = bench
        self.name = name
        self.route = bench.site.routes[name]
        self.clients = max(1, len(keys))
        self._target_s = self.route.service_level.first_byte_p95.total_seconds()
        self._keys = cycle(keys or ("",))
        self._tokens = tokens
        self.prompt_s: Mapping[str, float] = {}
        self.answer_s = 0.0
        self.first_s = 0.0

    @property
    def _interval_s(self) -> float:
        """Between requests that the limiter is sure to let through."""
        return let_through_s(self.route.rate_limit) / self.clients

    async def ask(self, tokens: int, due: float | None = None) -> Answer:
        """Ask as the next client."""
        body = body_for(self.route.upstream_path, self.route.model or "", tokens)
        return await self.bench.ask_as(next(self._keys), self.name, body, due)

    async def idle(self, seconds: float, most: int) -> Run:
        """Warm every upstream up, then ask one at a time: nobody waits for anybody.

        Raises:
            HearthError: The route does not answer.
        """
        await warm_up(self.route, self.ask, self._upstream, self._interval_s)
        loop = asyncio.get_running_loop()
        zero = loop.time()
        answers: list[Answer] = []
        while (len(answers) < most and loop.time() < zero + seconds) or (
            self._unknown(answers) and loop.time() < zero + _PATIENCE * seconds
        ):
            answers.append(await self.ask(self._tokens))
            await asyncio.sleep(max(0.0, answers[-1].sent + self._interval_s - loop.time()))
        complete = [answer for answer in answers if answer.outcome == "complete"]
        if not complete:
            fault = answers[-1].fault or f"status {answers[-1].status}"
            raise HearthError(f"{self.name} does not answer ({fault}); look at `hearth status`")
        self._learn(complete)
        return self.run(Load(0.0, seconds, zero, loop.time(), answers))

    def _unknown(self, answers: Sequence[Answer]) -> bool:
        """Whether an upstream has answered too seldom."""
        seen = Counter(self._upstream(each) for each in answers if each.outcome == "complete")
        return any(seen[each.service] < LEAST_ANSWERS for each in self.route.upstreams)

    def _learn(self, complete: Sequence[Answer]) -> None:
        """What an answer takes when nothing else is asked for."""
        self.answer_s = fmean(answer.ended - answer.sent for answer in complete)
        self.first_s = fmean(a.first - a.sent for a in complete if a.first is not None)
        prompts: dict[str, list[float]] = {}
        for answer in complete:
            found = prompts.setdefault(self._upstream(answer) or "", [])
            found.append(answer.seconds("prompt_eval_duration"))
        self.prompt_s = {upstream: fmean(found) for upstream, found in prompts.items()}

    async def send(self, per_minute: float, seconds: float, seed: int) -> Load:
        """Send random arrivals, and wait for their answers for as long as those could be in time.

        Being cancelled ends it; what was measured until then is lost.
        """
        loop = asyncio.get_running_loop()
        schedule = poisson(per_minute, seconds, seed=seed) or [0.0]
        under_way: dict[float, float] = {}
        answers: list[Answer] = []

        async def one(due: float) -> None:
            under_way[due] = loop.time()
            answers.append(await self.ask(self._tokens, due))
            del under_way[due]

        zero = loop.time()
        task = asyncio.create_task(drive(schedule, one, start=zero))
        try:
            await asyncio.wait({task}, timeout=seconds + self._target_s + 2 * self.answer_s)
        finally:
            end = loop.time()
            task.cancel()
            await asyncio.wait({task})
        task.result()
        answers.sort(key=lambda answer: answer.due)
        return Load(per_minute, seconds, zero, end, answers, tuple(under_way.items()))

    async def settle(self) -> None:
        """Wait until what a load left behind is worked off, 15 s at most."""
        loop = asyncio.get_running_loop()
        until = loop.time() + _SETTLING_S
        await asyncio.sleep(self.route.rate_limit.window_seconds)
        while loop.time() < until:
            answer = await self.ask(1)
            soon = 2 * self.first_s + self._target_s / 10
            if answer.first is not None and answer.first - answer.sent <= soon:
                return
            await asyncio.sleep(self._interval_s)

    def run(self, load: Load) -> Run:
        """For the model. Waiting may be in `prompt_eval_duration`: the idle one stands for it."""
        served = []
        for answer in load.answers:
            upstream = self._upstream(answer)
            if answer.outcome != "complete" or answer.first is None or upstream is None:
                continue
            told_s = answer.seconds("eval_duration")
            service_s = told_s + self.prompt_s.get(upstream, 0.0) if told_s else 0.0
            first_s, tokens = answer.first - answer.sent, answer.figure("eval_count")
            served.append(Served(answer.sent - load.zero, upstream, first_s, service_s, tokens))
        return Run(load.per_minute, sorted(served))

    def arrivals(self, load: Load) -> list[Arrival]:
        """What a load brought before the servers: what was refused they never saw."""
        seen = [
            Arrival(each.sent - load.zero, each.sent - each.due, self._upstream(each) or "")
            for each in load.answers
            if each.status != TOO_MANY_REQUESTS
        ]
        cut = [Arrival(sent - load.zero, sent - due) for due, sent in load.waiting]
        return sorted([*seen, *cut])

    def _upstream(self, answer: Answer) -> str | None:
        return upstream_of(self.bench.site, self.route, answer.served_by)
