"""One route: steps up to the knee, the model of them, and the test of what it predicts."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from math import sqrt
from typing import TYPE_CHECKING

from inventory.errors import HearthError
from smoke.capacity.level import broken
from smoke.capacity.model import LEAST_RUNS, Arrival, fit, predicted_percentile
from smoke.capacity.queues import limiter_holds, refused_of
from smoke.load.arrivals import poisson, uncancel
from smoke.wording import seconds as spoken

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inventory.model import Route
    from smoke.capacity.model import Fit, Run
    from smoke.capacity.steps import Load, Pace, Sender

LIMITER = "limiter"
TESTED_AT = (0.7, 0.9, 1.2)
"""Shares of the predicted capacity: the percentile is compared, the level holds, it does not."""
_PARTS_LEFT = (3, 2, 1)
"""Of the time that is left each of them may take one of so many parts."""
_LONGER = 1.2
_CLEARLY = 1.3
"""So many times a target is missed beyond doubt."""
LEAST_REQUESTS = 20
MOST_PER_MINUTE = 60_000.0
"""More, one process does not send on time."""


@dataclass(frozen=True, slots=True)
class Proof:
    """A load at a share of the predicted capacity.

    Args:
        at: The share.
        load: What was sent.
        predicted_p95_s: The percentile that was foretold.
        shows: Whether it lasts long enough for the level to be missed, if the prediction is right.
    """

    at: float
    load: Load
    predicted_p95_s: float
    shows: bool = True


@dataclass
class Measured:
    """What was found out about a route.

    Args:
        name: The route's.
        route: As the site has it.
        tokens: Asked for in each answer.
        clients: In whose names requests were sent.
        idle: One at a time.
        steps: Loads at rising rates.
        fit: The model; None where there was too little to go by.
        tests: Of what it predicts.
        fault: Why something is lacking; empty where all was done.
    """

    name: str
    route: Route
    tokens: int
    clients: int
    idle: Run | None = None
    steps: list[Load] = field(default_factory=list)
    fit: Fit | None = None
    tests: list[Proof] = field(default_factory=list)
    fault: str = ""

    @property
    def allowed(self) -> int:
        """How many requests a window of the limiter lets through, of all clients together."""
        return self.clients * self.route.rate_limit.requests

    @property
    def limiter_per_minute(self) -> float:
        """The rate of which the limiter lets through what the service level promises."""
        limit = self.route.rate_limit
        return limiter_holds(self.allowed, limit.window_seconds, self.route.service_level.success)

    @property
    def per_minute(self) -> float | None:
        """The capacity; None where it is not known."""
        return None if self.fit is None else min(self.fit.holds, self.limiter_per_minute)

    @property
    def interval(self) -> tuple[float, float] | None:
        """Within what it lies."""
        if self.fit is None:
            return None
        low, high = (min(end, self.limiter_per_minute) for end in self.fit.interval)
        return low, high

    @property
    def saturates_first(self) -> str | None:
        """The upstream that gives way first, or `limiter`; None where it is not known."""
        if self.fit is None:
            return None
        if self.limiter_per_minute < self.fit.holds:
            return LIMITER
        return min(self.fit.stations, key=lambda station: station.saturates_at).name

    @property
    def to_the_knee(self) -> bool:
        """Whether the upstreams were seen at their end; else what they hold is extrapolated."""
        return any(broken(self.route, step) and not step.refused for step in self.steps)


class Trial:
    """Measures a route.

    Attributes:
        found: What is known by now.
    """

    def __init__(self, sender: Sender, pace: Pace, tokens: int) -> None:
        self._sender = sender
        self._pace = pace
        self._began = 0.0
        self._seeds = iter(range(1, 10_000))
        self.found = Measured(sender.name, sender.route, tokens, sender.clients)

    async def run(self) -> bool:
        """Measure all; faults are part of what is found. False where it was cancelled."""
        self._began = asyncio.get_running_loop().time()
        try:
            await self._search()
            self._fit()
            await self._test()
        except HearthError as error:
            self.found.fault = str(error)
        except asyncio.CancelledError:
            uncancel()
            self._stopped()
            return False
        return True

    def _stopped(self) -> None:
        self.found.fault = "stopped before the end"
        if self.found.fit is None:
            try:
                self._fit()
            except HearthError as error:
                self.found.fault += f": {error}"

    def _left_s(self, share: float = 1.0) -> float:
        """What is left of that share of the time."""
        used_s = asyncio.get_running_loop().time() - self._began
        return self._pace.most_s * share - used_s

    async def _search(self) -> None:
        """Raise the rate until the service level breaks, then try once between."""
        pace, level = self._pace, self._sender.route.service_level
        if (window_s := self._sender.route.rate_limit.window_seconds) > pace.step_s:
            raise HearthError(
                f"its limiter counts for {window_s} s, longer than a load lasts "
                f"({pace.step_s:g} s): what it lets through would be no rate; measure without it"
            )
        self._sender.bench.progress(f"{self._sender.name}: one request at a time")
        self.found.idle = await self._sender.idle(pace.idle_s, pace.idle_requests)
        rate, good, bad = level.requests_per_minute.low, 0.0, 0.0
        while self._seconds(rate) < self._left_s(pace.search_share) and rate <= MOST_PER_MINUTE:
            if await self._step(rate):
                bad = rate
                if good or len(self.found.steps) >= LEAST_RUNS:
                    break
                rate /= pace.factor
            elif bad:
                good = rate
                break
            else:
                good, rate = rate, rate * pace.factor
        if good and bad and self._seconds(good) < self._left_s(pace.search_share):
            await self._step(sqrt(good * bad))

    def _seconds(self, per_minute: float) -> float:
        pace = self._pace
        return min(max(pace.step_s, pace.requests * 60 / per_minute), pace.longest_step_s)

    async def _step(self, per_minute: float) -> str:
        """Send one load; how it missed the service level, empty where it did not."""
        load = await self._sender.send(per_minute, self._seconds(per_minute), next(self._seeds))
        self.found.steps.append(load)
        broke = broken(self._sender.route, load)
        self._tell(load, broke)
        if broke:
            await self._sender.settle()
        return broke

    def _tell(self, load: Load, broke: str) -> None:
        self._sender.bench.progress(
            f"{self._sender.name}: {load.per_minute:.0f} a minute, 95 % began within "
            f"{spoken(load.first_token_p95_s)}{broke and f'; {broke}'}"
        )

    def _fit(self) -> None:
        """Fit the model to the loads.

        Raises:
            HearthError: There are too few.
        """
        route, idle = self._sender.route, self.found.idle
        if idle is None:
            raise HearthError("nothing was measured yet")
        runs = [self._sender.run(load) for load in self.found.steps]
        shares = {upstream.service: upstream.weight / 100 for upstream in route.upstreams}
        target_s = route.service_level.first_byte_p95.total_seconds()
        self.found.fit = fit(idle, runs, shares, target_s)

    async def _test(self) -> None:
        """Send three shares of what was predicted.

        Raises:
            HearthError: There is nothing to test, or no time for it.
        """
        fitted, capacity = self.found.fit, self.found.per_minute
        if fitted is None or not capacity:
            return
        for left, at in zip(_PARTS_LEFT, TESTED_AT, strict=True):
            rate, seed = at * capacity, next(self._seeds)
            seconds = self._test_seconds(rate, self._left_s() / left)
            shows = at < 1
            while not shows:
                shows = self._shows(fitted, rate, poisson(rate, seconds, seed=seed))
                if shows or seconds * _LONGER > self._left_s():
                    break
                seconds *= _LONGER
            load = await self._sender.send(rate, seconds, seed)
            predicted_s = predicted_percentile(fitted.stations, rate, self._sender.arrivals(load))
            self.found.tests.append(Proof(at, load, predicted_s, shows))
            self._tell(load, "")

    def _test_seconds(self, per_minute: float, most_s: float) -> float:
        """For how long a test is sent."""
        wanted_s = max(self._pace.step_s, self._pace.test_requests * 60 / per_minute)
        seconds = min(wanted_s, most_s)
        if per_minute / 60 * seconds < LEAST_REQUESTS:
            raise HearthError(
                f"{spoken(max(0.0, seconds))} are too short for a test at {per_minute:.3g} a "
                f"minute, {LEAST_REQUESTS} requests are needed; give it more (--most-seconds)"
            )
        return seconds

    def _shows(self, fitted: Fit, per_minute: float, schedule: Sequence[float]) -> bool:
        """Whether that load clearly misses the service level, as queues have the time to grow."""
        route = self._sender.route
        level, window_s = route.service_level, route.rate_limit.window_seconds
        arrivals = [Arrival(due) for due in schedule]
        first_s = predicted_percentile(fitted.stations, per_minute, arrivals)
        refused = refused_of(schedule, self.found.allowed, window_s)
        return (
            first_s > _CLEARLY * level.first_byte_p95.total_seconds()
            or refused > _CLEARLY * max(1 - level.success, 1 / max(1, len(schedule)))
        )
