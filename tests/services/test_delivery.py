"""From the spool to PostgreSQL: all of it, in order, once."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from pydantic import SecretStr

from services.assistant.delivery import Recorder
from services.assistant.metrics import Metrics
from services.assistant.records import Message, Record, Usage
from services.assistant.settings import Database
from services.assistant.spool import Entry, Spool
from services.assistant.store import Store
from tests.services.assistants import Lab, eventually
from tests.services.fakes import FakeOllama
from tests.services.servers import PASSWORD, ROLE, Postgres

CONVERSATION = uuid4()


def _store(cluster: Postgres, database: str) -> Store:
    return Store(
        Database(
            host="127.0.0.1",
            port=cluster.port,
            name=database,
            user=ROLE,
            password=SecretStr(PASSWORD),
        )
    )


def _record(text: str, role: str = "user") -> Record:
    message = Message(role=role, content=text, at=datetime.now(UTC))
    usage = Usage(route="chat", prompt_tokens=1)
    return Record(consumer="ada", conversation=CONVERSATION, messages=(message,), usage=usage)


async def _contents(cluster: Postgres, database: str) -> list[str]:
    connection = await cluster.connect(database)
    try:
        rows = await connection.fetch("SELECT content FROM messages ORDER BY at, ordinal")
    finally:
        await connection.close()
    return [row["content"] for row in rows]


async def _requests(cluster: Postgres, database: str) -> int:
    connection = await cluster.connect(database)
    try:
        return int(await connection.fetchval("SELECT sum(requests) FROM api_usage"))
    finally:
        await connection.close()


def test_chat_goes_on_without_a_database_that_gets_all_when_it_is_back(
    lab: Lab, cluster: Postgres, database: str
) -> None:
    async def check() -> None:
        ollama = FakeOllama()
        lab.with_database(cluster, database)
        async with ollama.running(), lab.assistant(ollama) as node:
            await node.chat("before")
            await node.parts.recorder.settle(5)
            cluster.kill()
            for text in ("during 1", "during 2"):
                started = asyncio.get_running_loop().time()
                reply = await node.chat(text)
                assert (reply.status, reply.body) == (200, b"".join(ollama.lines))
                assert asyncio.get_running_loop().time() - started < 1
            await eventually(lambda: _down(node.parts.store))
            assert await node.figure("assistant_spool_messages") == 4
            assert (await node.figure("assistant_spool_bytes") or 0) > 400
            assert await node.figure('assistant_dependency_up{dependency="database"}') == 0
            ready = await node.get("/ready")
            assert (ready.status, ready.json["status"]) == (200, "degraded")
            assert list(ready.json["degraded"]) == ["database"]
            usage = await node.get("/api/v1/usage")
            assert (usage.status, usage.headers["Retry-After"]) in {(503, "1"), (503, "2")}
            await cluster.start()
            assert await node.parts.recorder.settle(15)
            assert await node.figure("assistant_spool_messages") == 0
            assert await node.figure('assistant_dependency_up{dependency="database"}') == 1
        assert await _contents(cluster, database) == [
            *("before", "Hello", "during 1", "Hello", "during 2", "Hello")
        ]

    asyncio.run(check())


def _down(store: Store | None) -> bool:
    assert store is not None
    return not store.circuit.up


def test_a_database_that_hangs_delays_no_answer(lab: Lab, cluster: Postgres, database: str) -> None:
    async def check() -> None:
        ollama = FakeOllama()
        lab.with_database(cluster, database)
        async with ollama.running(), lab.assistant(ollama) as node:
            await node.chat("before")
            await node.parts.recorder.settle(5)
            processes = _family(cluster)
            for process in processes:
                os.kill(process, signal.SIGSTOP)
            try:
                async with asyncio.timeout(1):
                    assert (await node.chat("during")).status == 200
            finally:
                for process in processes:
                    os.kill(process, signal.SIGCONT)
            assert await node.parts.recorder.settle(20)
        assert await _contents(cluster, database) == ["before", "Hello", "during", "Hello"]

    asyncio.run(check())


def _family(cluster: Postgres) -> list[int]:
    assert cluster.process is not None
    parent = cluster.process.pid
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return [parent, *map(int, children)]


def test_what_a_killed_process_had_spooled_is_delivered_by_the_next(
    lab: Lab, cluster: Postgres, database: str
) -> None:
    async def check() -> None:
        ollama = FakeOllama()
        lab.with_database(cluster, database)
        cluster.kill()
        async with ollama.running():
            async with lab.process(ollama) as own:
                for text in ("one", "two"):
                    assert (await own.chat(text)).status == 200
                own.kill()  # at once: an answer that ended is on disk
            await cluster.start()
            async with lab.process(ollama) as own:
                await own.chat("three")
                await eventually(lambda: _holds(cluster, database, 6))
                await own.stop()
        assert await _contents(cluster, database) == [
            *("one", "Hello", "two", "Hello", "three", "Hello")
        ]
        assert await _requests(cluster, database) == 3

    asyncio.run(check())


async def _holds(cluster: Postgres, database: str, count: int) -> bool:
    return len(await _contents(cluster, database)) >= count


class _Killed(BaseException):
    """The process ends between the database's commit and what follows."""


class _DiesAfterCommit(Store):
    async def apply(self, spool: UUID | None, entries: Sequence[Entry]) -> None:
        await super().apply(spool, entries)
        raise _Killed


def test_what_was_committed_before_the_kill_is_not_applied_again(
    tmp_path: Path, cluster: Postgres, database: str
) -> None:
    async def dies() -> None:
        spool = Spool(tmp_path)
        await spool.open()
        for text in ("one", "two"):
            await spool.append(_record(text))
        store = _store(cluster, database)
        await store.open()
        dying = _DiesAfterCommit(store._database)
        await dying.open()
        with pytest.raises(_Killed):
            await dying.apply(spool.id, (await spool.peek()).entries)
        await dying.close()
        await store.close()
        await spool.close()  # lets go of the lock, as the kernel would

    async def lives() -> None:
        spool, store = Spool(tmp_path), _store(cluster, database)
        await store.open()
        recorder = Recorder(spool, store, Metrics("test"))
        await recorder.open()
        await recorder.keep(_record("three"))
        assert await recorder.settle(5)
        await recorder.close()
        await store.close()

    asyncio.run(dies())
    asyncio.run(lives())
    assert asyncio.run(_contents(cluster, database)) == ["one", "two", "three"]
    assert asyncio.run(_requests(cluster, database)) == 3


def test_a_process_killed_again_and_again_neither_loses_nor_doubles(
    lab: Lab, cluster: Postgres, database: str
) -> None:
    async def check() -> None:
        ollama = FakeOllama()
        lab.with_database(cluster, database)
        asked = 0
        async with ollama.running():
            for life in range(3):
                async with lab.process(ollama) as own:
                    for place in range(5):
                        assert (await own.chat(f"{life}.{place}")).status == 200
                        asked += 1
                    await asyncio.sleep(0.003 * life)  # the kill falls elsewhere each time
                    own.kill()
            async with lab.process(ollama) as own:
                await eventually(lambda: _holds(cluster, database, 2 * asked))
                await own.stop()
        texts = await _contents(cluster, database)
        expected = [f"{life}.{place}" for life in range(3) for place in range(5)]
        assert [text for text in texts if text != "Hello"] == expected
        assert len(texts) == 2 * asked
        assert await _requests(cluster, database) == asked

    asyncio.run(check())


def test_a_record_that_postgresql_refuses_holds_up_no_other(
    tmp_path: Path, cluster: Postgres, database: str
) -> None:
    async def check() -> None:
        spool, store, metrics = Spool(tmp_path), _store(cluster, database), Metrics("test")
        await store.open()
        recorder = Recorder(spool, store, metrics)
        poison = _record("poison")
        poison = poison.model_copy(update={"usage": Usage(route="chat", prompt_tokens=2**70)})
        # Taken before deliveries begin, so that all are one batch.
        await spool.open()
        for record in (_record("one"), poison, _record("two")):
            await spool.append(record)
        await spool.close()
        await recorder.open()
        assert await recorder.settle(5)
        await recorder.close()
        await store.close()
        assert await _contents(cluster, database) == ["one", "two"]
        assert '"content":"poison"' in (tmp_path / "rejected.jsonl").read_text()
        assert "assistant_lost_records_total 1.0" in metrics.text().decode()

    asyncio.run(check())


def test_a_full_spool_beside_a_database_that_works_loses_nothing(
    tmp_path: Path, cluster: Postgres, database: str
) -> None:
    async def check() -> None:
        store, metrics = _store(cluster, database), Metrics("test")
        await store.open()
        recorder = Recorder(Spool(tmp_path, limit_bytes=1), store, metrics)
        await recorder.open()
        await recorder.keep(_record("straight"))
        assert await _contents(cluster, database) == ["straight"]
        await store.close()
        await recorder.keep(_record("lost"))
        assert "assistant_lost_records_total 1.0" in metrics.text().decode()
        await recorder.close()

    asyncio.run(check())


def test_what_was_just_taken_is_delivered_before_the_end(
    tmp_path: Path, cluster: Postgres, database: str
) -> None:
    async def check() -> None:
        store = _store(cluster, database)
        await store.open()
        recorder = Recorder(Spool(tmp_path), store, Metrics("test"))
        await recorder.open()
        for place in range(40):
            recorder.keep(_record(f"{place}"))
        await recorder.close()
        await store.close()
        assert await _contents(cluster, database) == [f"{place}" for place in range(40)]

    asyncio.run(check())


def test_nobody_writes_into_anothers_conversation(
    tmp_path: Path, cluster: Postgres, database: str
) -> None:
    async def check() -> None:
        store = _store(cluster, database)
        await store.open()
        stranger = _record("stranger").model_copy(update={"consumer": "eve"})
        for record in (_record("own"), stranger):
            await store.apply(None, [Entry(None, record, b"")])
        await store.close()
        assert await _contents(cluster, database) == ["own"]

    del tmp_path
    asyncio.run(check())
