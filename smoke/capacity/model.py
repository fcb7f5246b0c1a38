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
_STRETCHES = tuple(1.02**n for n in range(-10, 25))
_FEWEST_IN_A_RUN = 3
"""Fewer answers of an upstream do not tell how long they wait there."""
_TRUST = 0.1
"""In the counters: many servers with a long stretch do as much as few with none."""
_HIGHEST_PER_MINUTE = 600_000.0
_DRAWS = 200
_REPLAYS = 15
_KEPT_FIRSTS = 40


class Served(NamedTuple):
    """An answered request.

    Attributes:
        sent: When it was sent, in seconds from the run's start.
        upstream: Who answered.
        first_s: From then to its first token.
        service_s: For how long it held a server, as the model's counters tell.
        tokens: How many it has.
    """

    sent: float
    upstream: str
    first_s: float
    service_s: float
    tokens: int = 0


class Arrival(NamedTuple):
    """A request on its way to a server.

    Attributes:
        sent: When it was sent, in seconds from the run's start.
        late_s: How late that was.
        upstream: Who got it; empty where that is not known.
    """

    sent: float
    late_s: float = 0.0
    upstream: str = ""


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
        firsts: Seconds to the first token of answers that did not wait for a server.
        tokens: Of an answer, on average.
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
    tokens: float = 0.0

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

    @property
    def tokens_per_second(self) -> float:
        """What it writes when all its servers are busy, all answers together."""
        return self.servers * self.tokens / self.service_s(self.saturates_at)

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
    stations: Sequence[Station], per_minute: float, arrivals: Sequence[Arrival]
) -> float:
    """The 95th percentile of the time to the first token that a run of those arrivals will show.

    The run is replayed some times with service times drawn from those that were measured; the
    median is told. A run is short: this is not the percentile of the long run.

    Args:
        stations: The route's upstreams.
        per_minute: The rate.
        arrivals: In the order in which they were sent; those of no known upstream are shared out.
    """
    turns = in_turn([each.share for each in stations], len(arrivals))
    own: dict[str, list[Arrival]] = {each.name: [] for each in stations}
    for arrival, turn in zip(arrivals, turns, strict=True):
        own[arrival.upstream or stations[turn].name].append(arrival)
    return median(
        percentile(
            [
                first_s
                for each in stations
                for first_s in _replayed(each, per_minute, own[each.name], seed)
            ]
        )
        for seed in range(_REPLAYS)
    )


def _replayed(
    station: Station, per_minute: float, arrivals: Sequence[Arrival], seed: int
) -> list[float]:
    """Seconds to the first token, of each."""
    chance = random.Random(seed)  # noqa: S311 - statistics, not secrets
    service_s = station.service_s(per_minute)
    held = [(each.sent, service_s * chance.choice(station.shapes)) for each in arrivals]
    return [
        each.late_s + wait + chance.choice(station.firsts)
        for each, wait in zip(arrivals, waits(held, station.servers), strict=True)
    ]


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
        off: How far replayed mean waits are from measured ones, as a share; root mean square.
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
            logarithm of replayed to measured mean wait, a service time added to both.
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
        own = [(run.per_minute * share, run.of(name)) for run in runs]
        errors = {
            (servers, stretch): [_off(served, servers, stretch, alone) for _, served in own]
            for servers in _SERVERS
            for stretch in _STRETCHES
        }
        return cls(name, share, alone, own, errors)

    def best(self, picks: Sequence[int]) -> tuple[int, float]:
        """The pair that is off least in these loads; of near equals that of least stretch."""

        def off(pair: tuple[int, float]) -> float:
            missed = sum(self.errors[pair][pick] for pick in picks)
            return round(missed + _TRUST * math.log(pair[1]) ** 2, 9)

        return min(self.errors, key=off)

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
        firsts = sorted(
            served.first_s
            for _, part in parts
            for served, wait in zip(part, waits(_held(part, stretch), servers), strict=True)
            if wait == 0
        )
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
            tokens=fmean(served.tokens for _, part in parts for served in part),
        )


def _off(served: Sequence[Served], servers: int, stretch: float, idle: Sequence[Served]) -> float:
    """By how much a queue misses a load: 0 where it was too small to tell."""
    if len(served) < _FEWEST_IN_A_RUN:
        return 0.0
    replayed_s = fmean(waits(_held(served, stretch), servers))
    first_s = median(each.first_s for each in idle)
    measured_s = max(0.0, fmean(each.first_s for each in served) - first_s)
    # Waits that are short beside a service time do not tell one queue from another.
    service_s = fmean(each.service_s for each in idle)
    return math.log((replayed_s + service_s) / (measured_s + service_s)) ** 2


def _held(served: Sequence[Served], stretch: float) -> list[tuple[float, float]]:
    """When each held a server, at the earliest, and for how long."""
    return [(each.sent, each.service_s * stretch) for each in served]


def _line(points: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Where the line of least squares begins and how it rises; it does not fall."""
    mean_x, mean_y = fmean(x for x, _ in points), fmean(y for _, y in points)
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    slope = sum((x - mean_x) * (y - mean_y) for x, y in points) / spread if spread else 0.0
    slope = max(0.0, slope)
    begin = mean_y - slope * mean_x
    # A line that would begin below nothing is none.
    return (begin, slope) if begin > 0 else (mean_y, 0.0)
