"""Percentiles and shares against their targets, and how sure that is."""

from __future__ import annotations

import pytest

from smoke.judging import judge_percentile, judge_share
from smoke.load.latency import Latencies
from smoke.statistics import Distribution
from smoke.verdict import Check
from smoke.wording import duration, ordinal, seconds


def durations(count: int, each_s: float = 0.001) -> Distribution:
    """1, 2, 3... times a duration."""
    return Distribution.decode(Latencies(n * each_s for n in range(1, count + 1)).encoded)


def test_a_percentile_within_its_target_passes_with_its_interval() -> None:
    assert judge_percentile(durations(200), 0.95, within_s=0.25, per_minute=240) == {
        "figure": "0.19 s",
        "verdict": "pass",
        "detail": "",
        "samples": 200,
        "interval": ("0.18 s", "0.2 s"),
    }


@pytest.mark.parametrize(
    ("within_s", "verdict"), [(0.185, "fail"), (0.194, "pass")], ids=["below", "above"]
)
def test_a_target_inside_the_interval_is_judged_and_said_to_be_unsure(
    within_s: float, verdict: str
) -> None:
    found = judge_percentile(durations(200), 0.95, within_s=within_s, per_minute=240)
    assert found["verdict"] == verdict
    assert found["detail"].startswith("not sure: the true figure may lie on either side")


def test_too_few_samples_are_inconclusive_and_say_how_long_enough_take() -> None:
    found = judge_percentile(durations(30), 0.95, within_s=1, per_minute=3)
    assert found["verdict"] == "inconclusive"
    assert found["detail"] == (
        "30 answers are too few to be 95 % sure of a 95th percentile; "
        "59 are needed, 20 min at 3 a minute"
    )
    assert found["interval"] == ("26 ms", "unknown")


def test_a_few_samples_far_beyond_the_target_fail_all_the_same() -> None:
    found = judge_percentile(durations(30, 1), 0.95, within_s=2, per_minute=3)
    assert (found["verdict"], found["detail"]) == ("fail", "")


def test_no_samples_are_inconclusive() -> None:
    found = judge_percentile(durations(0), 0.99, within_s=1, per_minute=60)
    assert (found["verdict"], found["figure"], found["interval"]) == ("inconclusive", "", None)
    assert found["detail"].endswith("99th percentile; 299 are needed, 5 min at 60 a minute")
    assert judge_share(0, 0, least=0.99)["verdict"] == "inconclusive"


@pytest.mark.parametrize(("good", "verdict"), [(99, "pass"), (98, "fail")])
def test_a_share_is_held_to_its_target(good: int, verdict: str) -> None:
    assert judge_share(good, 100, least=0.99)["verdict"] == verdict


def test_what_was_found_completes_a_check() -> None:
    check = Check("chat", "chat: in full", "99 %", **judge_share(263 - 81, 263, least=0.5))
    assert (check.figure, check.interval, check.samples) == ("69.2 %", ("63.4 %", "74.5 %"), 263)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0 ms"),
        (0.00035, "350 µs"),
        (0.000999, "1 ms"),
        (0.0041, "4.1 ms"),
        (0.072, "72 ms"),
        (0.0996, "0.1 s"),
        (0.132, "0.13 s"),
        (2.44, "2.4 s"),
        (9.97, "10 s"),
        (61.4, "61 s"),
    ],
)
def test_durations_have_two_digits_and_a_unit(value: float, text: str) -> None:
    assert seconds(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(40, "40 s"), (1180, "20 min"), (5400, "1.5 h"), (7200, "2 h")]
)
def test_long_times_are_rounded(value: float, text: str) -> None:
    assert duration(value) == text


@pytest.mark.parametrize(
    ("number", "text"), [(95, "95th"), (99.9, "99.9th"), (1, "1st"), (52, "52nd"), (11, "11th")]
)
def test_ordinals(number: float, text: str) -> None:
    assert ordinal(number) == text
