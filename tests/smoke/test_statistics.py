"""Intervals and tests, held to published values and to what they promise."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Iterable

import pytest

from smoke.load.latency import Latencies
from smoke.statistics import (
    Distribution,
    distance,
    quantile_change,
    quantile_interval,
    quantile_ranks,
    same_distribution,
    same_share,
    samples_needed,
    share_interval,
)


def held(values: Iterable[float]) -> Distribution:
    counts = Counter(values)
    ordered = sorted(counts)
    return Distribution(tuple(ordered), tuple(counts[value] for value in ordered))


def test_a_histogram_gives_its_observations_back_within_a_thousandth() -> None:
    measured = Distribution.decode(Latencies(n / 1000 for n in range(1, 1001)).encoded)
    assert len(measured) == 1000
    assert measured.quantile(0.95) == pytest.approx(0.95, rel=0.001)
    assert measured.quantile(1) == pytest.approx(1, rel=0.001)


def test_an_empty_histogram_has_no_observations() -> None:
    assert len(Distribution.decode(Latencies([]).encoded)) == 0


def test_a_quantile_is_an_observation_that_the_share_does_not_exceed() -> None:
    measured = held(range(1, 21))
    assert [measured.quantile(share) for share in (0, 0.5, 0.95, 0.951, 1)] == [1, 10, 19, 20, 20]


@pytest.mark.parametrize(
    ("share", "confidence", "count"),
    [(0.95, 0.95, 59), (0.99, 0.95, 299), (0.9, 0.95, 29), (0.95, 0.99, 90), (0.99, 0.99, 459)],
)
def test_as_many_samples_are_needed_as_wilks_says(
    share: float, confidence: float, count: int
) -> None:
    assert samples_needed(share, confidence) == count


@pytest.mark.parametrize(
    ("share", "count", "ranks"),
    [
        (0.5, 10, (2, 9)),  # tables of the sign test
        (0.5, 100, (40, 61)),
        (0.5, 5, (0, 5)),
        (0.95, 59, (50, 59)),
        (0.95, 58, (51, None)),
        (0.95, 100, (90, 100)),
    ],
)
def test_the_ranks_that_bound_a_quantile_are_those_of_the_tables(
    share: float, count: int, ranks: tuple[int, int | None]
) -> None:
    assert quantile_ranks(share, count) == ranks


@pytest.mark.parametrize("count", [59, 60, 71, 72, 200])
def test_nineteen_of_twenty_intervals_hold_the_true_quantile(count: int) -> None:
    source = random.Random(count)  # noqa: S311 - statistics
    holding = 0
    for _ in range(1000):
        low, high = quantile_interval(held(source.random() for _ in range(count)), 0.95)
        holding += low <= 0.95 <= high
    assert holding >= 930


def test_too_few_samples_bound_a_quantile_from_below_only() -> None:
    low, high = quantile_interval(held(range(1, 24)), 0.95)
    assert low > 1
    assert high == math.inf


@pytest.mark.parametrize(
    ("good", "total", "interval"),
    [
        (81, 263, (0.2553, 0.3662)),  # Newcombe, 1998
        (15, 148, (0.0624, 0.1605)),
        (0, 20, (0.0, 0.1611)),
        (1, 29, (0.0061, 0.1718)),
        (29, 29, (0.8830, 1.0)),
        (0, 0, (0.0, 1.0)),
    ],
)
def test_shares_have_the_published_intervals(
    good: int, total: int, interval: tuple[float, float]
) -> None:
    assert share_interval(good, total) == pytest.approx(interval, abs=5e-5)


def test_the_distance_is_the_largest_between_the_cumulated_shares() -> None:
    assert distance(held([1, 2, 3, 4]), held([3, 4, 5, 6])) == pytest.approx(0.5)
    assert distance(held([1, 2]), held([3, 4])) == 1
    assert distance(held([1, 1, 2]), held([1, 1, 2])) == 0


def test_the_chance_of_a_distance_is_kolmogorovs() -> None:
    # 1.358 and 1.628 are the critical values for 5 % and 1 %, of which large samples come close.
    count = 200_000
    for critical, chance in ((1.358, 0.05), (1.628, 0.01)):
        moved = round(critical * math.sqrt(2 / count) * count)
        one = Distribution((1.0, 2.0), (count // 2, count // 2))
        other = Distribution((1.0, 2.0), (count // 2 - moved, count // 2 + moved))
        assert same_distribution(one, other) == pytest.approx(chance, rel=0.02)


def test_samples_of_one_distribution_rarely_differ_and_of_two_do() -> None:
    source = random.Random(5)  # noqa: S311 - the same

    def sample(mean: float) -> Distribution:
        return held(source.expovariate(1 / mean) for _ in range(120))

    alarms = sum(same_distribution(sample(1), sample(1)) < 0.05 for _ in range(400))
    seen = sum(same_distribution(sample(1), sample(1.7)) < 0.05 for _ in range(100))
    assert alarms <= 32
    assert seen >= 80


def test_equal_samples_have_no_difference() -> None:
    assert same_distribution(held([1.0, 2.0]), held([1.0, 2.0])) == 1


def test_the_change_of_a_quantile_is_bounded_on_both_sides_of_the_truth() -> None:
    source = random.Random(7)  # noqa: S311 - the same
    before = held(round(source.gauss(100, 10), 3) for _ in range(2000))
    now = held(round(source.gauss(120, 10), 3) for _ in range(2000))
    low, high = quantile_change(before, now, 0.5)
    assert 18 < low < 20 < high < 22
    low, high = quantile_change(before, before, 0.95)
    assert low <= 0 <= high


@pytest.mark.parametrize(
    ("one", "other", "chance"),
    [
        ((45, 100), (30, 100), 0.0285),  # z = 2.19
        ((50, 50), (50, 50), 1.0),
        ((0, 9), (0, 80), 1.0),
        ((990, 1000), (900, 1000), 0.0),
    ],
)
def test_two_shares_differ_as_a_z_test_says(
    one: tuple[int, int], other: tuple[int, int], chance: float
) -> None:
    assert same_share(one, other) == pytest.approx(chance, abs=5e-4)
