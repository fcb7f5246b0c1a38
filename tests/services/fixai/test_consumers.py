"""The three consumers as processes on real servers, killed at each step of their work."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

import pytest

from services.fixai import bus, city, roles
from services.fixai.events import ReportSubmitted, Verdict, now
from services.fixai.problems import Problems
from services.fixai.store import Report
from tests.services.fixai import stacks
from tests.services.fixai.stacks import Stack

ROLES = ("description", "clustering", "incidents")
KILLED = -9
DONE_SECONDS = 120.0


def reports(seed: int, count: int) -> list[ReportSubmitted]:
    """A small city's reports, as the backend submits them now."""
    moment = now()
    return [
        ReportSubmitted(
            report_id=report.id,
            at=moment,
            submitted_at=moment,
            author=report.author,
            latitude=report.latitude,
            longitude=report.longitude,
            text=report.text,
            category=report.category,
        )
        for report in city.build(seed, count)
    ]


async def submit(stack: Stack, made: Sequence[ReportSubmitted], times: int = 1) -> None:
    """Store reports and publish their events, more than once if told so."""
    async with (
        roles.stored(stack.settings) as store,
        bus.connected(stack.settings.kafka) as producer,
    ):
        for event in made:
            await store.submit(event)
            for _ in range(times):
                await bus.publish(producer, event)


async def checked(stack: Stack, made: Sequence[ReportSubmitted]) -> list[Report]:
    """Wait until all are checked; the reports."""
    found: list[Report] = []
    async with roles.stored(stack.settings) as store, asyncio.timeout(DONE_SECONDS):
        for event in made:
            while True:
                report = await store.report(event.report_id)
                if report is not None and report.verdict is not None:
                    break
                await asyncio.sleep(0.1)
            found.append(report)
    return found


@contextmanager
def working(stack: Stack, *names: str) -> Iterator[Stack]:
    """The stand-in and consumers as processes; what the others of them are started with."""
    key = stack.folder / "secrets" / "llm" / "api-key"
    key.parent.mkdir(exist_ok=True)
    key.write_text("a key\n")
    with ExitStack() as entered:
        model = stack.ported()
        model.ready(entered.enter_context(model.process("gemini")))
        at = stack.ported(llm={"base_url": model.url})
        for role in names or ROLES:
            entered.enter_context(at.ported().process(role))
        yield at


STEPS = ("fetched:2", "stored:1", "stored:2", "stored:4", "handled:2", "published:2", "committing")


@pytest.mark.parametrize("role", ROLES)
def test_a_consumer_killed_at_any_step_loses_and_repeats_nothing(stack: Stack, role: str) -> None:
    async def effects(made: Sequence[ReportSubmitted]) -> None:
        found = await checked(stack, made)
        assert all(report.title and report.problem_id for report in found)
        async with roles.stored(stack.settings) as store:
            problems = Problems(store, 1)
            for report in found:
                assert report.problem_id is not None
                said = await problems.said(report.problem_id)
                assert [each.id for each in said].count(report.id) == 1

    made: list[ReportSubmitted] = []
    with working(stack, *(name for name in ROLES if name != role)) as at:
        for turn, step in enumerate(STEPS):
            more = reports(50 + len(STEPS) * ROLES.index(role) + turn, 8)
            asyncio.run(submit(stack, more))
            made += more
            with at.ported().process(role, step) as dying:
                assert dying.wait(DONE_SECONDS) == KILLED
        with at.ported().process(role):
            asyncio.run(effects(made))


def test_events_that_come_twice_have_one_effect(stack: Stack) -> None:
    made = reports(90, 40)
    with working(stack):
        asyncio.run(submit(stack, made, times=2))
        found = asyncio.run(checked(stack, made))
    assert len({report.problem_id for report in found}) > 1
    assert all(report.verdict in set(Verdict) for report in found)


def test_a_report_that_the_model_cannot_answer_is_a_dead_letter_and_stops_nobody(
    stack: Stack,
) -> None:
    bad, *good = reports(91, 10)
    bad = bad.model_copy(update={"text": "a pothole [[fault:malformed]]"})
    with working(stack):
        asyncio.run(submit(stack, [bad, *good]))
        asyncio.run(checked(stack, good))
    letters = asyncio.run(
        stacks.records(stack.settings.kafka.servers, "reports.submitted.description.dead")
    )
    mine = [dict(letter.headers) for letter in letters if letter.value == bad.encode()]
    assert [told["reason"].decode() for told in mine] == [
        "the answer is malformed, twice (json_invalid)"
    ]
