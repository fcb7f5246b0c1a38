"""A route as one queue an upstream, fitted to runs of known arrivals; it predicts other rates.

An upstream is a queue with some servers, first come first served. How long an answer holds one is
what the model's own counters tell, times a stretch for what they leave out; both numbers are those
with which the replayed waits come nearest to the measured ones, by least squares.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, median
from typing import NamedTuple

from inventory.errors import HearthError
from smoke.capacity.queues import (
    highest,
    in_turn,
    shared_arrivals_variation,
    squared_variation,
    waits,
    waits_longer,
)
from smoke.statistics import CONFIDENCE, Interval

SHARE = 0.95
"""Service levels speak of the 95th percentile."""
LEAST_RUNS = 3
LEAST_ANSWERS = 3
"""Of an upstream one at a time, which tell its times when it is idle."""
BUSIEST = 0.8
"""Utilisation up to which nodes are planned: what is left is for a worse day than the test's."""
MOST_NODES = 1000

_SERVERS = (1, 2, 3, 4, 5, 6, 8, 10, 12, 16)
_STRETCHES = tuple(sorted((0.8 * 1.05**n for n in range(15)), key=lambda s: abs(math.log(s))))
_FEWEST_IN_A_RUN = 3
"""Fewer answers of an upstream do not tell how long they wait there."""
_HIGHEST_PER_MINUTE = 600_000.0
_DRAWS = 200
_REPLAYS = 15
_KEPT_FIRSTS = 20


class Served(NamedTuple):
    """An answered request.

    Attributes:
        due: When it should have been sent, in seconds from the run's start.
        upstream: Who answered.
        first_s: From then to its first token.
        service_s: For how long it held a server, as the model's counters tell.
    """

    due: float
    upstream: str
    first_s: float
    service_s: float


@dataclass(frozen=True, slots=True)
class Run:
    """A load, and what was answered.

    Attributes:
        per_minute: How many requests came; 0 where they were sent one at a time.
        served: In the order in which they were due.
    """

    per_minute: float
    served: Sequence[Served]

    def of(self, upstream: str) -> list[Served]:
        """What one upstream answered."""
        return [each for each in self.served if each.upstream == upstream]


@dataclass(frozen=True, slots=True)
class Station:
    """An upstream as a queue.

    Attributes:
        name: As `host.service`.
        share: Of the route's requests.
        servers: How many answers it works on at once, in effect.
        stretch: How much longer an answer holds a server than its counters tell.
        line: What they tell, in seconds, at a rate a minute of its own: at none, and for each
            request a minute more, as slots share what they compute with.
        busiest: The highest rate of its own that was measured: the line ends there.
        shapes: Service times in relation to their mean.
        variation: Their squared coefficient of variation.
        firsts: Seconds to the first token when it is idle.
    """

    name: str
    share: float
    servers: int
    stretch: float
    line: tuple[float, float]
    busiest: float
    shapes: tuple[float, ...]
    variation: float
    firsts: tuple[float, ...]

    def service_s(self, per_minute: float) -> float:
        """For how long an answer holds a server, at a rate of the route."""
        own = min(per_minute * self.share, self.busiest)
        return self.stretch * (self.line[0] + self.line[1] * own)

    def utilisation(self, per_minute: float) -> float:
        """Which share of its servers' time is used at a rate of the route; above 1 too much."""
        return per_minute / 60 * self.share * self.service_s(per_minute) / self.servers

    @property
    def saturates_at(self) -> float:
        """The route's rate a minute from which it cannot keep up."""
        return highest(lambda rate: self.utilisation(rate) < 1, _HIGHEST_PER_MINUTE)

    def late(self, per_minute: float, within_s: float) -> float:
        """The share of its answers that begin later, in the long run."""
        used, service_s = self.utilisation(per_minute), self.service_s(per_minute)
        variation = (shared_arrivals_variation(self.share) + self.variation) / 2
        return fmean(
            waits_longer(within_s - first_s, self.servers, used, service_s, variation)
            for first_s in self.firsts
        )


def late_share(stations: Sequence[Station], per_minute: float, within_s: float) -> float:
    """The share of a route's answers that begin later, in the long run."""
    return sum(each.share * each.late(per_minute, within_s) for each in stations)


def holds(stations: Sequence[Station], target_s: float) -> float:
    """The highest rate a minute at which 95 % of the answers begin within the target."""
    return highest(
        lambda rate: late_share(stations, rate, target_s) <= 1 - SHARE, _HIGHEST_PER_MINUTE
    )


@dataclass(frozen=True, slots=True)
class Plan:
    """How many nodes a traffic takes; `utilisation` is that of each."""

    nodes: int
    utilisation: float


def plan(station: Station, per_minute: float, target_s: float) -> Plan | None:
    """The fewest nodes like that one which share a traffic evenly; None where no number does."""
    for nodes in range(1, MOST_NODES + 1):
        each = replace(station, share=1 / nodes)
        used = each.utilisation(per_minute)
        if used <= BUSIEST and each.late(per_minute, target_s) <= 1 - SHARE:
            return Plan(nodes, used)
    return None


def predicted_percentile(
    stations: Sequence[Station], per_minute: float, schedule: Sequence[float]
) -> float:
    """The 95th percentile of the time to the first token that a run of that schedule will show.

    The run is replayed some times with service times drawn from those that were measured; the
    median is told. A run is short: this is not the percentile of the long run.
    """
    turns = in_turn([each.share for each in stations], len(schedule))
    return median(
        percentile(_replayed(stations, per_minute, schedule, turns, seed))
        for seed in range(_REPLAYS)
    )


def _replayed(
    stations: Sequence[Station],
    per_minute: float,
    schedule: Sequence[float],
    turns: Sequence[int],
    seed: int,
) -> list[float]:
    chance = random.Random(seed)  # noqa: S311 - statistics, not secrets
    found = []
    for index, station in enumerate(stations):
        service_s = station.service_s(per_minute)
        arrivals = [
            (due, service_s * chance.choice(station.shapes))
            for due, turn in zip(schedule, turns, strict=True)
            if turn == index
        ]
        found += [wait + chance.choice(station.firsts) for wait in waits(arrivals, station.servers)]
    return found


def percentile(values: Sequence[float], share: float = SHARE) -> float:
    """The smallest value that at least this share does not exceed; infinite where there is none."""
    if not values:
        return math.inf
    return sorted(values)[math.ceil(share * len(values) - 1e-9) - 1]


@dataclass(frozen=True, slots=True)
class Fit:
    """What was found.

    Attributes:
        stations: The route's upstreams.
        holds: The rate a minute at which 95 % of the answers begin within the target, and within
            what it lies: the fit's bootstrap over runs.
        off: How far the replayed means are from the measured ones, as a share; root mean square.
    """

    stations: tuple[Station, ...]
    holds: float
    interval: Interval
    off: float


def fit(idle: Run, runs: Sequence[Run], shares: Mapping[str, float], target_s: float) -> Fit:
    """Find each upstream's servers and stretch.

    Args:
        idle: Requests that were sent one at a time.
        runs: Loads at different rates, of random arrivals.
        shares: Of the route's requests, by upstream.
        target_s: Within which 95 % of the answers should begin.

    Raises:
        HearthError: There is too little to go by.
    """
    if len(runs) < LEAST_RUNS:
        raise HearthError(
            f"{len(runs)} loads are too few to fit a model to, {LEAST_RUNS} are needed; "
            "give it more time"
        )
    upstreams = [_Upstream.of(name, share, idle, runs) for name, share in shares.items()]
    every = range(len(runs))
    stations = tuple(each.station(every) for each in upstreams)
    chance = random.Random(0)  # noqa: S311 - statistics, not secrets
    found = []
    for _ in range(_DRAWS):
        picks = chance.choices(every, k=len(runs))
        found.append(holds([each.station(picks) for each in upstreams], target_s))
    found.sort()
    tail = round((1 - CONFIDENCE) / 2 * _DRAWS)
    errors = [error for each in upstreams for error in each.errors[each.best(every)]]
    return Fit(
        stations=stations,
        holds=holds(stations, target_s),
        interval=(found[tail], found[-1 - tail]),
        off=math.exp(math.sqrt(fmean(errors))) - 1,
    )


@dataclass(frozen=True, slots=True)
class _Upstream:
    """What was measured of one upstream.

    Attributes:
        idle: Its answers, one at a time.
        runs: Its answers in each load, and the rate at which it was asked.
        errors: How far each pair of servers and stretch is off in each load: the square of the
            logarithm of predicted to measured mean.
    """

    name: str
    share: float
    idle: Sequence[Served]
    runs: Sequence[tuple[float, Sequence[Served]]]
    errors: Mapping[tuple[int, float], Sequence[float]]

    @classmethod
    def of(cls, name: str, share: float, idle: Run, runs: Sequence[Run]) -> _Upstream:
        alone = idle.of(name)
        if len(alone) < LEAST_ANSWERS:
            raise HearthError(
                f"{name} answered {len(alone)} requests one at a time, {LEAST_ANSWERS} are needed; "
                "give it more time"
            )
        if not all(served.service_s > 0 for served in alone):
            raise HearthError(
                f"{name}: its answers do not tell how long they took (eval_duration); "
                "only what speaks Ollama's form can be measured"
            )
        first_s = fmean(served.first_s for served in alone)
        own = [(run.per_minute * share, run.of(name)) for run in runs]
        errors = {
            (servers, stretch): [_off(served, servers, stretch, first_s) for _, served in own]
            for servers in _SERVERS
            for stretch in _STRETCHES
        }
        return cls(name, share, alone, own, errors)

    def best(self, picks: Sequence[int]) -> tuple[int, float]:
        """The pair that is off least in these loads; of equals few servers and little stretch."""
        return min(
            self.errors, key=lambda pair: round(sum(self.errors[pair][pick] for pick in picks), 9)
        )

    def station(self, picks: Sequence[int]) -> Station:
        """The queue that fits these loads best."""
        servers, stretch = self.best(picks)
        parts = [(0.0, self.idle), *(self.runs[pick] for pick in picks if self.runs[pick][1])]
        told = [(rate, served.service_s) for rate, part in parts for served in part]
        shapes = [
            served.service_s / mean
            for _, part in parts
            for mean in (fmean(each.service_s for each in part),)
            for served in part
        ]
        firsts = sorted(served.first_s for served in self.idle)
        every = math.ceil(len(firsts) / _KEPT_FIRSTS)
        return Station(
            name=self.name,
            share=self.share,
            servers=servers,
            stretch=stretch,
            line=_line(told),
            busiest=max(rate for rate, _ in parts),
            shapes=tuple(shapes),
            variation=squared_variation(shapes),
            firsts=tuple(firsts[every // 2 :: every]),
        )


def _off(served: Sequence[Served], servers: int, stretch: float, first_s: float) -> float:
    """By how much a queue misses a load: 0 where it was too small to tell."""
    if len(served) < _FEWEST_IN_A_RUN:
        return 0.0
    waited = waits(((each.due, each.service_s * stretch) for each in served), servers)
    measured = fmean(each.first_s for each in served)
    return math.log((fmean(waited) + first_s) / measured) ** 2


def _line(points: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Where the line of least squares begins and how it rises; it does not fall."""
    mean_x, mean_y = fmean(x for x, _ in points), fmean(y for _, y in points)
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    slope = sum((x - mean_x) * (y - mean_y) for x, y in points) / spread if spread else 0.0
    slope = max(0.0, slope)
    begin = mean_y - slope * mean_x
    # A line that would begin below nothing is none.
    return (begin, slope) if begin > 0 else (mean_y, 0.0)
