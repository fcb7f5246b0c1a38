"""The check of incidents: what is said of a problem, and how it stands."""

from __future__ import annotations

import asyncio
import random
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from services.fixai.consumers.incidents import Checked, Incidents, judge, verdict_of
from services.fixai.events import (
    Category,
    ReportChecked,
    ReportClustered,
    ReportCommented,
    Says,
    Verdict,
)
from services.fixai.gemini import rules
from services.fixai.llm import Llm
from services.fixai.problems import Statement
from services.fixai.store import Report
from tests.services.fixai.memory import MemoryProblems, MemoryStore

NOW = datetime.now(UTC).replace(microsecond=0)
PROBLEM, OTHER = UUID(int=1000), UUID(int=2000)


def said(number: int, *, hours: float = 0, comment_on: int | None = None, **told: Any) -> Statement:
    """A report, or a comment on one, some hours before now."""
    about = number if comment_on is None else comment_on
    given: dict[str, Any] = {
        "severity": 2,
        "spam": False,
        "gone": False,
        "reason": "r",
        "author": number,
    } | told
    author = UUID(int=given.pop("author"))
    at = NOW - timedelta(hours=hours)
    return Statement(id=UUID(int=number), report_id=UUID(int=about), author=author, at=at, **given)


@pytest.mark.parametrize(
    ("statements", "verdict", "level"),
    [
        ([said(1)], Verdict.OPEN, 0),
        ([said(n) for n in range(1, 6)], Verdict.ESCALATED, 1),
        ([said(n) for n in range(1, 16)], Verdict.ESCALATED, 2),
        ([said(n, author=1) for n in range(1, 16)], Verdict.OPEN, 0),
        ([said(1, severity=4), said(2, severity=4)], Verdict.ESCALATED, 1),
        ([said(1, severity=5)], Verdict.ESCALATED, 1),
        ([said(1, hours=24 * 22)], Verdict.ESCALATED, 1),
        ([said(1, hours=9), said(2, gone=True)], Verdict.OPEN, 0),
        ([said(1, hours=9), said(2, gone=True), said(3, gone=True)], Verdict.RESOLVED, 0),
        ([said(1, hours=9), said(2, comment_on=1, author=1, gone=True)], Verdict.RESOLVED, 0),
        ([said(1, hours=9), said(2, hours=5, author=1, gone=True), said(3)], Verdict.OPEN, 0),
    ],
)
def test_a_problem_is_judged_by_all_that_is_said_of_it(
    statements: list[Statement], verdict: Verdict, level: int
) -> None:
    for seed in range(3):
        random.Random(seed).shuffle(statements)  # noqa: S311 - an order, not a secret
        state = judge(statements, NOW)
        assert state is not None
        assert (state.verdict, state.level) == (verdict, level)


def test_spam_makes_no_problem() -> None:
    assert judge([said(1, spam=True)], NOW) is None
    assert verdict_of(said(1, spam=True), [], None)[0] == Verdict.SPAM


@pytest.mark.parametrize(
    ("before_hours", "author", "verdict"),
    [(3, 2, Verdict.DUPLICATE), (30, 2, Verdict.OPEN), (3, 1, Verdict.OPEN)],
)
def test_who_reports_a_problem_twice_within_a_day_reports_a_duplicate(
    before_hours: float, author: int, verdict: Verdict
) -> None:
    first, second = said(1, hours=before_hours, author=author), said(2, author=2)
    state = judge([first, second], NOW)
    assert verdict_of(second, [first, second], state)[0] == verdict
    assert verdict_of(first, [first, second], state)[0] == Verdict.OPEN


class Reader(Llm):
    """Reads by the stand-in's rules, and counts."""

    def __init__(self) -> None:
        self.asked = 0

    async def ask(self, task: str, report: Any, form: Any, pictures: Any = ()) -> Any:  # noqa: ARG002, D102
        self.asked += 1
        read = rules.read(report["text"])
        return Checked(spam=read.spam, state=read.state, reason=read.reason)


class Desk:
    """The consumer on a store in memory."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.problems = MemoryProblems(self.store)
        self.llm = Reader()
        self.work = Incidents(self.store, self.problems, self.llm)

    def clustered(
        self, number: int, text: str = "a pothole", *, before: UUID | None = None, **told: Any
    ) -> ReportClustered:
        """A report that was joined to a problem, and its event."""
        problem = told.get("problem", PROBLEM)
        at = NOW - timedelta(hours=told.get("hours", 1))
        report = Report(
            id=UUID(int=number),
            author=UUID(int=number),
            text=text,
            category=Category.ROAD,
            latitude=10.0,
            longitude=106.0,
            pictures=(),
            submitted_at=at,
            title="Pothole",
            severity=2,
            problem_id=problem,
        )
        self.store.reports[report.id] = report
        return ReportClustered(
            report_id=report.id,
            at=NOW,
            submitted_at=at,
            author=report.author,
            latitude=10.0,
            longitude=106.0,
            problem_id=problem,
            before=before,
            opened=True,
            similarity=1.0,
            title="Pothole",
            description="d",
            category=Category.ROAD,
            severity=2,
        )

    def checked(self, event: ReportClustered | ReportCommented) -> ReportChecked:
        """What the consumer makes of an event."""
        (made,) = asyncio.run(self.work.handle(event))
        assert isinstance(made, ReportChecked)
        return made


def test_an_event_that_comes_again_is_answered_the_same_and_the_model_asked_once() -> None:
    desk = Desk()
    event = desk.clustered(1)
    first = desk.checked(event)
    desk.checked(desk.clustered(2, hours=0.5))
    assert desk.checked(event) == first
    assert desk.llm.asked == 2
    state = desk.problems.states[PROBLEM]
    assert (state.reports, state.people) == (2, 2)


def test_advertising_is_spam_and_leaves_no_problem() -> None:
    desk = Desk()
    assert desk.checked(desk.clustered(1, "Cheap phones, click here")).verdict == Verdict.SPAM
    assert desk.problems.states == {}


def test_when_its_reporter_says_that_it_is_gone_all_reporters_are_told() -> None:
    desk = Desk()
    desk.checked(desk.clustered(1, hours=2))
    desk.checked(desk.clustered(2, hours=1))
    comment = ReportCommented(
        report_id=UUID(int=1),
        comment_id=UUID(int=77),
        latitude=10.0,
        longitude=106.0,
        author=UUID(int=1),
        at=NOW,
        submitted_at=NOW,
        text="it was repaired today",
        says=Says.RESOLVED,
    )
    assert desk.checked(comment).verdict == Verdict.RESOLVED
    told = [event for event in desk.problems.told if isinstance(event, ReportChecked)]
    assert [(event.report_id.int, event.verdict) for event in told] == [(2, Verdict.RESOLVED)]
    assert desk.store.reports[UUID(int=2)].verdict == Verdict.RESOLVED


def test_a_report_that_was_moved_takes_along_what_was_said_of_it() -> None:
    desk = Desk()
    desk.checked(desk.clustered(1))
    desk.checked(desk.clustered(1, problem=OTHER, before=PROBLEM))
    assert PROBLEM not in desk.problems.states
    assert desk.problems.states[OTHER].reports == 1


def test_a_problem_that_nobody_speaks_of_gets_urgent_by_its_age() -> None:
    desk = Desk()
    desk.checked(desk.clustered(1, hours=1))
    ((_, problem_id),) = desk.problems.deadlines
    assert problem_id == PROBLEM
    due = desk.problems.deadlines.popitem()[1]
    assert due == NOW - timedelta(hours=1) + timedelta(days=21)
    old = judge(list(desk.problems.statements[PROBLEM].values()), due)
    assert old is not None
    assert (old.verdict, old.urgent_from) == (Verdict.ESCALATED, None)
