"""The consumers' store in memory, which forgets nothing but what is taken from it."""

# ruff: noqa: D102 - the methods are those of the classes that they stand for
from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from uuid import UUID

from services.fixai import geo
from services.fixai.events import (
    CELL_PRECISION,
    Event,
    ReportChecked,
    ReportClustered,
    ReportDescribed,
    Verdict,
)
from services.fixai.problems import Kept, Problems, State, Statement
from services.fixai.store import Report, Store


class MemoryStore(Store):
    """Reports and effects."""

    def __init__(self) -> None:
        self.reports: dict[UUID, Report] = {}
        self.effects: dict[tuple[str, UUID], bytes] = {}

    async def report(self, report_id: UUID) -> Report | None:
        return self.reports.get(report_id)

    async def described(self, event: ReportDescribed) -> None:
        self._set(
            event,
            title=event.title,
            description=event.description,
            described_category=event.category,
            severity=event.severity,
            described_at=event.at,
        )

    async def clustered(self, event: ReportClustered) -> None:
        report = self.reports.get(event.report_id)
        if report is None or report.clustered_at is None or report.clustered_at <= event.at:
            self._set(event, problem_id=event.problem_id, clustered_at=event.at)

    async def checked(self, event: ReportChecked) -> None:
        self._set(event, verdict=event.verdict, reason=event.reason, checked_at=event.at)

    async def effect(self, consumer: str, event_id: UUID) -> bytes | None:
        return self.effects.get((consumer, event_id))

    async def keep_effect(self, consumer: str, event_id: UUID, result: bytes) -> bytes:
        return self.effects.setdefault((consumer, event_id), result)

    def _set(self, event: Event, **values: object) -> None:
        if event.report_id in self.reports:
            self.reports[event.report_id] = replace(self.reports[event.report_id], **values)  # type: ignore[arg-type]


@dataclass
class MemoryProblems(Problems):
    """Members by cell, statements by problem; `told` is what the outbox would publish."""

    store: MemoryStore
    cells: dict[str, dict[UUID, Kept]] = field(default_factory=dict)
    statements: dict[UUID, dict[UUID, Statement]] = field(default_factory=dict)
    states: dict[UUID, State] = field(default_factory=dict)
    deadlines: dict[tuple[date, UUID], datetime] = field(default_factory=dict)
    told: list[Event] = field(default_factory=list)

    async def add(self, kept: Kept) -> None:
        self.cells.setdefault(kept.cell, {}).setdefault(kept.member.report_id, kept)

    async def around(self, latitude: float, longitude: float, radius: float) -> list[Kept]:
        return await self.of_cells(geo.cover(latitude, longitude, radius, CELL_PRECISION))

    async def of_cells(self, cells: Iterable[str]) -> list[Kept]:
        return [kept for cell in cells for kept in self.cells.get(cell, {}).values()]

    async def assign(self, kept: Kept, event: ReportClustered) -> None:
        there = self.cells[kept.cell][event.report_id]
        if there.joined_at is None or there.joined_at <= event.at:
            member = replace(there.member, problem_id=event.problem_id)
            self.cells[kept.cell][event.report_id] = replace(
                there, member=member, joined_at=event.at
            )

    async def move(self, kept: Kept, event: ReportClustered) -> None:
        await self.assign(kept, event)
        await self.store.clustered(event)
        self.told.append(event)

    async def say(self, problem_id: UUID, statement: Statement) -> None:
        self.statements.setdefault(problem_id, {})[statement.id] = statement

    async def unsay(self, problem_id: UUID, statement: Statement) -> None:
        self.statements.get(problem_id, {}).pop(statement.id, None)

    async def said(self, problem_id: UUID) -> list[Statement]:
        found = self.statements.get(problem_id, {}).values()
        return sorted(found, key=lambda each: (each.at, each.id.int))

    async def verdict(self, problem_id: UUID) -> Verdict | None:
        state = self.states.get(problem_id)
        return None if state is None else state.verdict

    async def judged(self, problem_id: UUID, first: Report, state: State) -> None:  # noqa: ARG002
        self.states[problem_id] = state

    async def forget(self, problem_id: UUID) -> None:
        self.states.pop(problem_id, None)

    async def due(self, problem_id: UUID, moment: datetime) -> None:
        self.deadlines[moment.date(), problem_id] = moment

    async def overdue(self, now: datetime, days: int) -> list[tuple[date, UUID]]:  # noqa: ARG002
        return [key for key, moment in self.deadlines.items() if moment <= now]

    async def met(self, day: date, problem_id: UUID) -> None:
        self.deadlines.pop((day, problem_id), None)

    async def tell(self, event: Event) -> None:
        self.told.append(event)

    def problems(self) -> dict[UUID, UUID | None]:
        """The problem of each report."""
        return {
            report_id: kept.member.problem_id
            for members in self.cells.values()
            for report_id, kept in members.items()
        }
