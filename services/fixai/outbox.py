"""The publisher of the outbox: what the backend acknowledged reaches Kafka, in its order.

Each bucket has one publisher at a time, by a lease in the database. It reads the bucket's oldest
events, publishes them one after another, and deletes each once the broker has it: killed at any
point it has lost nothing and published some twice. A publisher that was held up for longer than
its lease publishes beside its successor for a moment: twice again, and readers know the ids.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import time
import uuid
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from datetime import UTC, datetime, timedelta
from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from services.fixai import bus, roles
from services.fixai.bus import Away, Hooks, Publishing
from services.fixai.health import Health, serving
from services.fixai.settings import Outbox, Settings
from services.fixai.store import Waiting

_BATCH = 200
_LATE_SECONDS = 60
"""A write that arrives within this of its event's time is found at once; a later one by a sweep."""
_SWEEP_SECONDS = 30
_PAUSE_SECONDS = 1.0
_log = logging.getLogger(__name__)


class Kept(Protocol):
    """The part of the store that the publisher uses."""

    async def waiting(self, bucket: int, limit: int, since: datetime | None) -> list[Waiting]:
        """A bucket's oldest events."""

    async def published(self, sent: Sequence[Waiting]) -> None:
        """Forget these."""

    async def lease(self, bucket: int, owner: str, seconds: int) -> bool:
        """Take or keep a bucket."""

    async def release(self, bucket: int, owner: str) -> None:
        """Give it back."""


class Metrics:
    """The publisher's figures."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.published = Counter(
            "fixai_outbox_published", "Events published", ["topic"], registry=registry
        )
        self.seconds = Histogram(
            "fixai_outbox_seconds",
            "From an event's time to the broker's acknowledgement",
            buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300),
            registry=registry,
        )
        self.buckets = Gauge("fixai_outbox_buckets", "Buckets held", registry=registry)
        self.away = Counter(
            "fixai_outbox_away", "Times a dependency was found away", registry=registry
        )


class Publisher:
    """Publishes the buckets that it can get.

    Args:
        told: how.
        store: what is to be published.
        producer: to where.
        metrics: its figures.
        owner: a name that no other publisher has.
        hooks: of tests.
    """

    def __init__(  # noqa: PLR0913 - the parts that it is made of
        self,
        told: Outbox,
        store: Kept,
        producer: Publishing,
        metrics: Metrics,
        *,
        owner: str | None = None,
        hooks: Hooks | None = None,
    ) -> None:
        self._told = told
        self._store = store
        self._producer = producer
        self._metrics = metrics
        self._owner = owner or f"{socket.gethostname()}-{uuid.uuid4()}"
        self._hooks = hooks or Hooks()
        self._until: dict[int, float] = {}
        self._seen: dict[int, datetime] = {}
        self._swept: dict[int, float] = {}

    async def run(self, stop: asyncio.Event) -> None:
        """Publish until told to stop, then give the buckets back."""
        try:
            await asyncio.gather(
                *(self._bucket(bucket, stop) for bucket in range(self._told.buckets))
            )
        finally:
            for bucket in self._until:
                with suppress(Away):
                    await self._store.release(bucket, self._owner)

    async def _bucket(self, bucket: int, stop: asyncio.Event) -> None:
        while not stop.is_set():
            try:
                mine = await self._held(bucket)
                sent = await self._publish(bucket) if mine else 0
                pause = self._told.poll_seconds if mine else self._told.lease_seconds / 2
            except Away as error:
                self._metrics.away.inc()
                _log.warning("%s; trying again", error, extra={"bucket": bucket})
                sent, pause = 0, _PAUSE_SECONDS
            if sent < _BATCH:
                with suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), pause)

    async def _held(self, bucket: int) -> bool:
        """Whether the bucket is ours, for at least half a lease more."""
        seconds = self._told.lease_seconds
        if self._until.get(bucket, 0) - time.monotonic() > seconds / 2:
            return True
        asked = time.monotonic()
        if await self._store.lease(bucket, self._owner, seconds):
            self._until[bucket] = asked + seconds
        else:
            self._until.pop(bucket, None)
        self._metrics.buckets.set(len(self._until))
        return bucket in self._until

    async def _publish(self, bucket: int) -> int:
        """Publish the oldest; how many those were."""
        await self._hooks.at("leased")
        waiting = await self._store.waiting(bucket, _BATCH, self._since(bucket))
        sent: list[Waiting] = []
        try:
            for event in waiting:
                if time.monotonic() > self._until[bucket]:
                    break
                await self._hooks.at("read")
                await self._producer.send(event.topic, event.key, event.event)
                await self._hooks.at("sent")
                sent.append(event)
                self._metrics.published.labels(event.topic).inc()
                age = (datetime.now(UTC) - event.at).total_seconds()
                self._metrics.seconds.observe(max(age, 0))
        finally:
            await self._store.published(sent)
        await self._hooks.at("deleted")
        if sent:
            newest = max(event.at for event in sent)
            self._seen[bucket] = max(self._seen.get(bucket, newest), newest)
        return len(sent)

    def _since(self, bucket: int) -> datetime | None:
        """From where to look: from the start now and then, else from a while before the newest."""
        now = time.monotonic()
        if bucket not in self._seen or now - self._swept.get(bucket, -_SWEEP_SECONDS) >= (
            _SWEEP_SECONDS
        ):
            self._swept[bucket] = now
            return None
        return self._seen[bucket] - timedelta(seconds=_LATE_SECONDS)


async def role(settings: Settings, stop: asyncio.Event, hooks: Hooks | None = None) -> None:
    """Publish until told to stop."""
    health = Health()
    started = asyncio.Event()
    health.parts["started"] = started.is_set
    async with serving(settings.listen, health), AsyncExitStack() as stack:

        async def assembled() -> Publisher:
            store = await stack.enter_async_context(roles.stored(settings))
            producer = await stack.enter_async_context(bus.connected(settings.kafka))
            metrics = Metrics(health.registry)
            return Publisher(settings.outbox, store, producer, metrics, hooks=hooks)

        publisher = await roles.before(stop, assembled())
        if publisher is not None:
            started.set()
            await publisher.run(stop)
