"""Kafka: events are published once they are acknowledged, and handled at least once.

A consumer's work on one record, in this order: decode, handle, publish what came of it, mark it
done; the offsets of what is done without a gap are committed. A process may be killed between any
two of these: the record comes again. Its effects are once all the same, because handlers write
rows and make events whose ids follow from the event.

    handled            what `handle` returned is published
    Poison             the record goes to the dead letters, with the reason
    Away               a dependency is away: the record waits where it is, for as long as it takes;
                       every other record would fail as well
    any other error    the record goes to the retry topic, to be tried again not before a time;
                       after the last attempt to the dead letters

A record that waits for its time is held aside: the others of its partition go on. Records of one
key are handled one after another in their order; one that is retried is overtaken.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Mapping,
    Sequence,
)
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

from aiokafka import (
    AIOKafkaConsumer,
    AIOKafkaProducer,
    ConsumerRebalanceListener,
    ConsumerRecord,
    TopicPartition,
)
from aiokafka.errors import KafkaError
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from services.fixai import events, settings
from services.fixai.database import Away
from services.fixai.events import Event
from services.fixai.schema import dead_topic, retry_topic

__all__ = ["Away", "Consumer", "Handler", "Hooks", "Metrics", "Poison", "Producer", "listen"]

Handler = Callable[[Event], Awaitable[Sequence[Event]]]
"""Does a consumer's work on one event; the events that came of it, to be published."""

ATTEMPT = "attempt"
NOT_BEFORE = "not-before"
REASON = "reason"
ORIGIN = "origin"
_REQUEST_MS = 10_000
_POLL_MS = 200
_COMMIT_SECONDS = 1.0
_LEAST_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 15.0
_HELD_ASIDE = 1000
_REASON_CHARACTERS = 500
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300)
_log = logging.getLogger(__name__)


class Poison(Exception):  # noqa: N818 - a verdict on the event
    """The event can never be handled; the text says why, without the event's content."""


class Hooks:
    """Is told each step of the work; tests stop the process there."""

    async def at(self, step: str) -> None:
        """The work is at this step."""


class Metrics:
    """A consumer's figures.

    Args:
        registry: of the process.
        consumer: its name.
    """

    def __init__(self, registry: CollectorRegistry, consumer: str) -> None:
        self._consumer = consumer
        self._handled = Counter(
            "fixai_events_handled",
            "Events by what became of them: handled, retried, dead",
            ["consumer", "topic", "result"],
            registry=registry,
        )
        self._handle_seconds = Histogram(
            "fixai_handle_seconds",
            "One attempt of a handler",
            ["consumer", "topic"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._age_seconds = Histogram(
            "fixai_event_age_seconds",
            "From a report's submission to the end of this consumer's work on it",
            ["consumer", "topic"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._lag = Gauge(
            "fixai_lag_events",
            "Events of a partition that are not committed yet",
            ["consumer", "topic", "partition"],
            registry=registry,
        )
        self._in_flight = Gauge(
            "fixai_in_flight_events", "Events being handled", ["consumer"], registry=registry
        )
        self._held = Gauge(
            "fixai_held_events", "Events that wait for their time", ["consumer"], registry=registry
        )
        self._away = Counter(
            "fixai_away",
            "Attempts that found a dependency away",
            ["consumer"],
            registry=registry,
        )

    def ended(self, topic: str, result: str, event: Event | None = None) -> None:
        """An event was dealt with."""
        self._handled.labels(self._consumer, topic, result).inc()
        if event is not None:
            age = (events.now() - event.submitted_at).total_seconds()
            self._age_seconds.labels(self._consumer, topic).observe(max(age, 0))

    def attempted(self, topic: str, seconds: float) -> None:
        """A handler ran."""
        self._handle_seconds.labels(self._consumer, topic).observe(seconds)

    def away(self) -> None:
        """A dependency was away."""
        self._away.labels(self._consumer).inc()

    def load(self, in_flight: int, held: int) -> None:
        """What is being worked on."""
        self._in_flight.labels(self._consumer).set(in_flight)
        self._held.labels(self._consumer).set(held)

    def lag(self, topic: str, partition: int, behind: int) -> None:
        """What a partition still has."""
        self._lag.labels(self._consumer, topic, str(partition)).set(behind)

    def forget(self, topic: str, partition: int) -> None:
        """A partition is somebody else's now."""
        with suppress(KeyError):
            self._lag.remove(self._consumer, topic, str(partition))


class Publishing(Protocol):
    """What publishes; a producer or a test's."""

    async def send(
        self, topic: str, key: str, value: bytes, headers: Mapping[str, str] | None = None
    ) -> None:
        """Return once the broker has it.

        Raises:
            Away: it did not acknowledge; it may have it all the same.
        """


class Producer:
    """An idempotent producer: what it acknowledged is on every copy, in the order of sending."""

    def __init__(self, told: settings.Kafka) -> None:
        self._told = told
        self._producer: AIOKafkaProducer | None = None

    async def start(self) -> None:
        """Connect.

        Raises:
            Away: no broker answers.
        """
        producer = AIOKafkaProducer(
            bootstrap_servers=self._told.servers,
            acks="all",
            enable_idempotence=True,
            linger_ms=2,
            request_timeout_ms=_REQUEST_MS,
            max_request_size=1 << 20,
        )
        try:
            await producer.start()
        except (KafkaError, OSError) as error:
            await producer.stop()
            raise Away(f"kafka does not answer ({type(error).__name__})") from None
        self._producer = producer

    async def stop(self) -> None:
        """Send what is buffered, disconnect."""
        if self._producer is not None:
            await self._producer.stop()
            self._producer = None

    async def send(
        self, topic: str, key: str, value: bytes, headers: Mapping[str, str] | None = None
    ) -> None:
        """Publish a record; it is on the broker when this returns.

        Raises:
            Away: the broker did not acknowledge it; it may have it all the same.
        """
        if self._producer is None:
            raise Away("kafka is not connected")
        told = [(name, text.encode()) for name, text in (headers or {}).items()]
        try:
            await self._producer.send_and_wait(topic, value, key=key.encode(), headers=told)
        except (KafkaError, OSError) as error:
            raise Away(f"kafka did not acknowledge ({type(error).__name__})") from None


async def publish(bus: Publishing, event: Event) -> None:
    """Publish an event on its topic.

    Raises:
        Away: the broker did not acknowledge it.
    """
    await bus.send(event.topic, event.key, event.encode(), {"kind": event.kind})


@asynccontextmanager
async def connected(told: settings.Kafka) -> AsyncIterator[Producer]:
    """A producer, as soon as a broker is there."""
    pause = _LEAST_PAUSE_SECONDS
    while True:
        producer = Producer(told)
        try:
            await producer.start()
            break
        except Away as error:
            _log.warning("%s; trying again", error)
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)
    try:
        yield producer
    finally:
        await producer.stop()


@dataclass(slots=True)
class _Partition:
    """What was fetched of a partition and is not committed."""

    committed: int
    next_offset: int
    """The offset behind the last one fetched."""
    pending: dict[int, asyncio.Task[None]] = field(default_factory=dict)

    @property
    def done(self) -> int:
        """The offset that everything before is dealt with."""
        return min(self.pending, default=self.next_offset)


class Consumer(ConsumerRebalanceListener):  # type: ignore[misc]  # untyped
    """Works through the topics of one consumer group; see the module.

    Args:
        kafka: where.
        told: how.
        name: of the group.
        handle: the work.
        bus: what publishes.
        metrics: of this consumer.
        topics: other ones than the group's usual.
        hooks: of tests.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - the parts that it is made of
        self,
        kafka: settings.Kafka,
        told: settings.Consumers,
        name: str,
        handle: Handler,
        bus: Publishing,
        metrics: Metrics,
        *,
        topics: Sequence[str] | None = None,
        hooks: Hooks | None = None,
    ) -> None:
        self._kafka = kafka
        self._told = told
        self._name = name
        self._handle = handle
        self._bus = bus
        self._metrics = metrics
        self._topics = tuple(events.CONSUMERS[name] if topics is None else topics)
        self._hooks = hooks or Hooks()
        self._origins = {retry_topic(topic, name): topic for topic in self._topics}
        self._partitions: dict[TopicPartition, _Partition] = {}
        self._tails: dict[str, asyncio.Task[None]] = {}
        self._slots = asyncio.Semaphore(told.concurrency)
        self._room = asyncio.Event()
        self._held: set[asyncio.Task[None]] = set()
        self._failure: BaseException | None = None
        self._stopping = asyncio.Event()
        self._consumer: AIOKafkaConsumer | None = None
        self.ready = False

    async def run(self) -> None:
        """Work until `stop`; what is being handled then is ended, or comes again later."""
        pause = _LEAST_PAUSE_SECONDS
        while not self._stopping.is_set():
            try:
                await self._session()
                pause = _LEAST_PAUSE_SECONDS
            except (KafkaError, OSError) as error:
                _log.warning("kafka is away (%s); connecting again", type(error).__name__)
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), pause)
                pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)
        if self._failure is not None:
            raise self._failure

    def stop(self) -> None:
        """Fetch nothing more."""
        self._stopping.set()
        self._room.set()

    async def _session(self) -> None:
        silent_ms = round(self._told.silent_seconds * 1000)
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._kafka.servers,
            group_id=self._name,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            request_timeout_ms=_REQUEST_MS,
            session_timeout_ms=silent_ms,
            heartbeat_interval_ms=silent_ms // 4,
            rebalance_timeout_ms=round(self._told.drain_seconds * 1000) + silent_ms,
            # In-place waiting for a dependency may last; being fetched from is no sign of life.
            max_poll_interval_ms=24 * 3600 * 1000,
            metadata_max_age_ms=30_000,
        )
        consumer.subscribe([*self._topics, *self._origins], listener=self)
        self._consumer = consumer
        committing: asyncio.Task[None] | None = None
        try:
            await consumer.start()
            committing = asyncio.create_task(self._committing())
            self.ready = True
            while not self._stopping.is_set():
                await self._fetch(consumer)
        finally:
            self.ready = False
            if committing is not None:
                committing.cancel()
                await asyncio.gather(committing, return_exceptions=True)
            await self._drain(tuple(self._partitions))
            with suppress(KafkaError, OSError):
                await self._commit()
            self._partitions.clear()
            self._consumer = None
            with suppress(KafkaError, OSError):
                await consumer.stop()

    async def _fetch(self, consumer: AIOKafkaConsumer) -> None:
        self._hold(consumer)
        room = 2 * self._told.concurrency - self._working()
        if room <= 0:
            self._room.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._room.wait(), _POLL_MS / 1000)
            return
        batches = await consumer.getmany(timeout_ms=_POLL_MS, max_records=room)
        for place, records in batches.items():
            for record in records:
                await self._take(place, record)

    def _hold(self, consumer: AIOKafkaConsumer) -> None:
        """Fetch no more retries while too many of them wait for their time."""
        retries = [place for place in consumer.assignment() if place.topic in self._origins]
        if len(self._held) >= _HELD_ASIDE:
            consumer.pause(*retries)
        elif paused := [place for place in consumer.paused() if place in retries]:
            consumer.resume(*paused)

    def _working(self) -> int:
        return sum(len(part.pending) for part in self._partitions.values()) - len(self._held)

    async def _take(self, place: TopicPartition, record: ConsumerRecord) -> None:
        await self._hooks.at("fetched")
        part = self._partitions.setdefault(place, _Partition(record.offset, record.offset))
        part.next_offset = record.offset + 1
        key = (record.key or b"").decode(errors="replace")
        before = self._tails.get(key)
        task = asyncio.create_task(self._work(record, before))
        part.pending[record.offset] = task
        if not _header(record, NOT_BEFORE):
            self._tails[key] = task

        def ended(task: asyncio.Task[None]) -> None:
            if self._tails.get(key) is task:
                del self._tails[key]
            # What was cut short stays: its offset must not be committed.
            if not task.cancelled():
                if (failure := task.exception()) is None:
                    part.pending.pop(record.offset, None)
                else:  # a mistake in this module: better none than a consumer that stands still
                    self._failure = failure
                    self.stop()
            self._room.set()
            self._metrics.load(self._working(), len(self._held))

        task.add_done_callback(ended)
        self._metrics.load(self._working(), len(self._held))

    async def _work(self, record: ConsumerRecord, before: asyncio.Task[None] | None) -> None:
        await self._its_time(record)
        if before is not None:
            await asyncio.wait([before])
        async with self._slots:
            pause = _LEAST_PAUSE_SECONDS
            while True:
                try:
                    await self._attempt(record)
                except Away as error:
                    self._metrics.away()
                    _log.warning("%s; the event waits", error)
                else:
                    return
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)

    async def _its_time(self, record: ConsumerRecord) -> None:
        wait = int(_header(record, NOT_BEFORE) or 0) / 1000 - time.time()
        task = asyncio.current_task()
        if wait > 0 and task is not None:
            self._held.add(task)
            try:
                await asyncio.sleep(wait)
            finally:
                self._held.discard(task)

    async def _attempt(self, record: ConsumerRecord) -> None:
        """Handle a record and publish what came of it.

        Raises:
            Away: something is away; nothing was decided.
        """
        topic = self._origins.get(record.topic, record.topic)
        try:
            event = events.decode(record.value or b"")
        except events.EventError as error:
            await self._dead(record, topic, str(error))
            return
        began = time.perf_counter()
        try:
            made = await self._handle(event)
        except Away:
            raise
        except Poison as error:
            await self._dead(record, topic, str(error))
            return
        except Exception as error:  # noqa: BLE001 - one event must not stop the others
            _log.exception("a handler failed", extra={"event": str(event.id)})
            await self._again(record, topic, error)
            return
        finally:
            self._metrics.attempted(topic, time.perf_counter() - began)
        await self._hooks.at("handled")
        for outgoing in made:
            await publish(self._bus, outgoing)
        await self._hooks.at("published")
        self._metrics.ended(topic, "handled", event)

    async def _again(self, record: ConsumerRecord, topic: str, error: Exception) -> None:
        attempt = int(_header(record, ATTEMPT) or 1)
        reason = f"{type(error).__name__} in attempt {attempt}"
        if attempt > len(self._told.retry_seconds):
            await self._dead(record, topic, reason)
            return
        wait = self._told.retry_seconds[attempt - 1]
        headers = {
            ATTEMPT: str(attempt + 1),
            NOT_BEFORE: str(round((time.time() + wait) * 1000)),
            REASON: reason,
            ORIGIN: _origin(record),
        }
        await self._forward(record, retry_topic(topic, self._name), headers)
        self._metrics.ended(topic, "retried")

    async def _dead(self, record: ConsumerRecord, topic: str, reason: str) -> None:
        headers = {
            REASON: reason[:_REASON_CHARACTERS],
            ATTEMPT: _header(record, ATTEMPT) or "1",
            ORIGIN: _origin(record),
        }
        await self._forward(record, dead_topic(topic, self._name), headers)
        _log.error("an event is a dead letter: %s", headers[REASON], extra={"topic": topic})
        self._metrics.ended(topic, "dead")

    async def _forward(
        self, record: ConsumerRecord, topic: str, headers: Mapping[str, str]
    ) -> None:
        key = (record.key or b"").decode(errors="replace")
        await self._bus.send(topic, key, record.value or b"", headers)
        await self._hooks.at("forwarded")

    async def _committing(self) -> None:
        while True:
            await asyncio.sleep(_COMMIT_SECONDS)
            try:
                await self._commit()
            except (KafkaError, OSError) as error:
                _log.warning("offsets were not committed (%s)", type(error).__name__)
            self._tell_lag()

    async def _commit(self) -> None:
        if self._consumer is None:
            return
        behind = {
            place: part.done
            for place, part in self._partitions.items()
            if part.done > part.committed
        }
        if behind:
            await self._hooks.at("committing")
            await self._consumer.commit(behind)
            for place, offset in behind.items():
                if (part := self._partitions.get(place)) is not None:
                    part.committed = max(part.committed, offset)
            await self._hooks.at("committed")

    def _tell_lag(self) -> None:
        if self._consumer is None:
            return
        for place in self._consumer.assignment():
            end = self._consumer.highwater(place)
            part = self._partitions.get(place)
            behind = max(end - part.done, 0) if end is not None and part is not None else 0
            self._metrics.lag(place.topic, place.partition, behind)

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        """Others work on these from now on: end what is being handled, commit it."""
        mine = tuple(place for place in revoked if place in self._partitions)
        await self._drain(mine)
        try:
            await self._commit()
        except (KafkaError, OSError) as error:
            _log.warning("offsets were not committed (%s)", type(error).__name__)
        for place in mine:
            del self._partitions[place]
        for place in revoked:
            self._metrics.forget(place.topic, place.partition)

    async def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        """A partition's state begins with its first record."""

    async def _drain(self, places: Sequence[TopicPartition]) -> None:
        """Let what is being handled end, for a time; what still waits for its time is dropped."""
        tasks = [
            task
            for place in places
            for task in self._partitions[place].pending.values()
            if not task.done()
        ]
        held = [task for task in tasks if task in self._held]
        working = [task for task in tasks if task not in self._held]
        late: Collection[asyncio.Task[None]] = ()
        if working:
            _, late = await asyncio.wait(working, timeout=self._told.drain_seconds)
        for task in [*held, *late]:
            task.cancel()
        await asyncio.gather(*held, *late, return_exceptions=True)


async def listen(told: settings.Kafka, topics: Sequence[str]) -> AsyncGenerator[Event, None]:
    """Every event of these topics from now on, on every partition, for one process alone.

    It belongs to no group and remembers nothing: what was not listened to is past. Connects again
    by itself; an event that cannot be read is passed over.
    """
    pause = _LEAST_PAUSE_SECONDS
    while True:
        consumer = AIOKafkaConsumer(
            *topics,
            bootstrap_servers=told.servers,
            group_id=None,
            auto_offset_reset="latest",
            request_timeout_ms=_REQUEST_MS,
            metadata_max_age_ms=30_000,
        )
        try:
            await consumer.start()
            pause = _LEAST_PAUSE_SECONDS
            async for record in consumer:
                with suppress(events.EventError):
                    yield events.decode(record.value or b"")
        except (KafkaError, OSError) as error:
            _log.warning("kafka is away (%s); connecting again", type(error).__name__)
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)
        finally:
            with suppress(KafkaError, OSError):
                await consumer.stop()


def _header(record: ConsumerRecord, name: str) -> str | None:
    found: Any = dict(record.headers).get(name)
    return None if found is None else found.decode()


def _origin(record: ConsumerRecord) -> str:
    """Where the record came from first: topic, partition, offset."""
    return _header(record, ORIGIN) or f"{record.topic}:{record.partition}:{record.offset}"
