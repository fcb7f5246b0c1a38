"""The outbox publisher, with a store and a broker that fail when they are told to."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from prometheus_client import CollectorRegistry

from services.fixai import outbox
from services.fixai.bus import Away
from services.fixai.outbox import Metrics, Publisher
from services.fixai.settings import Outbox
from services.fixai.store import Waiting, sequence
from tests.services.fixai.stacks import submitted, until

TOLD = Outbox(buckets=1, poll_seconds=0.01, lease_seconds=2)


def waiting(at: datetime | None = None) -> Waiting:
    """An event in bucket 0."""
    event = submitted(at=at)
    return Waiting(0, sequence(event), event.topic, event.key, event.encode())


class Box:
    """A store's outbox and a broker in one."""

    def __init__(self, *rows: Waiting) -> None:
        self.rows = list(rows)
        self.sent: list[str] = []
        self.asked: list[datetime | None] = []
        self.owner: str | None = None
        self.broken = 0

    async def waiting(self, _bucket: int, limit: int, since: datetime | None) -> list[Waiting]:
        """In their order."""
        self.asked.append(since)
        newer = [row for row in self.rows if since is None or row.at > since]
        return sorted(newer, key=lambda row: row.seq.time)[:limit]

    async def published(self, sent: Sequence[Waiting]) -> None:
        """Delete."""
        self.rows = [row for row in self.rows if row not in sent]

    async def lease(self, _bucket: int, owner: str, _seconds: int) -> bool:
        """To the first."""
        self.owner = self.owner or owner
        return self.owner == owner

    async def release(self, _bucket: int, owner: str) -> None:
        """Give back."""
        if self.owner == owner:
            self.owner = None

    async def send(
        self, _topic: str, key: str, _value: bytes, _headers: Mapping[str, str] | None = None
    ) -> None:
        """Fail as often as it is told."""
        if self.broken:
            self.broken -= 1
            raise Away("kafka did not acknowledge")
        self.sent.append(key)


def publisher(box: Box) -> Publisher:
    return Publisher(TOLD, box, box, Metrics(CollectorRegistry()))


async def publish_until_empty(*publishers: Publisher, box: Box) -> None:
    stop = asyncio.Event()
    running = [asyncio.create_task(p.run(stop)) for p in publishers]
    await until(lambda: not box.rows, 10)
    stop.set()
    await asyncio.gather(*running)


def test_events_are_published_in_their_order_and_then_deleted() -> None:
    first = waiting()
    rows = [first, *(waiting(first.at + timedelta(milliseconds=n)) for n in range(1, 500))]
    box = Box(*reversed(rows))
    asyncio.run(publish_until_empty(publisher(box), box=box))
    assert box.sent == [row.key for row in rows]
    assert box.owner is None, "the bucket is given back"


def test_what_the_broker_did_not_acknowledge_stays_and_is_tried_again() -> None:
    box = Box(waiting(), waiting())
    box.broken = 1
    outbox_before = [row.key for row in sorted(box.rows, key=lambda row: row.seq.time)]
    asyncio.run(publish_until_empty(publisher(box), box=box))
    assert box.sent == outbox_before


def test_of_two_publishers_one_has_the_bucket() -> None:
    box = Box(*(waiting() for _ in range(100)))
    asyncio.run(publish_until_empty(publisher(box), publisher(box), box=box))
    assert len(box.sent) == len(set(box.sent)) == 100


def test_polling_passes_over_what_was_deleted_but_sweeps_for_what_came_late() -> None:
    async def run() -> None:
        box = Box(waiting())
        told = publisher(box)
        stop = asyncio.Event()
        running = asyncio.create_task(told.run(stop))
        await until(lambda: len(box.asked) > 3)
        assert box.asked[0] is None
        assert box.asked[-1] is not None
        # An event of an hour ago arrives: a client repeated its request.
        box.rows.append(waiting(datetime.now(box.asked[-1].tzinfo) - timedelta(hours=1)))
        told._swept[0] -= outbox._SWEEP_SECONDS
        await until(lambda: not box.rows)
        stop.set()
        await running

    asyncio.run(run())
