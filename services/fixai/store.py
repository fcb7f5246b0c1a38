"""What is kept in Cassandra, as typed rows, and the questions asked of it.

Every write here may be repeated: its rows are named by what they are about, and it carries the
time of what it tells (`USING TIMESTAMP`), so a repetition changes nothing and an older one does
not undo a newer.
"""

from __future__ import annotations

import asyncio
import heapq
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Self
from uuid import UUID

from services.fixai import events, geo
from services.fixai.database import Away, Database, Row, Write, aware, write_time
from services.fixai.events import Category, Event, Says, Verdict
from services.fixai.schema import PLACE_PRECISION

_EPOCH = datetime(1582, 10, 15, tzinfo=UTC)
"""Where the time of a time-ordered id begins."""
_SPOTS = 500
"""A search reads so many rows of a cell at once."""
__all__ = ["Account", "Away", "Comment", "Held", "Report", "Request", "Spot", "Store", "Waiting"]


@dataclass(frozen=True, slots=True)
class Account:
    """Somebody who may report."""

    id: UUID
    name: str
    password: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Request:
    """A report that an account asked for under a key of its own."""

    id: UUID
    digest: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Report:
    """One report; what a stage found out is None until that stage is done."""

    id: UUID
    author: UUID
    text: str
    category: Category
    latitude: float
    longitude: float
    pictures: tuple[str, ...]
    submitted_at: datetime
    title: str | None = None
    description: str | None = None
    described_category: Category | None = None
    severity: int | None = None
    described_at: datetime | None = None
    problem_id: UUID | None = None
    clustered_at: datetime | None = None
    verdict: Verdict | None = None
    reason: str | None = None
    checked_at: datetime | None = None

    @property
    def status(self) -> str:
        """The verdict, or the last stage that is done."""
        if self.verdict is not None:
            return self.verdict.value
        if self.clustered_at is not None:
            return "clustered"
        return "submitted" if self.described_at is None else "described"

    @classmethod
    def of(cls, row: Row) -> Self:
        """From the table's row."""
        return cls(
            id=row.id,
            author=row.author,
            text=row.text,
            category=Category(row.category),
            latitude=row.latitude,
            longitude=row.longitude,
            pictures=tuple(row.pictures or ()),
            submitted_at=aware(row.submitted_at),
            title=row.title,
            description=row.description,
            described_category=Category(row.described_category) if row.described_category else None,
            severity=row.severity,
            described_at=_aware_or_none(row.described_at),
            problem_id=row.problem_id,
            clustered_at=_aware_or_none(row.clustered_at),
            verdict=Verdict(row.verdict) if row.verdict else None,
            reason=row.reason,
            checked_at=_aware_or_none(row.checked_at),
        )


@dataclass(frozen=True, slots=True)
class Spot:
    """A report as the search sees it; the newest comes first."""

    submitted_at: datetime
    id: UUID
    latitude: float
    longitude: float


@dataclass(frozen=True, slots=True)
class Comment:
    """What somebody said of a report."""

    id: UUID
    report_id: UUID
    at: datetime
    author: UUID
    author_name: str
    text: str
    says: Says | None


@dataclass(frozen=True, slots=True)
class Waiting:
    """An event in the outbox."""

    bucket: int
    seq: UUID
    topic: str
    key: str
    event: bytes

    @property
    def at(self) -> datetime:
        """When it was written."""
        return _EPOCH + timedelta(microseconds=self.seq.time // 10)


@dataclass(frozen=True, slots=True)
class Held:
    """A page of the search and where the next begins; None at the end."""

    spots: tuple[Spot, ...]
    after: tuple[datetime, UUID] | None


class Store:
    """The questions and writes of the backend, the outbox publisher and the consumers.

    Args:
        database: connected, in its keyspace.
        buckets: of the outbox.
    """

    def __init__(self, database: Database, buckets: int) -> None:
        self.database = database
        self._buckets = buckets

    # Accounts

    async def add_account(self, account: Account) -> bool:
        """Whether the name was free."""
        taken = await self.database.claim(
            "INSERT INTO accounts (name, id, password, created_at) VALUES (?, ?, ?, ?) "
            "IF NOT EXISTS",
            account.name,
            account.id,
            account.password,
            account.created_at,
        )
        # After an answer that got lost the account is there already: this one.
        return taken is None or taken.id == account.id

    async def account(self, name: str) -> Account | None:
        """An account by its name."""
        row = await self.database.first(
            "SELECT id, name, password, created_at FROM accounts WHERE name = ?", name
        )
        return row and Account(row.id, row.name, row.password, aware(row.created_at))

    # Reports

    async def request(self, account: UUID, key: str, wanted: Request) -> Request:
        """The request that this key names: the one wanted, or one that came before it."""
        there = await self.database.claim(
            "INSERT INTO requests (account, key, id, digest, at) VALUES (?, ?, ?, ?, ?) "
            "IF NOT EXISTS",
            account,
            key,
            wanted.id,
            wanted.digest,
            wanted.at,
        )
        return wanted if there is None else Request(there.id, there.digest, aware(there.at))

    async def submit(self, event: events.ReportSubmitted) -> None:
        """Keep a report, where it can be found, and what is to be published of it."""
        at, stamp = event.submitted_at, write_time(event.submitted_at)
        report = Write(
            "INSERT INTO reports (id, author, text, category, latitude, longitude, pictures, "
            "submitted_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?) USING TIMESTAMP ?",
            (
                event.report_id,
                event.author,
                event.text,
                event.category.value,
                event.latitude,
                event.longitude,
                list(event.pictures),
                at,
                stamp,
            ),
        )
        place = Write(
            "INSERT INTO reports_by_place (cell, day, submitted_at, id, latitude, longitude) "
            "VALUES (?, ?, ?, ?, ?, ?) USING TIMESTAMP ?",
            (
                geo.encode(event.latitude, event.longitude, PLACE_PRECISION),
                at.date(),
                at,
                event.report_id,
                event.latitude,
                event.longitude,
                stamp,
            ),
        )
        await self.database.batch([report, place, outgoing(event, self._buckets)])

    async def report(self, report_id: UUID) -> Report | None:
        """A report by its id."""
        row = await self.database.first("SELECT * FROM reports WHERE id = ?", report_id)
        return None if row is None else Report.of(row)

    async def near(  # noqa: PLR0913, PLR0917 - what a page of a search is
        self,
        latitude: float,
        longitude: float,
        radius: float,
        days: Sequence[date],
        limit: int,
        after: tuple[datetime, UUID] | None = None,
    ) -> Held:
        """The reports around a point, newest first.

        Args:
            latitude: of the point.
            longitude: of the point.
            radius: metres.
            days: to look at, newest first.
            limit: how many at most.
            after: go on behind this one.
        """
        cells = geo.cover(latitude, longitude, radius, PLACE_PRECISION)
        found: list[Spot] = []
        for day in days:
            whole = False
            while not whole and (after is None or day <= after[0].date()):
                pages = await asyncio.gather(*(self._spots(cell, day, after) for cell in cells))
                # Of a cell with more rows the rest is not known: nothing below it counts yet.
                cut = max((_order(page[-1]) for page in pages if len(page) == _SPOTS), default=None)
                found += [
                    spot
                    for spot in heapq.merge(*pages, key=_order, reverse=True)
                    if (cut is None or _order(spot) >= cut)
                    and geo.distance(latitude, longitude, spot.latitude, spot.longitude) <= radius
                ]
                if len(found) > limit:
                    last = found[limit - 1]
                    return Held(tuple(found[:limit]), (last.submitted_at, last.id))
                whole = cut is None
                if cut is not None:
                    after = (cut[0], UUID(bytes=cut[1]))
        return Held(tuple(found), None)

    async def _spots(self, cell: str, day: date, after: tuple[datetime, UUID] | None) -> list[Spot]:
        """A cell's newest reports of a day, so many of them."""
        asked = (
            "SELECT submitted_at, id, latitude, longitude FROM reports_by_place "
            "WHERE cell = ? AND day = ?"
        )
        if after is not None and after[0].date() == day:
            rows = await self.database.read(
                f"{asked} AND (submitted_at, id) < (?, ?) LIMIT ?", cell, day, *after, _SPOTS
            )
        else:
            rows = await self.database.read(f"{asked} LIMIT ?", cell, day, _SPOTS)
        return [Spot(aware(row.submitted_at), row.id, row.latitude, row.longitude) for row in rows]

    # Comments

    async def comment(self, comment: Comment, event: events.ReportCommented) -> None:
        """Keep a comment and what is to be published of it."""
        row = Write(
            "INSERT INTO comments (report_id, at, id, author, author_name, text, says) "
            "VALUES (?, ?, ?, ?, ?, ?, ?) USING TIMESTAMP ?",
            (
                comment.report_id,
                comment.at,
                comment.id,
                comment.author,
                comment.author_name,
                comment.text,
                comment.says and comment.says.value,
                write_time(comment.at),
            ),
        )
        await self.database.batch([row, outgoing(event, self._buckets)])

    async def comments(
        self, report_id: UUID, limit: int, after: tuple[datetime, UUID] | None = None
    ) -> list[Comment]:
        """A report's comments, oldest first."""
        asked = "SELECT * FROM comments WHERE report_id = ?"
        if after is None:
            rows = await self.database.read(f"{asked} LIMIT ?", report_id, limit)
        else:
            rows = await self.database.read(
                f"{asked} AND (at, id) > (?, ?) LIMIT ?", report_id, *after, limit
            )
        return [
            Comment(
                id=row.id,
                report_id=row.report_id,
                at=aware(row.at),
                author=row.author,
                author_name=row.author_name,
                text=row.text,
                says=Says(row.says) if row.says else None,
            )
            for row in rows
        ]

    # What the consumers found out

    async def described(self, event: events.ReportDescribed) -> None:
        """Keep a report's description."""
        await self.database.write(
            "UPDATE reports USING TIMESTAMP ? SET title = ?, description = ?, "
            "described_category = ?, severity = ?, described_at = ? WHERE id = ?",
            write_time(event.at),
            event.title,
            event.description,
            event.category.value,
            event.severity,
            event.at,
            event.report_id,
        )

    async def clustered(self, event: events.ReportClustered) -> None:
        """Keep a report's problem."""
        await self.database.write(
            "UPDATE reports USING TIMESTAMP ? SET problem_id = ?, clustered_at = ? WHERE id = ?",
            write_time(event.at),
            event.problem_id,
            event.at,
            event.report_id,
        )

    async def checked(self, event: events.ReportChecked) -> None:
        """Keep a report's verdict."""
        await self.database.write(
            "UPDATE reports USING TIMESTAMP ? SET verdict = ?, reason = ?, checked_at = ? "
            "WHERE id = ?",
            write_time(event.at),
            event.verdict.value,
            event.reason,
            event.at,
            event.report_id,
        )

    # Effects

    async def effect(self, consumer: str, event_id: UUID) -> bytes | None:
        """What a consumer made of an event before; None where it has not yet."""
        row = await self.database.first(
            "SELECT result FROM effects WHERE consumer = ? AND event_id = ?", consumer, event_id
        )
        return None if row is None else bytes(row.result)

    async def keep_effect(self, consumer: str, event_id: UUID, result: bytes) -> bytes:
        """Keep what a consumer made of an event; the result that holds: the first one kept."""
        there = await self.database.claim(
            "INSERT INTO effects (consumer, event_id, result, at) VALUES (?, ?, ?, ?) "
            "IF NOT EXISTS",
            consumer,
            event_id,
            result,
            events.now(),
        )
        return result if there is None else bytes(there.result)

    # The outbox

    async def waiting(self, bucket: int, limit: int, since: datetime | None) -> list[Waiting]:
        """A bucket's oldest events.

        Args:
            bucket: which.
            limit: how many at most.
            since: pass over what is older, which spares the way through what was deleted.
        """
        asked = "SELECT seq, topic, key, event FROM outbox WHERE bucket = ?"
        if since is None:
            rows = await self.database.read(f"{asked} LIMIT ?", bucket, limit)
        else:
            rows = await self.database.read(
                f"{asked} AND seq > minTimeuuid(?) LIMIT ?", bucket, since, limit
            )
        return [Waiting(bucket, row.seq, row.topic, row.key, bytes(row.event)) for row in rows]

    async def published(self, sent: Sequence[Waiting]) -> None:
        """Forget events that the broker acknowledged."""
        # Just after the write's own time: it holds whatever the clocks of two machines say, and a
        # repetition of the write does not bring the event back.
        statement = "DELETE FROM outbox USING TIMESTAMP ? WHERE bucket = ? AND seq = ?"
        await asyncio.gather(
            *(
                self.database.write(statement, write_time(event.at) + 1, event.bucket, event.seq)
                for event in sent
            )
        )

    async def lease(self, bucket: int, owner: str, seconds: int) -> bool:
        """Take a bucket, or keep it; whether it is the owner's for this long from now."""
        held = await self.database.claim(
            "INSERT INTO outbox_leases (bucket, owner) VALUES (?, ?) IF NOT EXISTS USING TTL ?",
            bucket,
            owner,
            seconds,
        )
        if held is None:
            return True
        if held.owner != owner:
            return False
        lost = await self.database.claim(
            "UPDATE outbox_leases USING TTL ? SET owner = ? WHERE bucket = ? IF owner = ?",
            seconds,
            owner,
            bucket,
            owner,
        )
        return lost is None

    async def release(self, bucket: int, owner: str) -> None:
        """Give a bucket back."""
        await self.database.claim(
            "DELETE FROM outbox_leases WHERE bucket = ? IF owner = ?", bucket, owner
        )


def outgoing(event: Event, buckets: int) -> Write:
    """An event's row in the outbox; a repeated write, also of a published one, leaves no second.

    Args:
        event: to be published.
        buckets: of the outbox.
    """
    return Write(
        "INSERT INTO outbox (bucket, seq, topic, key, event) VALUES (?, ?, ?, ?, ?) "
        "USING TIMESTAMP ?",
        (
            bucket_of(event.report_id, buckets),
            sequence(event),
            event.topic,
            event.key,
            event.encode(),
            write_time(event.at),
        ),
    )


def bucket_of(report_id: UUID, buckets: int) -> int:
    """The bucket of a report's events."""
    return zlib.crc32(report_id.bytes) % buckets


def sequence(event: Event) -> UUID:
    """A time-ordered id of an event, the same whenever it is made: its time and its own id."""
    ticks = (event.at - _EPOCH) // timedelta(microseconds=1) * 10
    node, clock = event.id.int & (1 << 48) - 1, event.id.int >> 48 & 0x3FFF
    return UUID(
        fields=(
            ticks & 0xFFFFFFFF,
            ticks >> 32 & 0xFFFF,
            ticks >> 48 & 0x0FFF | 0x1000,
            clock >> 8 | 0x80,
            clock & 0xFF,
            node,
        )
    )


def _order(spot: Spot) -> tuple[datetime, bytes]:
    """As the database orders them: random ids compare by their bytes."""
    return spot.submitted_at, spot.id.bytes


def days_back(newest: date, days: int) -> tuple[date, ...]:
    """This many days, newest first."""
    return tuple(newest - timedelta(days=back) for back in range(days))


def _aware_or_none(moment: datetime | None) -> datetime | None:
    return None if moment is None else aware(moment)
