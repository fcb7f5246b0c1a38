"""The generated city, and how well the clustering finds what is known of it.

The rules were fitted on cities of seeds from 100 on; the seeds here took no part in that.
"""

from __future__ import annotations

import functools

import pytest

from services.fixai import city
from services.fixai.agreement import adjusted_rand
from services.fixai.settings import Clustering

SEEDS = (1, 2, 3)


@functools.cache
def measured(seed: int, *, embeddings: bool = True) -> city.Quality:
    return city.measure(city.build(seed, 2000), Clustering(), embeddings=embeddings)


def test_the_same_seed_makes_the_same_city() -> None:
    assert city.build(1, 200) == city.build(1, 200)
    assert city.build(1, 200) != city.build(2, 200)


def test_a_city_has_spam_late_reports_pictures_and_problems_close_to_each_other() -> None:
    reports = city.build(1, 1000)
    assert len(reports) == len({report.id for report in reports}) == 1000
    assert any(report.problem.startswith("spam") for report in reports)
    assert any(report.pictures for report in reports)
    assert reports == sorted(reports, key=lambda report: (report.at, report.id.int))


@pytest.mark.parametrize("seed", SEEDS)
def test_the_known_problems_are_found(seed: int) -> None:
    assert measured(seed).audited >= city.WANTED


def test_without_embeddings_fewer_of_the_known_problems_are_found() -> None:
    with_texts = [measured(seed).audited for seed in SEEDS]
    without = [measured(seed, embeddings=False).audited for seed in SEEDS]
    assert all(a > b for a, b in zip(with_texts, without, strict=True))
    assert sum(with_texts) - sum(without) > 0.05


def test_the_audit_finds_more_than_the_order_of_arrival_allows() -> None:
    found = [measured(seed) for seed in SEEDS]
    assert sum(each.audited for each in found) > sum(each.on_arrival for each in found)


def test_with_the_wrong_radius_the_problems_are_not_found() -> None:
    assert city.measure(city.build(1, 500), Clustering(radius_metres=1.0)).audited < 0.5


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("aabb", "xxyy", 1.0),
        ("aabb", "xyxy", -0.5),
        ("aaaa", "xxxx", 1.0),
        ("abcd", "xxxx", 0.0),
        # The example of Hubert and Arabie's index in scikit-learn's manual.
        ("aabb", "xxyz", 0.5714285714285714),
    ],
)
def test_the_adjusted_rand_index_is_the_known_one(one: str, other: str, expected: float) -> None:
    first, second = dict(enumerate(one)), dict(enumerate(other))
    assert adjusted_rand(first, second) == pytest.approx(expected)
    assert adjusted_rand(second, first) == pytest.approx(expected)


def test_groupings_of_other_things_are_not_compared() -> None:
    with pytest.raises(ValueError, match="of the same things only"):
        adjusted_rand({1: "a"}, {2: "a"})


def test_the_command_shows_each_city_and_fails_where_one_is_not_found(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert city.main(["--reports", "300", "--seeds", "1"]) == 0
    assert "without embeddings" in capsys.readouterr().out
    monkeypatch.setattr(city, "WANTED", 1.01)
    assert city.main(["--reports", "300", "--seeds", "1"]) == 1
