"""Clustering: the problem that a report is of.

A report is joined when it comes (`grouping.join`), among the reports of every cell that its
radius touches: a problem on a cell's edge is one problem. It is kept before the others are read.
So of two consumers that take two of its reports at once, on both sides of an edge, at least one
sees the other's; the later report joins the problem that the earlier one opens, by its id.

What the order of arrival got wrong, the audit mends: a problem was opened twice because the report
that links both came last; a report joined the nearer of two problems before the right one was
known; events were retried and overtaken. It takes the cells that reports came to since the last
audit, all reports that evidence connects to theirs, puts them in groups whatever their order
(`grouping.partition`), and moves those that are elsewhere. Two audits of the same reports come to
the same groups, so every replica may audit; a problem's id is that of its first report's.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from prometheus_client import CollectorRegistry, Counter

from services.fixai import geo, roles
from services.fixai.bus import Away, Handler, Poison
from services.fixai.consumers.effect import once
from services.fixai.events import (
    CELL_PRECISION,
    Event,
    ReportClustered,
    ReportDescribed,
    now,
)
from services.fixai.grouping import Member, evidence, join, name, opened_by, partition
from services.fixai.health import Health
from services.fixai.problems import Kept, Problems
from services.fixai.settings import Clustering as Rules
from services.fixai.settings import Settings
from services.fixai.store import Store

NAME = "clustering"
_ROUNDS = 16
"""An audit follows a chain of reports over so many cells at most."""
_log = logging.getLogger(__name__)


class Clustering:
    """Joins reports and audits what was joined.

    Args:
        store: keeps reports and effects.
        problems: keeps members.
        rules: when two reports are of one problem.
        registry: of figures.
    """

    def __init__(
        self, store: Store, problems: Problems, rules: Rules, registry: CollectorRegistry | None
    ) -> None:
        self._store = store
        self._problems = problems
        self._rules = rules
        self._stale: set[str] = set()
        self._moved = Counter(
            "fixai_audit_moved_reports",
            "Reports that an audit put to another problem",
            registry=registry,
        )

    async def handle(self, event: Event) -> Sequence[Event]:
        """Work on a described report."""
        if not isinstance(event, ReportDescribed):
            raise Poison(f"not for the clustering ({event.kind})")
        kept = _kept(event)
        await self._problems.add(kept)
        made = await once(self._store, NAME, event, ReportClustered, lambda: self._joined(event))
        await self._problems.assign(kept, made)
        await self._store.clustered(made)
        self._stale.add(kept.cell)
        return [made]

    async def _joined(self, event: ReportDescribed) -> ReportClustered:
        around = await self._problems.around(
            event.latitude, event.longitude, self._rules.radius_metres
        )
        found = join(_kept(event).member, (kept.member for kept in around), self._rules)
        return ReportClustered(
            report_id=event.report_id,
            at=now(),
            submitted_at=event.submitted_at,
            author=event.author,
            latitude=event.latitude,
            longitude=event.longitude,
            problem_id=found.problem_id,
            opened=found.opened,
            similarity=round(found.similarity, 4),
            title=event.title,
            description=event.description,
            category=event.category,
            severity=event.severity,
        )

    async def audits(self, every_seconds: float) -> None:
        """Audit again and again, until cancelled."""
        while True:
            await asyncio.sleep(every_seconds)
            cells, self._stale = self._stale, set()
            try:
                await self.audit(cells)
            except Away as error:
                self._stale |= cells
                _log.warning("%s; the audit waits", error)

    async def audit(self, cells: Iterable[str]) -> int:
        """Mend what the reports of these cells were joined to; how many were moved."""
        known, connected = await self._connected(set(cells))
        right = name(partition((kept.member for kept in connected), self._rules))
        moved = 0
        for report_id, problem_id in right.items():
            kept = known[report_id]
            # What was not joined yet is about to be.
            if kept.member.problem_id in {None, problem_id} or kept.joined_at is None:
                continue
            await self._problems.move(kept, _moved(kept, problem_id, kept.joined_at))
            moved += 1
        if moved:
            self._moved.inc(moved)
            _log.info("the audit moved %d of %d reports", moved, len(right))
        return moved

    async def _connected(self, cells: set[str]) -> tuple[dict[UUID, Kept], list[Kept]]:
        """The reports that evidence connects to those of these cells, all that is known first."""
        known = {kept.member.report_id: kept for kept in await self._problems.of_cells(cells)}
        connected, edge, loaded = dict(known), list(known.values()), set(cells)
        for _ in range(_ROUNDS):
            wanted = {cell for kept in edge for cell in _touched(kept.member, self._rules)} - loaded
            loaded |= wanted
            new = await self._problems.of_cells(wanted) if wanted else []
            known |= {kept.member.report_id: kept for kept in new}
            left = [kept for key, kept in known.items() if key not in connected]
            edge = [
                kept
                for kept in left
                if any(evidence(kept.member, other.member, self._rules) > 0 for other in edge)
            ]
            if not edge:
                break
            connected |= {kept.member.report_id: kept for kept in edge}
        return known, list(connected.values())


def _touched(member: Member, rules: Rules) -> tuple[str, ...]:
    return geo.cover(member.latitude, member.longitude, rules.radius_metres, CELL_PRECISION)


def _kept(event: ReportDescribed) -> Kept:
    member = Member(
        event.report_id,
        event.submitted_at,
        event.latitude,
        event.longitude,
        event.category,
        event.embedding,
    )
    return Kept(member, event.author, event.title, event.description, event.severity)


def _moved(kept: Kept, problem_id: UUID, at: datetime) -> ReportClustered:
    """The event of a move, made later than what it undoes."""
    member = kept.member
    return ReportClustered(
        report_id=member.report_id,
        at=max(now(), at + timedelta(milliseconds=1)),
        submitted_at=member.at,
        author=kept.author,
        latitude=member.latitude,
        longitude=member.longitude,
        problem_id=problem_id,
        before=member.problem_id,
        opened=problem_id == opened_by(member.report_id),
        similarity=1.0,
        title=kept.title,
        description=kept.description,
        category=member.category,
        severity=kept.severity,
    )


async def make(settings: Settings, store: Store, health: Health) -> Handler:
    """The consumer's handler; its audits run beside it until the process ends."""
    problems = Problems(store, settings.outbox.buckets)
    work = Clustering(store, problems, settings.clustering, health.registry)
    audits = asyncio.create_task(work.audits(settings.clustering.audit_seconds))
    health.parts["audit"] = lambda: not audits.done()
    return work.handle


role = functools.partial(roles.consume, NAME, make)
