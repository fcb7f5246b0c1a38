"""What the consumers keep of problems: which reports are of one, what was said of it, its state.

    members       by cell               the reports of a place and the problem of each
    statements    by problem            what reports and comments say of it
    problems      by id                 its state, judged from the statements
    deadlines     by day                the problems that turn urgent then by their age

Rows are named by what they are about and carry the time of the event that they follow from, so a
repetition changes nothing. What an audit moves goes with its event into the outbox in one batch.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from services.fixai import geo
from services.fixai.database import Write, aware, write_time
from services.fixai.events import CELL_PRECISION, Category, Event, ReportClustered, Verdict, now
from services.fixai.grouping import Member
from services.fixai.store import Report, Store, outgoing


@dataclass(frozen=True, slots=True)
class Kept:
    """A report as the clustering keeps it.

    Attributes:
        joined_at: when it was joined to its problem; None before that.
    """

    member: Member
    author: UUID
    title: str
    description: str
    severity: int
    joined_at: datetime | None = None

    @property
    def cell(self) -> str:
        """Whose partition it is in."""
        return geo.encode(self.member.latitude, self.member.longitude, CELL_PRECISION)


@dataclass(frozen=True, slots=True)
class Statement:
    """What somebody said of a problem, in a report or in a comment.

    Attributes:
        id: of the report or comment.
        report_id: that it is, or that it comments.
        gone: whether it says that the problem is no longer there.
    """

    id: UUID
    report_id: UUID
    author: UUID
    at: datetime
    severity: int
    spam: bool
    gone: bool
    reason: str


@dataclass(frozen=True, slots=True)
class State:
    """A problem as it is judged.

    Attributes:
        reports: how many there are that are no spam.
        people: how many made them.
        level: of escalation, 0 to 2.
        urgent_from: when its age alone raises the level; None where nothing is to come.
    """

    verdict: Verdict
    reason: str
    severity: int
    reports: int
    people: int
    level: int
    first_at: datetime
    last_at: datetime
    urgent_from: datetime | None


class Problems:
    """The consumers' questions and writes.

    Args:
        store: whose database and outbox it shares.
        buckets: of the outbox.
    """

    def __init__(self, store: Store, buckets: int) -> None:
        self._database = store.database
        self._buckets = buckets

    # Members

    async def add(self, kept: Kept) -> None:
        """Keep a described report, not joined yet."""
        member = kept.member
        await self._database.write(
            "INSERT INTO members (cell, report_id, at, author, latitude, longitude, category, "
            "severity, title, description, embedding) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "
            "USING TIMESTAMP ?",
            kept.cell,
            member.report_id,
            member.at,
            kept.author,
            member.latitude,
            member.longitude,
            member.category.value,
            kept.severity,
            kept.title,
            kept.description,
            list(member.embedding),
            write_time(member.at),
        )

    async def around(self, latitude: float, longitude: float, radius: float) -> list[Kept]:
        """The reports of every cell that this circle touches."""
        return await self.of_cells(geo.cover(latitude, longitude, radius, CELL_PRECISION))

    async def of_cells(self, cells: Iterable[str]) -> list[Kept]:
        """The reports of some cells."""
        asked = "SELECT * FROM members WHERE cell = ?"
        found = await asyncio.gather(*(self._database.read(asked, cell) for cell in cells))
        # A row without a time is the rest of one that was not added: an update alone makes one.
        return [_kept(row) for rows in found for row in rows if row.at is not None]

    async def assign(self, kept: Kept, event: ReportClustered) -> None:
        """Put a report to its problem; an older event does not undo a newer one."""
        await self._database.write(
            "UPDATE members USING TIMESTAMP ? SET problem_id = ?, joined_at = ? "
            "WHERE cell = ? AND report_id = ?",
            write_time(event.at),
            event.problem_id,
            event.at,
            kept.cell,
            event.report_id,
        )

    async def move(self, kept: Kept, event: ReportClustered) -> None:
        """Put a report to another problem and tell so: all of it or nothing."""
        stamp = write_time(event.at)
        await self._database.batch(
            [
                Write(
                    "UPDATE members USING TIMESTAMP ? SET problem_id = ?, joined_at = ? "
                    "WHERE cell = ? AND report_id = ?",
                    (stamp, event.problem_id, event.at, kept.cell, event.report_id),
                ),
                Write(
                    "UPDATE reports USING TIMESTAMP ? SET problem_id = ?, clustered_at = ? "
                    "WHERE id = ?",
                    (stamp, event.problem_id, event.at, event.report_id),
                ),
                outgoing(event, self._buckets),
            ]
        )

    # Statements and states

    async def say(self, problem_id: UUID, statement: Statement) -> None:
        """Keep what was said of a problem."""
        await self._database.write(
            "INSERT INTO statements (problem_id, id, report_id, author, at, severity, spam, gone, "
            "reason) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            problem_id,
            statement.id,
            statement.report_id,
            statement.author,
            statement.at,
            statement.severity,
            statement.spam,
            statement.gone,
            statement.reason,
        )

    async def unsay(self, problem_id: UUID, statement: Statement) -> None:
        """Forget it: its report is of another problem."""
        await self._database.write(
            "DELETE FROM statements WHERE problem_id = ? AND id = ?", problem_id, statement.id
        )

    async def said(self, problem_id: UUID) -> list[Statement]:
        """What was said of a problem, in the order of its saying."""
        rows = await self._database.read(
            "SELECT * FROM statements WHERE problem_id = ?", problem_id
        )
        found = [
            Statement(
                id=row.id,
                report_id=row.report_id,
                author=row.author,
                at=aware(row.at),
                severity=row.severity,
                spam=row.spam,
                gone=row.gone,
                reason=row.reason,
            )
            for row in rows
        ]
        return sorted(found, key=lambda each: (each.at, each.id.int))

    async def verdict(self, problem_id: UUID) -> Verdict | None:
        """How a problem was judged last; None where it was not yet."""
        row = await self._database.first("SELECT verdict FROM problems WHERE id = ?", problem_id)
        return None if row is None or row.verdict is None else Verdict(row.verdict)

    async def judged(self, problem_id: UUID, first: Report, state: State) -> None:
        """Keep how a problem stands; its title and place are its first report's."""
        await self._database.write(
            "INSERT INTO problems (id, category, title, description, latitude, longitude, "
            "severity, reports, people, level, first_at, last_at, verdict, reason, checked_at) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            problem_id,
            (first.described_category or first.category).value,
            first.title,
            first.description,
            first.latitude,
            first.longitude,
            state.severity,
            state.reports,
            state.people,
            state.level,
            state.first_at,
            state.last_at,
            state.verdict.value,
            state.reason,
            now(),
        )

    async def forget(self, problem_id: UUID) -> None:
        """Remove a problem that no report is of any more."""
        await self._database.write("DELETE FROM problems WHERE id = ?", problem_id)

    async def due(self, problem_id: UUID, moment: datetime) -> None:
        """Look at the problem again on this day."""
        await self._database.write(
            "INSERT INTO deadlines (day, problem_id, at) VALUES (?, ?, ?)",
            moment.date(),
            problem_id,
            moment,
        )

    async def overdue(self, now: datetime, days: int) -> list[tuple[date, UUID]]:
        """The problems whose time has come, of this day and some before it."""
        found: list[tuple[date, UUID]] = []
        for back in range(days):
            day = (now - timedelta(days=back)).date()
            rows = await self._database.read(
                "SELECT problem_id, at FROM deadlines WHERE day = ?", day
            )
            found += [(day, row.problem_id) for row in rows if aware(row.at) <= now]
        return found

    async def met(self, day: date, problem_id: UUID) -> None:
        """The deadline was looked at."""
        await self._database.write(
            "DELETE FROM deadlines WHERE day = ? AND problem_id = ?", day, problem_id
        )

    async def tell(self, event: Event) -> None:
        """Have the outbox publish an event that came of none."""
        write = outgoing(event, self._buckets)
        await self._database.write(write.statement, *write.values)


def _kept(row: Any) -> Kept:
    return Kept(
        Member(
            row.report_id,
            aware(row.at),
            row.latitude,
            row.longitude,
            Category(row.category),
            tuple(row.embedding or ()),
            row.problem_id,
        ),
        row.author,
        row.title,
        row.description,
        row.severity,
        None if row.joined_at is None else aware(row.joined_at),
    )
