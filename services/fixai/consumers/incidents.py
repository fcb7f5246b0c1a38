"""Check of incidents: what reports and comments say of a problem, and how it stands.

The model reads each statement: is it about a problem at all, does it say that it is gone. The rest
are rules over all statements of the problem, whatever their order (`judge`):

    spam         the report tells of no problem
    duplicate    its author reported the problem before, not long ago
    resolved     the last statements say that it is gone: two people, or who reported it first
    escalated    many people, severe, or open for long
    open         otherwise: it is still there

A problem that nobody speaks of any more gets old all the same: a sweep looks at those whose day
has come. Its events go by the outbox.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, Field

from services.fixai import roles
from services.fixai.bus import Away, Handler, Poison
from services.fixai.consumers.description import model
from services.fixai.consumers.effect import Waiting, keep, once
from services.fixai.events import (
    Event,
    ReportChecked,
    ReportClustered,
    ReportCommented,
    Says,
    Verdict,
    now,
)
from services.fixai.health import Health
from services.fixai.llm import Llm
from services.fixai.problems import Problems, State, Statement
from services.fixai.settings import Settings
from services.fixai.store import Report, Store

NAME = "incidents"
AGAIN = timedelta(hours=24)
"""Who reports the same problem within this time reports it twice."""
_CROWD, _BIG_CROWD = 5, 15
_SEVERE, _MOST_SEVERE = 4, 5
_AGES = {1: timedelta(days=30), 2: timedelta(days=21), 3: timedelta(days=14), 4: timedelta(days=3)}
"""How long a problem of a severity may be open."""
_AGE_OF_WORST = timedelta(days=1)
_AGREEING = 2
_SWEEP_SECONDS, _SWEEP_DAYS = 60.0, 14
_LEVELS = 2
_TOLD = 200
_log = logging.getLogger(__name__)


class Checked(BaseModel):
    """What the model is asked for.

    Attributes:
        state: of the problem, as it is told.
    """

    spam: bool
    state: Literal["there", "gone"]
    reason: Annotated[str, Field(max_length=300)]


class Read(Checked):
    """What was read, and when: kept, so that the model is asked once."""

    at: AwareDatetime


def judge(statements: Sequence[Statement], at: datetime) -> State | None:
    """How a problem stands at a time; None where nothing is said of it that is no spam."""
    told = sorted(
        (each for each in statements if not each.spam), key=lambda each: (each.at, each.id.int)
    )
    if not told:
        return None
    reports = [each for each in told if each.id == each.report_id] or told
    severity = max(each.severity for each in reports)
    people = len({each.author for each in told})
    first = reports[0]
    ages = first.at + _AGES.get(severity, _AGE_OF_WORST)
    level = _level(people, severity, old=ages <= at)
    later: list[Statement] = []
    for each in reversed(told):
        if not each.gone:
            break
        later.append(each)
    witnesses = {each.author for each in later}
    if first.author in witnesses or len(witnesses) >= _AGREEING:
        verdict, reason, urgent = Verdict.RESOLVED, "It is said to be gone", None
    elif level:
        verdict = Verdict.ESCALATED
        reason = f"{people} people, severity {severity}, level {level}"
        urgent = None if ages <= at else ages
    else:
        verdict, reason, urgent = Verdict.OPEN, "It is still there", ages
    return State(
        verdict=verdict,
        reason=reason,
        severity=severity,
        reports=len(reports),
        people=people,
        level=0 if verdict == Verdict.RESOLVED else level,
        first_at=first.at,
        last_at=told[-1].at,
        urgent_from=urgent,
    )


def _level(people: int, severity: int, *, old: bool) -> int:
    level = (people >= _CROWD) + (people >= _BIG_CROWD) + old
    level += (severity >= _SEVERE and people > 1) + (severity >= _MOST_SEVERE)
    return min(level, _LEVELS)


def verdict_of(
    statement: Statement, statements: Sequence[Statement], state: State | None
) -> tuple[Verdict, str]:
    """What a report's author is told, and why."""
    if statement.spam or state is None:
        return Verdict.SPAM, statement.reason
    for other in statements:
        before = statement.at - other.at
        same = other.author == statement.author and other.id != statement.id
        earlier = timedelta() < before <= AGAIN or (not before and other.id.int < statement.id.int)
        if same and earlier and other.id == other.report_id:
            return Verdict.DUPLICATE, "You reported this problem before"
    return state.verdict, state.reason


class Incidents:
    """Reads what is said and judges problems by it.

    Args:
        store: the reports, and what was made of events.
        problems: what is said of problems, and how they stand.
        llm: reads.
    """

    def __init__(self, store: Store, problems: Problems, llm: Llm) -> None:
        self._store = store
        self._problems = problems
        self._llm = llm

    async def handle(self, event: Event) -> Sequence[Event]:
        """Work on a report that was joined, or on a comment."""
        if isinstance(event, ReportClustered):
            return await self._clustered(event)
        if isinstance(event, ReportCommented):
            return await self._commented(event)
        raise Poison(f"not for the check of incidents ({event.kind})")

    async def _clustered(self, event: ReportClustered) -> Sequence[Event]:
        report = await self._report(event.report_id)
        # An audit may have moved it since; the event of that follows.
        problem_id = report.problem_id or event.problem_id
        told = {"text": report.text, "problem": event.title}
        read = await once(self._store, NAME, event, Read, lambda: self._read(told))
        statement = Statement(
            id=event.report_id,
            report_id=event.report_id,
            author=event.author,
            at=event.submitted_at,
            severity=event.severity,
            spam=read.spam,
            gone=read.state == "gone",
            reason=read.reason,
        )
        await self._problems.say(problem_id, statement)
        if event.before is not None and event.before != problem_id:
            await self._leave(event.report_id, event.before, problem_id)
        return [await self._verdict(event, problem_id, statement, report)]

    async def _leave(self, report_id: UUID, before: UUID, problem_id: UUID) -> None:
        """Take what was said of a report along from the problem that it is no longer of."""
        for each in await self._problems.said(before):
            if each.report_id == report_id:
                if each.id != report_id:
                    await self._problems.say(problem_id, each)
                await self._problems.unsay(before, each)
        await self.settle(before)

    async def _commented(self, event: ReportCommented) -> Sequence[Event]:
        report = await self._report(event.report_id)
        if report.problem_id is None:
            raise Waiting("the report is not joined to a problem yet")
        told = {"text": event.text, "problem": report.title or ""}
        read = await once(self._store, NAME, event, Read, lambda: self._read(told))
        gone = read.state == "gone" if event.says is None else event.says == Says.RESOLVED
        statement = Statement(
            id=event.comment_id,
            report_id=event.report_id,
            author=event.author,
            at=event.at,
            severity=1,
            spam=read.spam and event.says is None,
            gone=gone,
            reason=read.reason,
        )
        await self._problems.say(report.problem_id, statement)
        return [await self._verdict(event, report.problem_id, None, report)]

    async def _read(self, told: Mapping[str, str]) -> Read:
        checked = await self._llm.ask("check", told, Checked)
        return Read(at=now(), **checked.model_dump())

    async def _verdict(
        self, event: Event, problem_id: UUID, statement: Statement | None, report: Report
    ) -> ReportChecked:
        """Judge the problem, and what its report's author is told; the same when done again."""
        statements, state = await self.settle(problem_id, report.id)
        own = statement or next((each for each in statements if each.id == report.id), None)
        if own is None:
            raise Waiting("the report was not checked yet")
        found = _checked(report, problem_id, *verdict_of(own, statements, state))
        made = await keep(self._store, f"{NAME} verdict", event, found)
        await self._store.checked(made)
        return made

    async def settle(
        self, problem_id: UUID, but: UUID | None = None
    ) -> tuple[list[Statement], State | None]:
        """Judge a problem anew; where its verdict is another one, its reports' authors are told.

        Args:
            problem_id: which.
            but: the author of this report is told by who calls.

        Returns:
            What is said of it, and how it stands by that.
        """
        statements = await self._problems.said(problem_id)
        state = judge(statements, now())
        if state is None:
            await self._problems.forget(problem_id)
            return statements, None
        before = await self._problems.verdict(problem_id)
        if before not in {None, state.verdict}:
            await self._tell(problem_id, statements, state, but)
        first = next((each for each in statements if not each.spam), statements[0])
        await self._problems.judged(problem_id, await self._report(first.report_id), state)
        if state.urgent_from is not None:
            await self._problems.due(problem_id, state.urgent_from)
        return statements, state

    async def _tell(
        self, problem_id: UUID, statements: Sequence[Statement], state: State, but: UUID | None
    ) -> None:
        """Tell the authors of a problem's reports its new verdict, by the outbox."""
        told = [e for e in statements if e.id == e.report_id != but and not e.spam][-_TOLD:]
        for each in told:
            report = await self._report(each.report_id)
            verdict, reason = verdict_of(each, statements, state)
            made = _checked(report, problem_id, verdict, reason)
            await self._store.checked(made)
            await self._problems.tell(made)

    async def sweeps(self) -> None:
        """Look at the problems whose day has come again and again, until cancelled."""
        while True:
            try:
                await self.sweep(now())
            except Away as error:
                _log.warning("%s; the sweep waits", error)
            await asyncio.sleep(_SWEEP_SECONDS)

    async def sweep(self, at: datetime) -> None:
        """Look at the problems whose day has come."""
        for day, problem_id in await self._problems.overdue(at, _SWEEP_DAYS):
            await self.settle(problem_id)
            await self._problems.met(day, problem_id)

    async def _report(self, report_id: UUID) -> Report:
        report = await self._store.report(report_id)
        if report is None:
            raise Waiting("the report is not in the database")
        return report


def _checked(report: Report, problem_id: UUID, verdict: Verdict, reason: str) -> ReportChecked:
    return ReportChecked(
        report_id=report.id,
        at=now(),
        submitted_at=report.submitted_at,
        author=report.author,
        latitude=report.latitude,
        longitude=report.longitude,
        problem_id=problem_id,
        verdict=verdict,
        reason=reason,
        category=report.described_category or report.category,
        severity=report.severity or 1,
    )


async def make(settings: Settings, store: Store, health: Health) -> Handler:
    """The consumer's handler; its sweeps run beside it until the process ends."""
    problems = Problems(store, settings.outbox.buckets)
    work = Incidents(store, problems, model(settings, health))
    sweeps = asyncio.create_task(work.sweeps())
    health.parts["sweep"] = lambda: not sweeps.done()
    return work.handle


role = functools.partial(roles.consume, NAME, make)
