"""Runs of load generators become speeds; goals that are missed are told, unless nobody can tell."""

from __future__ import annotations

import pytest

from tests.bench_load import Punctuality, Run, Speed, figures, missed, speed

OURS = Speed("Hearth", per_core=30_000, per_second=12_000, memory_mb=30)
LOCUST = Speed("locust 2.47.0", per_core=10_000, per_second=4_000, memory_mb=60)
HEY = Speed("hey 0.1.5", per_core=40_000, per_second=16_000, memory_mb=75)
ON_TIME = Punctuality("hearth", p50_ms=0.1, p99_ms=0.5, waiting=0.001)
LATE = Punctuality("hearth", p50_ms=0.1, p99_ms=5.0, waiting=0.001)


def test_what_starting_costs_is_not_in_the_speed() -> None:
    short = Run(requests=1_000, wall_s=3.0, cpu_s=2.0, memory_mb=20)
    long = Run(requests=11_000, wall_s=8.0, cpu_s=3.0, memory_mb=25)
    assert speed("a tool", short, long) == Speed("a tool", 10_000, 2_000, 25)


def test_goals_that_are_met_are_not_told() -> None:
    assert missed([OURS, LOCUST, HEY], ON_TIME) == []


def test_being_less_than_twice_as_fast_as_locust_is_told() -> None:
    near = Speed("locust 2.47.0", per_core=16_000, per_second=4_000, memory_mb=60)
    [sentence] = missed([OURS, near], ON_TIME)
    assert sentence.startswith("requests a second of one core: 1.9 times as many as locust 2.47.0")


@pytest.mark.parametrize(("waiting", "told"), [(0.001, 1), (0.3, 0)])
def test_lateness_is_the_engines_own_only_where_it_has_a_processor(
    waiting: float, told: int
) -> None:
    punctual = Punctuality("hearth", p50_ms=0.1, p99_ms=5.0, waiting=waiting)
    assert len(missed([OURS, LOCUST], punctual)) == told


def test_each_peer_has_its_ratio() -> None:
    found = {figure.name: figure for figure in figures([OURS, LOCUST, HEY], [ON_TIME, LATE])}
    beside_locust = found["load: requests a second of one core, beside locust"]
    assert (beside_locust.value, beside_locust.peer, beside_locust.ratio) == (
        30_000,
        "locust 2.47.0",
        3.0,
    )
    assert found["load: requests a second of one core, beside hey"].ratio == 0.75
    assert found["load: memory, beside hey"].ratio == 2.5
    assert found["load: lateness at 1,000/s, p99"].value == 0.5
