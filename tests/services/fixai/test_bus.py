"""The frame of the consumers, on a real broker."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from prometheus_client import CollectorRegistry

from services.fixai import bus, settings
from services.fixai.bus import Away, Consumer, Hooks, Poison
from services.fixai.events import Event, ReportSubmitted
from services.fixai.schema import dead_topic, retry_topic
from services.fixai.settings import Consumers
from tests.services.fixai import stacks
from tests.services.fixai.crashing import described
from tests.services.fixai.processes import Server
from tests.services.fixai.stacks import submitted, until

TOLD = Consumers(concurrency=4, retry_seconds=(0.3, 0.6), drain_seconds=2, silent_seconds=3)


@dataclass
class Desk:
    """A consumer under test: what it saw, and its topic and group that no other test has."""

    kafka: settings.Kafka
    topic: str
    name: str
    producer: bus.Producer
    seen: list[Event] = field(default_factory=list)

    async def put(self, *events: Event) -> None:
        """Put events on the topic."""
        for event in events:
            await self.producer.send(self.topic, event.key, event.encode())

    @asynccontextmanager
    async def working(
        self,
        handle: Callable[[Event], Awaitable[Sequence[Event]]] | None = None,
        hooks: Hooks | None = None,
    ) -> AsyncIterator[Consumer]:
        """The consumer while the block runs, drained at its end."""

        async def handled(event: Event) -> Sequence[Event]:
            made = await handle(event) if handle else ()
            self.seen.append(event)
            return made

        metrics = bus.Metrics(CollectorRegistry(), self.name)
        consumer = Consumer(
            self.kafka,
            TOLD,
            self.name,
            handled,
            self.producer,
            metrics,
            topics=[self.topic],
            hooks=hooks,
        )
        running = asyncio.create_task(consumer.run())
        try:
            yield consumer
        finally:
            consumer.stop()
            await running

    async def dead(self) -> list[tuple[bytes, dict[str, str]]]:
        """The dead letters: content and headers."""
        found = await stacks.records(self.kafka.servers, dead_topic(self.topic, self.name))
        return [(r.value, {n: v.decode() for n, v in r.headers}) for r in found]


@asynccontextmanager
async def desk(server: Server, partitions: int = 1) -> AsyncIterator[Desk]:
    """A topic with its retries and dead letters, and a producer."""
    kafka = settings.Kafka(servers=server.address)
    topic, name = f"topic-{secrets.token_hex(4)}", f"group-{secrets.token_hex(4)}"
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.servers)
    await admin.start()
    others = (retry_topic(topic, name), dead_topic(topic, name))
    await admin.create_topics(
        [NewTopic(topic, partitions, 1), *(NewTopic(t, 1, 1) for t in others)]
    )
    await admin.close()
    async with bus.connected(kafka) as producer:
        yield Desk(kafka, topic, name, producer)


@pytest.mark.usefixtures("stack")  # which makes the topics of the pipeline
def test_what_a_handler_made_is_published_on_its_topic(kafka_server: Server) -> None:
    async def run() -> None:
        async with desk(kafka_server) as at:
            event = submitted()

            async def handle(event: Event) -> Sequence[Event]:
                assert isinstance(event, ReportSubmitted)
                return [described(event)]

            await at.put(event)
            async with at.working(handle):
                await until(lambda: len(at.seen) == 1)
            found = await stacks.records(at.kafka.servers, "reports.described")
            made = described(event)
            assert [(r.key.decode(), r.value) for r in found if r.value == made.encode()] == [
                (made.cell, made.encode())
            ]

    asyncio.run(run())


def test_a_drained_consumer_leaves_nothing_to_be_handled_again(kafka_server: Server) -> None:
    async def run() -> None:
        async with desk(kafka_server, partitions=3) as at:
            first = [submitted() for _ in range(50)]
            await at.put(*first)
            async with at.working():
                await until(lambda: len(at.seen) == 50)
            last = submitted()
            await at.put(last)
            async with at.working():
                await until(lambda: last in at.seen)
            assert len(at.seen) == 51

    asyncio.run(run())


def test_poison_goes_to_the_dead_letters_and_blocks_nobody(kafka_server: Server) -> None:
    async def run() -> None:
        async with desk(kafka_server) as at:
            bad, good = submitted(), submitted()

            async def handle(event: Event) -> Sequence[Event]:
                if event == bad:
                    raise Poison("the picture is empty")
                return ()

            await at.producer.send(at.topic, "nobody", b"\xff no event")
            await at.put(bad, good)
            async with at.working(handle):
                await until(lambda: good in at.seen)
            letters = await at.dead()
            assert [(value, headers["reason"]) for value, headers in letters] == [
                (b"\xff no event", "not an event of a known form (the event: json_invalid)"),
                (bad.encode(), "the picture is empty"),
            ]
            assert letters[0][1]["origin"] == f"{at.topic}:0:0"

    asyncio.run(run())


def test_a_failure_is_tried_again_later_while_others_go_on(kafka_server: Server) -> None:
    async def run() -> None:
        async with desk(kafka_server) as at:
            flaky, others = submitted(), [submitted() for _ in range(5)]
            tried: list[float] = []
            others_after: list[int] = []

            async def handle(event: Event) -> Sequence[Event]:
                if event == flaky:
                    tried.append(asyncio.get_running_loop().time())
                    if len(tried) < 3:
                        raise ValueError("cannot yet")
                    others_after.append(len(at.seen))
                return ()

            await at.put(flaky, *others)
            async with at.working(handle):
                await until(lambda: flaky in at.seen)
            assert others_after == [5], "the others were handled before the last attempt"
            assert tried[1] - tried[0] >= 0.28
            assert tried[2] - tried[1] >= 0.58
            assert await at.dead() == []

    asyncio.run(run())


def test_after_the_last_attempt_it_is_a_dead_letter_with_the_reason(kafka_server: Server) -> None:
    async def run() -> None:
        async with desk(kafka_server) as at:
            hopeless = submitted(text="words that must not be told")
            tries: list[Event] = []

            async def handle(event: Event) -> Sequence[Event]:
                tries.append(event)
                raise KeyError("words that must not be told")

            await at.put(hopeless)
            async with at.working(handle):
                await until(lambda: len(tries) == 3)
            letters = await at.dead()
            assert [headers["reason"] for _, headers in letters] == ["KeyError in attempt 3"]
            assert letters[0][1]["origin"] == f"{at.topic}:0:0"

    asyncio.run(run())


def test_a_retry_that_is_due_early_is_not_kept_behind_one_that_is_due_late(
    kafka_server: Server,
) -> None:
    async def run() -> None:
        async with desk(kafka_server) as at:
            late, early = submitted(), submitted()
            far = {bus.NOT_BEFORE: "99999999999999", bus.ATTEMPT: "2"}
            topic = retry_topic(at.topic, at.name)
            await at.producer.send(topic, late.key, late.encode(), far)
            await at.producer.send(topic, early.key, early.encode(), {bus.ATTEMPT: "2"})
            async with at.working():
                await until(lambda: early in at.seen)
            assert late not in at.seen
            # What waits for its time is not lost by a restart.
            async with at.working():
                await until(lambda: at.seen.count(early) == 2)

    asyncio.run(run())


def test_records_of_a_key_are_handled_in_their_order_and_others_at_once(
    kafka_server: Server,
) -> None:
    async def run() -> None:
        async with desk(kafka_server) as at:
            report = submitted()
            same = [submitted(report.report_id, text=f"number {n}") for n in range(6)]
            others = [submitted() for _ in range(6)]
            running = most = 0

            async def handle(_event: Event) -> Sequence[Event]:
                nonlocal running, most
                running += 1
                most = max(most, running)
                await asyncio.sleep(0.05)
                running -= 1
                return ()

            await at.put(*(event for pair in zip(same, others, strict=True) for event in pair))
            async with at.working(handle):
                await until(lambda: len(at.seen) == 12)
            assert [event for event in at.seen if event.key == report.key] == same
            assert 2 <= most <= TOLD.concurrency

    asyncio.run(run())


def test_while_a_dependency_is_away_events_wait_and_none_is_a_dead_letter(
    kafka_server: Server,
) -> None:
    async def run() -> None:
        async with desk(kafka_server) as at:
            event, away = submitted(), True
            tries = 0

            async def handle(_event: Event) -> Sequence[Event]:
                nonlocal tries, away
                tries += 1
                away = tries < 3
                if away:
                    raise Away("cassandra does not answer")
                return ()

            await at.put(event)
            async with at.working(handle):
                await until(lambda: event in at.seen)
            assert tries == 3
            assert await at.dead() == []
            retries = await stacks.records(at.kafka.servers, retry_topic(at.topic, at.name))
            assert retries == []

    asyncio.run(run())


def test_two_consumers_share_the_work_and_lose_nothing_when_one_leaves(
    kafka_server: Server,
) -> None:
    async def run() -> None:
        async with desk(kafka_server, partitions=4) as at:
            events = [submitted() for _ in range(300)]

            async def slow(_event: Event) -> Sequence[Event]:
                await asyncio.sleep(0.005)
                return ()

            async with at.working(slow):
                await at.put(*events[:100])
                async with at.working(slow):
                    await at.put(*events[100:200])
                    await until(lambda: len(set(at.seen)) >= 150)
                await at.put(*events[200:])
                await until(lambda: set(at.seen) == set(events))
            assert len(at.seen) == len(events), "drained partitions are not handled twice"

    asyncio.run(run())


@pytest.mark.parametrize("seconds", [1.5])
def test_a_broker_that_is_silent_for_a_while_costs_no_event(
    kafka_server: Server, seconds: float
) -> None:
    async def run() -> None:
        async with desk(kafka_server) as at:
            before, after = submitted(), submitted()
            await at.put(before)
            async with at.working():
                await until(lambda: before in at.seen)
                with kafka_server.paused():
                    sending = asyncio.create_task(at.put(after))
                    await asyncio.sleep(seconds)
                    assert not sending.done()
                await sending
                await until(lambda: after in at.seen)

    asyncio.run(run())
