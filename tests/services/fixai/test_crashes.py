"""Roles as processes on real servers, killed at each step of their work."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from uuid import UUID, uuid4

import httpx
import pytest
from websockets.sync.client import connect

from services.fixai import bus, events, roles
from services.fixai.store import Store
from tests.services.fixai import stacks
from tests.services.fixai.crashing import described
from tests.services.fixai.stacks import JPEG, PRAGUE, Stack, submitted

PASSWORD = "a long password"  # noqa: S105 - of accounts of the tests
KILLED = -9


def died(process: subprocess.Popen[bytes]) -> bool:
    """Whether it was killed, within a time."""
    return process.wait(stacks.READY_SECONDS) == KILLED


def signed_in(stack: Stack) -> dict[str, str]:
    """A new account's header."""
    account = {"name": f"n{uuid4().hex[:12]}", "password": PASSWORD}
    httpx.post(f"{stack.url}/accounts", json=account).raise_for_status()
    token = httpx.post(f"{stack.url}/tokens", json=account).raise_for_status().json()["token"]
    return {"Authorization": f"Bearer {token}"}


def report(stack: Stack, headers: dict[str, str], key: str, text: str = "a hole") -> httpx.Response:
    """Post a report with a picture."""
    form = {"text": text, "latitude": str(PRAGUE[0]), "longitude": str(PRAGUE[1])}
    return httpx.post(
        f"{stack.url}/reports",
        data=form,
        files={"pictures": ("a.jpg", JPEG)},
        headers={**headers, "Idempotency-Key": key},
        timeout=30,
    )


def published(stack: Stack) -> Counter[UUID]:
    """How often each report's submission is on the broker."""
    found = asyncio.run(stacks.records(stack.settings.kafka.servers, "reports.submitted"))
    return Counter(events.decode(record.value).report_id for record in found)


async def emptied(store: Store, stack: Stack) -> None:
    """Wait until nothing is to be published."""
    async with asyncio.timeout(stacks.READY_SECONDS):
        for bucket in range(stack.settings.outbox.buckets):
            while await store.waiting(bucket, 1, None):  # noqa: ASYNC110 - another process empties it
                await asyncio.sleep(0.1)


def publish_all(stack: Stack) -> None:
    """Run the publisher until the outbox is empty."""

    async def run() -> None:
        async with roles.stored(stack.settings) as store:
            await emptied(store, stack)

    with stack.ported().process("outbox"):
        asyncio.run(run())


@pytest.fixture(scope="module")
def survivor(stack: Stack) -> Iterator[Stack]:
    """A backend that nobody kills."""
    at = stack.ported()
    with at.process("backend") as process:
        at.ready(process)
        yield at


@pytest.mark.parametrize("step", ["claimed", "pictured", "kept"])
def test_a_backend_killed_while_it_accepts_a_report_accepts_it_once(
    stack: Stack, survivor: Stack, step: str
) -> None:
    first, key = stack.ported(), str(uuid4())
    with first.process("backend", step) as dying:
        first.ready(dying)
        headers = signed_in(first)
        with pytest.raises(httpx.TransportError):
            report(first, headers, key)
        assert died(dying)
    answers = [report(survivor, headers, key) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [
        200 if step == "kept" else 201,
        200,
        200,
    ]
    (accepted,) = {answer.json()["id"] for answer in answers}
    shown = httpx.get(f"{survivor.url}/reports/{accepted}").raise_for_status().json()
    assert shown["text"] == "a hole"
    near = {"near": f"{PRAGUE[0]},{PRAGUE[1]}", "limit": "100"}
    found = httpx.get(f"{survivor.url}/reports", params=near).json()["reports"]
    assert [r["id"] for r in found].count(accepted) == 1
    another = report(survivor, headers, key, text="something else")
    assert another.status_code == 422
    publish_all(stack)
    assert published(stack)[UUID(accepted)] == 1


def test_what_a_backend_acknowledged_before_it_was_killed_under_load_is_published(
    stack: Stack,
) -> None:
    at = stack.ported(
        backend={"limits": {"reports_per_hour": 10_000, "requests_per_minute": 10_000}}
    )
    acknowledged: list[str] = []

    def submit(headers: dict[str, str]) -> None:
        with suppress(httpx.TransportError):
            while True:
                answer = report(at, headers, str(uuid4()))
                if answer.status_code == 201:
                    acknowledged.append(answer.json()["id"])

    with at.process("backend", "kept:60") as dying:
        at.ready(dying)
        headers = signed_in(at)
        with ThreadPoolExecutor(6) as pool:
            for _ in range(6):
                pool.submit(submit, headers)
        assert died(dying)
    assert len(acknowledged) >= 50
    publish_all(stack)
    times = published(stack)
    assert [times[UUID(report_id)] for report_id in acknowledged] == [1] * len(acknowledged)


@pytest.mark.parametrize("step", ["leased", "read:3", "sent:1", "sent:7", "deleted:4"])
def test_a_publisher_killed_at_any_step_loses_nothing(stack: Stack, step: str) -> None:
    made = [submitted() for _ in range(30)]

    async def keep() -> None:
        async with roles.stored(stack.settings) as store:
            await asyncio.gather(*(store.submit(event) for event in made))

    asyncio.run(keep())
    with stack.ported().process("outbox", step) as dying:
        assert died(dying)
    publish_all(stack)
    times = published(stack)
    mine = [times[event.report_id] for event in made]
    assert min(mine) == 1
    # Twice is only what was sent and not yet deleted.
    assert max(mine) <= 2


@pytest.mark.parametrize(
    "step", ["fetched:4", "handled:4", "published:4", "committing", "committed"]
)
def test_a_consumer_killed_at_any_step_has_each_effect_once(stack: Stack, step: str) -> None:
    made = [submitted(text=f"hole {n}") for n in range(20)]

    async def put() -> None:
        async with (
            roles.stored(stack.settings) as store,
            bus.connected(stack.settings.kafka) as producer,
        ):
            for event in made:
                await store.submit(event)
                await bus.publish(producer, event)

    ids = [described(event).id for event in made]

    async def finished() -> Counter[UUID]:
        async with asyncio.timeout(stacks.READY_SECONDS):
            while True:
                topic = await stacks.records(stack.settings.kafka.servers, "reports.described")
                times = Counter(events.decode(record.value).id for record in topic)
                if all(times[event_id] for event_id in ids):
                    return times
                await asyncio.sleep(0.2)

    async def kept() -> None:
        async with roles.stored(stack.settings) as store:
            for event in made:
                report = await store.report(event.report_id)
                assert report is not None
                assert (report.title, report.described_at) == (event.text, event.at)

    with stack.ported().process("consumer", step) as dying:
        asyncio.run(put())
        assert died(dying)
    at = stack.ported()
    with at.process("consumer") as consumer:
        at.ready(consumer)
        times = asyncio.run(finished())
        consumer.terminate()
        assert consumer.wait(20) == 0, "it drains and ends"
    asyncio.run(kept())
    # Twice is what was published and not committed: readers know it by its id.
    assert max(times[event_id] for event_id in ids) <= 2


def test_a_live_socket_is_told_of_the_report_once_it_is_published(
    stack: Stack, survivor: Stack
) -> None:
    headers = signed_in(survivor)
    with connect(f"ws{survivor.url.removeprefix('http')}/live", additional_headers=headers) as live:
        assert json.loads(live.recv(10))["type"] == "ready"
        near = {"latitude": PRAGUE[0], "longitude": PRAGUE[1], "radius": 100}
        live.send(json.dumps({"type": "watch", **near}))
        assert json.loads(live.recv(10))["type"] == "watching"
        accepted = report(survivor, headers, str(uuid4())).json()["id"]
        publish_all(stack)
        updates = iter(lambda: json.loads(live.recv(20)), None)
        update = next(told for told in updates if told["report_id"] == accepted)
        assert (update["type"], update["stage"]) == ("update", "submitted")


def test_a_role_told_to_end_ends_at_once_also_while_it_waits_for_the_database(
    stack: Stack,
) -> None:
    nowhere = stack.settings.cassandra.model_dump(mode="json") | {"port": 1}
    for role in ("backend", "outbox", "consumer"):
        at = stack.ported(cassandra=nowhere)
        with at.process(role) as process:
            while True:
                with suppress(httpx.TransportError):
                    assert httpx.get(f"{at.url}/readyz").status_code == 503
                    assert httpx.get(f"{at.url}/healthz").status_code == 200
                    break
                assert process.poll() is None
            process.terminate()
            assert process.wait(10) == 0
