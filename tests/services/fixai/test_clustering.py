"""Clustering: the same problems whatever the order, the repetitions and the cells' edges."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from services.fixai import city, geo
from services.fixai.bus import Poison
from services.fixai.consumers.clustering import Clustering
from services.fixai.events import (
    CELL_PRECISION,
    Category,
    ReportClustered,
    ReportDescribed,
)
from services.fixai.gemini.embedding import embed
from services.fixai.grouping import Member, join, name, opened_by, partition
from services.fixai.llm import EMBEDDING_DIMENSIONS
from services.fixai.settings import Clustering as Rules
from tests.services.fixai.memory import MemoryProblems, MemoryStore
from tests.services.fixai.stacks import submitted

RULES = Rules()
NOON = datetime(2026, 9, 1, 12, tzinfo=UTC)


def member(number: int, text: str, *, east: float = 0.0, hours: float = 0.0) -> Member:
    """A report some metres east of a place."""
    return Member(
        report_id=UUID(int=number),
        at=NOON + timedelta(hours=hours),
        latitude=10.76,
        longitude=106.66 + east / 109_235,
        category=Category.ROAD,
        embedding=tuple(embed(text, EMBEDDING_DIMENSIONS)),
    )


def described(seen: Member) -> ReportDescribed:
    return ReportDescribed(
        report_id=seen.report_id,
        at=seen.at,
        submitted_at=seen.at,
        author=uuid4(),
        latitude=seen.latitude,
        longitude=seen.longitude,
        title="t",
        description="d",
        category=seen.category,
        severity=2,
        embedding=seen.embedding,
    )


def groups(members: Sequence[Member]) -> list[set[int]]:
    return [{each.report_id.int for each in group} for group in partition(members, RULES)]


def test_reports_of_one_place_time_and_matter_are_one_problem() -> None:
    pothole = "Pothole in front of Lotus Bakery"
    assert groups([member(1, pothole), member(2, f"Deep {pothole}", east=12, hours=5)]) == [{1, 2}]


@pytest.mark.parametrize(
    "other",
    [
        member(2, "Pothole in front of Lotus Bakery", east=70),
        member(2, "Pothole in front of Lotus Bakery", hours=24 * 15),
        member(2, "Pothole opposite Old Town Pharmacy 311", east=35),
        replace(member(2, "Street light out", east=20), category=Category.LIGHTING),
    ],
    ids=["far", "long after", "other words", "other category"],
)
def test_reports_that_are_apart_are_two_problems(other: Member) -> None:
    assert groups([member(1, "Pothole in front of Lotus Bakery"), other]) == [{1}, {2}]


def test_the_groups_of_reports_do_not_depend_on_their_order_or_repetition() -> None:
    known = city.members(city.build(4, 300))
    expected = name(partition(known, RULES))
    chance = random.Random(7)  # noqa: S311 - an order, not a secret
    for _ in range(5):
        shuffled = [*known, *chance.sample(known, 50)]
        chance.shuffle(shuffled)
        assert name(partition(shuffled, RULES)) == expected


def test_a_problem_has_the_id_of_its_first_report() -> None:
    later, first = member(1, "Pothole", hours=1), member(2, "Pothole")
    assert set(name(partition([later, first], RULES)).values()) == {opened_by(first.report_id)}


def test_a_report_joins_an_earlier_one_that_is_not_joined_yet_and_not_the_other_way() -> None:
    first, second = member(1, "Pothole"), member(2, "Pothole", hours=1)
    assert join(second, [first, second], RULES).problem_id == opened_by(first.report_id)
    found = join(first, [first, second], RULES)
    assert (found.problem_id, found.opened) == (opened_by(first.report_id), True)


def test_many_reports_of_one_place_are_still_one_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.fixai.grouping._LINKED", 10)
    crowd = [member(n, "Pothole in front of Lotus Bakery", hours=n / 10) for n in range(1, 31)]
    assert groups(crowd) == [set(range(1, 31))]


def consumer() -> tuple[Clustering, MemoryProblems]:
    store = MemoryStore()
    problems = MemoryProblems(store)
    return Clustering(store, problems, RULES, None), problems


async def _work(events: Sequence[ReportDescribed]) -> MemoryProblems:
    """Handle events one after another, then audit."""
    work, problems = consumer()
    for event in events:
        await work.handle(event)
    await work.audit(list(problems.cells))
    return problems


def test_a_replay_in_another_order_with_repetitions_gives_the_same_problems() -> None:
    """Kafka keeps the order of a key alone: cells are interleaved anyhow."""
    events = [described(seen) for seen in city.members(city.build(5, 250))]
    expected = asyncio.run(_work(events)).problems()
    chance = random.Random(3)  # noqa: S311 - an order, not a secret
    for _ in range(3):
        queues: dict[str, list[ReportDescribed]] = {}
        for event in events:
            queues.setdefault(event.key, []).append(event)
        replay: list[ReportDescribed] = []
        while queues:
            key = chance.choice(sorted(queues))
            replay += [queues[key][0]] * chance.choice([1, 1, 2])
            queues[key] = queues[key][1:]
            if not queues[key]:
                del queues[key]
        assert asyncio.run(_work(replay)).problems() == expected
    retried = chance.sample(events, len(events))  # a retry is overtaken, even in its own cell
    assert asyncio.run(_work(retried)).problems() == expected


def test_an_event_that_comes_again_is_answered_as_the_first_time() -> None:
    async def run() -> None:
        work, problems = consumer()
        event = described(member(1, "Pothole"))
        first = await work.handle(event)
        before = problems.problems()
        assert await work.handle(event) == first
        assert problems.problems() == before

    asyncio.run(run())


def edge() -> tuple[Member, Member]:
    """Two reports some metres apart, in two cells."""
    left = member(1, "Pothole in front of Lotus Bakery")
    cell = geo.encode(left.latitude, left.longitude, CELL_PRECISION)
    longitude = left.longitude
    while geo.encode(left.latitude, longitude, CELL_PRECISION) == cell:
        longitude += 0.00002
    return (
        replace(left, longitude=longitude - 0.00004),
        replace(member(2, "Pothole in front of Lotus Bakery", hours=1), longitude=longitude),
    )


@pytest.mark.parametrize("turned", [False, True])
def test_a_problem_on_a_cells_edge_is_one_problem(turned: bool) -> None:  # noqa: FBT001
    events = [described(seen) for seen in edge()]
    assert len({event.key for event in events}) == 2
    found = asyncio.run(_work(events[::-1] if turned else events)).problems()
    assert set(found.values()) == {opened_by(UUID(int=1))}


def test_two_consumers_that_take_both_sides_of_an_edge_at_once_open_one_problem() -> None:
    async def run() -> None:
        work, problems = consumer()
        other = Clustering(problems.store, problems, RULES, None)
        first, second = (described(seen) for seen in edge())
        await asyncio.gather(work.handle(first), other.handle(second))
        await work.audit(list(problems.cells))
        assert set(problems.problems().values()) == {opened_by(first.report_id)}

    asyncio.run(run())


def test_the_audit_tells_what_it_moved_and_from_where() -> None:
    async def run() -> None:
        work, problems = consumer()
        first, second = member(1, "Pothole"), member(2, "Pothole", hours=1)
        await work.handle(described(second))  # overtook the first one
        await work.handle(described(first))
        await work.audit(list(problems.cells))
        assert set(problems.problems().values()) == {opened_by(first.report_id)}
        moved = [event for event in problems.told if isinstance(event, ReportClustered)]
        assert {event.before for event in moved} == {opened_by(second.report_id)}
        assert {event.problem_id for event in moved} == {opened_by(first.report_id)}
        assert await work.audit(list(problems.cells)) == 0

    asyncio.run(run())


def test_a_replay_does_not_undo_what_the_audit_moved() -> None:
    async def run() -> None:
        work, problems = consumer()
        late, first = described(member(2, "Pothole", hours=1)), described(member(1, "Pothole"))
        await work.handle(late)
        await work.handle(first)
        await work.audit(list(problems.cells))
        right = problems.problems()
        await work.handle(late)
        assert problems.problems() == right

    asyncio.run(run())


def test_an_event_of_another_stage_is_poison() -> None:
    async def run() -> None:
        work, _ = consumer()
        with pytest.raises(Poison, match="not for the clustering"):
            await work.handle(submitted())

    asyncio.run(run())
