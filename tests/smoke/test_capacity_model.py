"""A queueing model finds the parameters of queues that are known, or says that it cannot."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import pytest

from inventory.errors import HearthError
from smoke.capacity.model import (
    Arrival,
    Fit,
    Plan,
    Run,
    Served,
    Station,
    fit,
    holds,
    percentile,
    plan,
    predicted_percentile,
)
from smoke.capacity.queues import (
    in_turn,
    limiter_holds,
    refused_of,
    refused_share,
    shared_arrivals_variation,
    waiting_chance,
    waits,
)
from smoke.load.arrivals import poisson

FIRST_S = 0.05
RUN_S = 60.0


@dataclass(frozen=True)
class Queue:
    """A true queue: `draw` makes a service time, of which the server tells all but a share."""

    servers: int
    draw: Callable[[random.Random], float]
    share: float = 1.0
    untold: float = 1.0

    def run(self, per_minute: float, seconds: float, seed: int) -> list[Served]:
        """What it answers of random arrivals at a rate of its own."""
        chance = random.Random(seed)  # noqa: S311 - figures, not secrets
        due = poisson(per_minute, seconds, seed=seed)
        took = [self.draw(chance) for _ in due]
        # Written otherwise than what is tested: by when each server is free again.
        free = [0.0] * self.servers
        found = []
        for at, service_s in zip(due, took, strict=True):
            soonest = min(range(self.servers), key=free.__getitem__)
            begins = max(at, free[soonest])
            free[soonest] = begins + service_s
            found.append(Served(at, "a", begins - at + FIRST_S, service_s / self.untold))
        return found

    def idle(self) -> Run:
        """Twenty requests, one at a time."""
        chance = random.Random(99)  # noqa: S311 - figures, not secrets
        return Run(
            0.0, [Served(9.0 * n, "a", FIRST_S, self.draw(chance) / self.untold) for n in range(20)]
        )

    def long_run_holds(self, target_s: float) -> float:
        """The rate a minute at which 95 % begin within the target, by trying."""
        low, high = 0.0, 60.0 * self.servers
        for _ in range(9):
            middle = (low + high) / 2
            found = self.run(middle, 60 * 30_000 / middle, seed=5)
            late = percentile([served.first_s for served in found]) > target_s
            low, high = (low, middle) if late else (middle, high)
        return low


def one_second(chance: random.Random) -> float:
    del chance
    return 1.0


def about_a_second(chance: random.Random) -> float:
    return chance.expovariate(1.0)


def fitted(queue: Queue, target_s: float, *rates: float) -> Fit:
    runs = [Run(rate, queue.run(rate, 4 * RUN_S, seed)) for seed, rate in enumerate(rates)]
    return fit(queue.idle(), runs, {"a": 1.0}, target_s)


def test_the_capacity_of_an_m_m_1_queue_is_found() -> None:
    # P(wait > t) = load * exp(-(1 - load) * t) for a service of a second.
    target_s = 8.0
    load = next(
        n / 1000
        for n in range(999, 0, -1)
        if n / 1000 * math.exp(-(1 - n / 1000) * (target_s - FIRST_S)) <= 0.05
    )
    found = fitted(Queue(1, about_a_second), target_s, 12, 19, 31, 49, 78)
    assert found.stations[0].servers == 1
    assert found.holds == pytest.approx(60 * load, rel=0.1)
    assert found.interval[0] <= found.holds <= found.interval[1]
    assert found.off < 0.1


def test_the_capacity_of_an_m_d_2_queue_is_found() -> None:
    queue = Queue(2, one_second)
    found = fitted(queue, 3.0, 30, 48, 77, 123)
    assert found.stations[0].servers == 2
    assert found.holds == pytest.approx(queue.long_run_holds(3.0), rel=0.1)


def test_what_the_counters_leave_out_is_found_as_a_stretch() -> None:
    queue = Queue(1, one_second, untold=1.25)
    found = fitted(queue, 3.0, 15, 24, 38, 61)
    assert found.stations[0].stretch == pytest.approx(1.25, rel=0.05)
    assert found.stations[0].saturates_at == pytest.approx(60, rel=0.06)


def test_answers_that_take_longer_under_load_are_known_to() -> None:
    slow = {12.0: 0.8, 24.0: 0.9, 48.0: 1.1}
    runs = [
        Run(rate, Queue(1, lambda _, s=took: s).run(rate, 240, seed=int(rate)))  # type: ignore[misc]
        for rate, took in slow.items()
    ]
    found = fit(Queue(1, lambda _: 0.7).idle(), runs, {"a": 1.0}, 3.0)
    assert found.stations[0].service_s(48) == pytest.approx(1.1, rel=0.05)
    assert found.stations[0].service_s(6) == pytest.approx(0.75, rel=0.05)
    assert found.stations[0].service_s(4800) == found.stations[0].service_s(48)


def test_too_few_loads_are_refused() -> None:
    with pytest.raises(HearthError, match=r"2 loads are too few to fit a model to, 3 are needed"):
        fitted(Queue(1, one_second), 3.0, 30, 48)


def test_an_upstream_that_hardly_answered_is_named() -> None:
    queue = Queue(1, one_second)
    runs = [Run(rate, queue.run(rate, RUN_S, 1)) for rate in (20, 30, 40)]
    with pytest.raises(HearthError, match=r"b answered 0 requests one at a time, 3 are needed"):
        fit(queue.idle(), runs, {"a": 0.8, "b": 0.2}, 3.0)


def test_answers_without_counters_are_refused() -> None:
    silent = Queue(1, lambda _: 0.0)
    runs = [Run(rate, silent.run(rate, RUN_S, 1)) for rate in (20, 30, 40)]
    with pytest.raises(HearthError, match=r"a: its answers do not tell how long they took"):
        fit(silent.idle(), runs, {"a": 1.0}, 3.0)


def station(name: str = "a", share: float = 1.0, service_s: float = 1.0) -> Station:
    """One server, constant service."""
    return Station(name, share, 1, 1.0, (service_s, 0.0), 60.0, (1.0,), 0.0, (FIRST_S,))


def test_the_upstream_that_saturates_first_is_the_one_with_most_work_a_server() -> None:
    big, small = station("big", 0.8, 0.5), station("small", 0.2, 4.0)
    assert big.saturates_at == pytest.approx(150, rel=1e-3)
    assert small.saturates_at == pytest.approx(75, rel=1e-3)
    # A fifth of the answers is too many to be late.
    assert holds((big, small), 10.0) < 75


def test_a_target_below_the_idle_time_is_held_at_no_rate() -> None:
    assert holds((station(),), 0.04) < 1e-3
    assert plan(station(), 30.0, 0.04) is None


def test_nodes_are_planned_with_room_and_within_the_service_level() -> None:
    assert plan(station(), 47.0, 30.0) == Plan(1, 47 / 60)
    # At 0.8 of one's time used a second node is needed, however late answers may be.
    assert plan(station(), 49.0, 30.0) == Plan(2, 49 / 60 / 2)
    # The strict level takes more of them than the work alone.
    strict = plan(station(), 200.0, 0.2)
    assert strict is not None
    assert strict.nodes > 5


def test_a_short_run_is_predicted_as_it_will_be() -> None:
    one = station()
    schedule = poisson(48, 60, seed=3)
    measured = [wait + FIRST_S for wait in waits([(due, 1.0) for due in schedule], 1)]
    arrivals = [Arrival(due) for due in schedule]
    assert predicted_percentile([one], 48, arrivals) == pytest.approx(percentile(measured))


def test_a_request_waits_as_erlang_says() -> None:
    assert waiting_chance(1, 0.7) == pytest.approx(0.7)
    # 2 u^2 / (1 + u) for two servers.
    assert waiting_chance(2, 0.75) == pytest.approx(2 * 0.75**2 / 1.75)


def test_turns_are_shared_out_evenly() -> None:
    turns = in_turn((0.8, 0.2), 10)
    assert turns.count(1) == 2
    assert turns[:5].count(1) == 1


@pytest.mark.parametrize("share", [1.0, 0.8, 0.5, 0.3, 0.2])
def test_arrivals_in_turn_vary_less_than_random_ones(share: float) -> None:
    due = poisson(60, 40_000, seed=1)
    turns = in_turn((share, 1 - share), len(due))
    own = [at for at, turn in zip(due, turns, strict=True) if turn == 0]
    gaps = [after - before for before, after in pairwise(own)]
    mean = sum(gaps) / len(gaps)
    variance = sum((gap - mean) ** 2 for gap in gaps) / len(gaps)
    assert shared_arrivals_variation(share) == pytest.approx(variance / mean**2, rel=0.05)


def test_a_burst_counts_as_refused_wherever_windows_begin() -> None:
    assert refused_of([0.55 + n / 1000 for n in range(6)], 5, 1.0) == pytest.approx(1 / 6)
    # Within one second, but in two windows perhaps.
    assert refused_of([0.1 + n * 0.15 for n in range(6)], 5, 1.0) == 0


def test_a_limiter_refuses_bursts_well_below_its_rate() -> None:
    held = limiter_holds(15, 1.0, 0.99)
    assert 500 < held < 700
    due = poisson(held, 20_000, seed=2)
    counts: dict[int, int] = {}
    for at in due:
        counts[int(at)] = counts.get(int(at), 0) + 1
    refused = sum(max(0, count - 15) for count in counts.values()) / len(due)
    assert refused == pytest.approx(0.01, rel=0.1)
    assert refused_share(held, 15, 1.0) == pytest.approx(0.01, rel=1e-3)
    assert refused_share(9000, 15, 1.0) == pytest.approx(0.9, rel=1e-3)
