"""What is said to have changed between two runs, and what is not."""

from __future__ import annotations

import random
from dataclasses import replace

from smoke.differences import Difference, compare, differences
from smoke.load.record import LoadRecord
from tests.smoke.loads import LOST, SOON, STEADY, load_of, report_of


def drawn(seed: int, mean_s: float = 0.1, **kwargs: int | str) -> LoadRecord:
    source = random.Random(seed)  # noqa: S311 - statistics
    return load_of((source.gauss(mean_s, mean_s / 10) for _ in range(400)), **kwargs)  # type: ignore[arg-type]


def of(found: list[Difference], what: str) -> Difference:
    return next(difference for difference in found if difference.what == what)


def test_two_runs_of_the_same_show_no_difference() -> None:
    found = compare(drawn(1), drawn(2))
    assert {difference.change for difference in found} == {"none"}
    assert of(found, "response").text.startswith("no difference seen (p = ")


def test_a_slower_run_is_slower_with_figures_and_a_chance() -> None:
    response = of(compare(drawn(1), drawn(2, 0.13)), "response")
    assert response.change == "worse"
    assert response.text.startswith("slower: p95 0.12 s to 0.15 s, a change of +3")
    assert response.text.endswith("(p < 0.001)")


def test_a_faster_run_is_faster() -> None:
    response = of(compare(drawn(1, 0.13), drawn(2)), "response")
    assert (response.change, response.text[:7]) == ("better", "faster:")


def test_another_tail_alone_is_seen() -> None:
    quick, tailed = [0.1] * 400, [0.1] * 340 + [0.5] * 60
    response = of(compare(load_of(quick), load_of(tailed)), "response")
    assert response.text.startswith("slower: p95 0.1 s to 0.5 s")


def test_the_same_quantiles_in_another_shape_are_neither_better_nor_worse() -> None:
    one = [0.001 * n for n in range(1, 401)]
    # The lower half is gathered in its middle; the median and all above it stay.
    other = [0.1 if 0.04 < value < 0.19 else value for value in one]
    response = of(compare(load_of(one), load_of(other)), "response")
    assert response.change == "other"
    assert response.text.startswith("another shape, with p50 and p95 about the same")


def test_more_failures_are_worse() -> None:
    good = of(compare(drawn(1), drawn(2, failed=40)), "good answers")
    assert (good.change, good.text) == ("worse", "fewer: 100 % to 90.9 % (p < 0.001)")


def test_loads_at_other_rates_are_not_compared() -> None:
    (only,) = compare(drawn(1), drawn(2, offered="480 a minute, Poisson"))
    assert only.change == "other"
    assert only.text == (
        "not compared: 240 a minute, Poisson was offered then, 480 a minute, Poisson now"
    )


def test_loads_without_answers_are_not_compared() -> None:
    empty = replace(
        STEADY, timeline=(), histograms={"response": load_of([]).histograms["response"]}
    )
    assert [d.text for d in compare(STEADY, empty)] == ["not compared: a run has no answers"]


def test_a_check_that_came_out_otherwise_is_named() -> None:
    before, now = report_of(SOON, LOST), report_of(replace(SOON, verdict="fail", figure="2 s"))
    assert differences(before, now) == [
        Difference("chat", SOON.name, "worse", "pass (0.13 s) to fail (2 s)")
    ]


def test_only_loads_of_one_name_are_compared() -> None:
    before = report_of(loads=(drawn(1, name="chat"),))
    assert differences(before, report_of(loads=(drawn(1, name="image"),))) == []
