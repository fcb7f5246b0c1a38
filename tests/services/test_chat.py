"""Chat: what passes, what is remembered, what is repeated."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from services.assistant.circuit import Away
from tests.services.assistants import Lab, Node, eventually
from tests.services.fakes import FakeOllama, chat_lines
from tests.services.servers import Postgres, RedisServer


async def _rows(postgres: Postgres, database: str, query: str) -> list[asyncpg.Record]:
    connection = await postgres.connect(database)
    try:
        return list(await connection.fetch(query))
    finally:
        await connection.close()


MESSAGES = "SELECT * FROM messages ORDER BY at, ordinal"


def test_each_line_passes_before_the_next_is_made(lab: Lab) -> None:
    async def check() -> None:
        ollama = FakeOllama(lines=chat_lines("Hel", "lo", " world"))
        seen = asyncio.Semaphore(1)

        async def until_seen(_place: int) -> None:
            await asyncio.wait_for(seen.acquire(), 5)

        ollama.before = until_seen
        async with ollama.running(), lab.assistant(ollama) as node:
            body = {"model": "llama3.2", "messages": [{"role": "user", "content": "Hi"}]}
            got = b""
            async with node.session.post("/api/v1/chat", json=body) as response:
                assert response.headers["Content-Type"] == "application/x-ndjson"
                async for line in response.content:
                    got += line
                    seen.release()
            assert got == b"".join(ollama.lines)

    asyncio.run(check())


def test_a_request_without_extras_reaches_ollama_byte_by_byte(lab: Lab) -> None:
    async def check() -> None:
        ollama = FakeOllama()
        raw = b'{ "model":"llama3.2",\n "messages":[{"role":"user","content":"\\u00e4"}] }'
        async with ollama.running(), lab.assistant(ollama) as node:
            async with node.session.post("/api/v1/chat", data=raw) as response:
                assert response.status == 200
            assert ollama.raw == [raw]

    asyncio.run(check())


def test_a_request_that_names_no_model_is_answered_by_the_chat_model(lab: Lab) -> None:
    async def check() -> None:
        ollama = FakeOllama()
        async with ollama.running(), lab.assistant(ollama) as node:
            await node.post("/api/v1/chat", {"messages": [{"role": "user", "content": "Hi"}]})
            assert ollama.bodies[0]["model"] == "llama3.2"

    asyncio.run(check())


@pytest.mark.parametrize(("path", "model"), [("chat", "tiny"), ("code", "tiny-code")])
def test_a_node_that_stands_in_answers_every_request_with_its_own_models(
    lab: Lab, path: str, model: str
) -> None:
    async def check() -> None:
        ollama = FakeOllama()
        lab.told["models"] = {"chat": "tiny", "code": "tiny-code", "stand_in": True}
        async with ollama.running(), lab.assistant(ollama) as node:
            body = {"model": "llama3.2", "messages": [], "prompt": "Hi"}
            assert (await node.post(f"/api/v1/{path}", body)).status == 200
            assert ollama.bodies[0]["model"] == model

    asyncio.run(check())


def test_without_stream_one_object_comes(lab: Lab) -> None:
    async def check() -> None:
        ollama = FakeOllama(lines=chat_lines("x"))
        async with ollama.running(), lab.assistant(ollama) as node:
            reply = await node.chat(stream=False)
            assert reply.body == ollama.lines[-1].strip()
            assert reply.headers["Content-Type"].startswith("application/json")

    asyncio.run(check())


def test_a_full_queue_passes_with_its_status_and_words(lab: Lab) -> None:
    async def check() -> None:
        ollama = FakeOllama(status=503)
        async with ollama.running(), lab.assistant(ollama) as node:
            reply = await node.chat()
            assert (reply.status, reply.body) == (503, ollama.error)

    asyncio.run(check())


def test_without_ollama_the_answer_is_502(lab: Lab) -> None:
    async def check() -> None:
        ollama = FakeOllama()
        async with ollama.running():
            pass
        async with lab.assistant(ollama) as node:
            reply = await node.chat()
            assert reply.status == 502
            assert reply.json["error"] == "ollama is away (ClientConnectorError); try again"

    asyncio.run(check())


def test_a_break_in_the_middle_is_told_as_ollama_tells_errors(lab: Lab) -> None:
    async def check() -> None:
        ollama = FakeOllama(lines=chat_lines("Hel", "lo", "x"), breaks_after=2)
        async with ollama.running(), lab.assistant(ollama) as node:
            lines = (await node.chat()).body.splitlines()
            assert json.loads(lines[-1]) == {"error": "ollama broke off in the middle"}
            assert lines[:2] == [line.strip() for line in ollama.lines[:2]]
            assert await node.figure('assistant_requests_total{route="chat",status="502"}') == 1

    asyncio.run(check())


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"{", "the body is not JSON; send one JSON object"),
        (b"[]", "the body is not a JSON object; send one"),
        (b'{"messages": "Hi"}', "messages is not a list of objects; send role and content of each"),
        (b'{"model": 7}', "model is not a string; name a model, or leave it out"),
        (
            b'{"conversation": "x"}',
            "conversation is not a UUID; send the X-Conversation-Id of an earlier answer",
        ),
    ],
)
def test_a_wrong_request_is_told_what_is_wrong(lab: Lab, body: bytes, error: str) -> None:
    async def check() -> None:
        ollama = FakeOllama()
        async with ollama.running(), lab.assistant(ollama) as node:
            async with node.session.post("/api/v1/chat", data=body) as response:
                assert (response.status, await response.json()) == (400, {"error": error})
            assert ollama.raw == []

    asyncio.run(check())


def test_question_and_answer_are_stored_with_their_figures(
    lab: Lab, cluster: Postgres, database: str
) -> None:
    async def check() -> None:
        ollama = FakeOllama()
        async with (
            ollama.running(),
            lab.with_database(cluster, database).assistant(ollama) as node,
        ):
            reply = await node.chat("Say hello\0\ud800")
            assert await node.parts.recorder.settle(5)
        asked, answered = await _rows(cluster, database, MESSAGES)
        assert (asked["role"], asked["content"]) == ("user", "Say hello\ufffd?")
        assert asked["model"] is None
        assert (answered["role"], answered["content"]) == ("assistant", "Hello")
        assert (answered["prompt_tokens"], answered["generated_tokens"]) == (7, 2)
        assert (answered["model"], answered["served_by"]) == ("llama3.2", "agx0.assistant")
        assert 0 < answered["first_token_ms"] <= answered["latency_ms"] < 5000
        assert not answered["truncated"]
        assert answered["conversation_id"] == UUID(reply.headers["X-Conversation-Id"])

    asyncio.run(check())


def test_what_a_client_left_behind_is_stored_as_truncated(
    lab: Lab, cluster: Postgres, database: str
) -> None:
    async def check() -> None:
        ollama = FakeOllama(lines=chat_lines("Hel", "lo", "never"))

        async def hold(place: int) -> None:
            if place == 2:
                await asyncio.sleep(30)

        ollama.before = hold
        async with (
            ollama.running(),
            lab.with_database(cluster, database).assistant(ollama) as node,
        ):
            body = {"model": "llama3.2", "messages": [{"role": "user", "content": "Hi"}]}
            response = await node.session.post("/api/v1/chat", json=body)
            await response.content.readline()
            await response.content.readline()
            response.close()
            await asyncio.wait_for(ollama.left.wait(), 5)  # the model stops too
            await eventually(lambda: node.parts.spool.records == 0)
            assert await node.figure('assistant_truncated_answers_total{route="chat"}') == 1
        [_, answered] = await _rows(cluster, database, MESSAGES)
        assert (answered["content"], answered["truncated"]) == ("Hello", True)
        assert answered["generated_tokens"] == 2

    asyncio.run(check())


def test_a_client_that_leaves_at_the_last_line_undoes_nothing(
    lab: Lab, cache: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def check() -> None:
        ollama = FakeOllama()
        async with ollama.running(), lab.with_cache(cache).assistant(ollama) as node:
            sessions = node.parts.sessions
            assert sessions is not None
            remember = sessions.remember
            begun = asyncio.Event()

            async def slowly(*told: Any, **how: Any) -> None:
                begun.set()
                await asyncio.sleep(0.3)
                await remember(*told, **how)

            monkeypatch.setattr(sessions, "remember", slowly)
            body = {"model": "llama3.2", "messages": [{"role": "user", "content": "One"}]}
            response = await node.session.post("/api/v1/chat", json=body)
            await begun.wait()  # the last line has passed
            response.close()
            conversation = UUID(response.headers["X-Conversation-Id"])

            async def remembered() -> bool:
                return await sessions.past(conversation) is not None

            await eventually(remembered, 3)
            assert await node.figure('assistant_truncated_answers_total{route="chat"}') is None

    asyncio.run(check())


def test_a_client_that_leaves_while_it_waits_frees_the_model(lab: Lab) -> None:
    async def check() -> None:
        ollama = FakeOllama()

        async def hold(_place: int) -> None:
            await asyncio.sleep(30)

        ollama.before = hold
        async with ollama.running(), lab.assistant(ollama) as node:
            asked = asyncio.create_task(node.chat())
            queued = 'assistant_queued_requests{route="chat"}'
            await eventually(lambda: _shows(node, queued, 1))
            asked.cancel()
            await asyncio.wait_for(ollama.left.wait(), 5)
            await eventually(lambda: _shows(node, queued, 0))

    asyncio.run(check())


async def _shows(node: Node, name: str, value: float) -> bool:
    return await node.figure(name) == value


async def _two_turns(lab: Lab, between: Any) -> FakeOllama:
    """A conversation that begins on one node and goes on at another."""
    ollama = FakeOllama()
    async with ollama.running():
        async with lab.assistant(ollama) as first:
            reply = await first.chat("One")
            assert reply.headers["X-Served-By"] == "agx0.assistant"
            conversation = reply.headers["X-Conversation-Id"]
            await first.parts.recorder.settle(5)
        await between()
        async with lab.assistant(ollama, "orin0.assistant") as second:
            for text in ("Two", "Three"):
                reply = await second.chat(text, conversation=conversation)
                assert reply.headers["X-Served-By"] == "orin0.assistant"
                assert reply.headers["X-Conversation-Id"] == conversation
                assert "X-Conversation-History" not in reply.headers
    return ollama


WHOLE = [
    {"role": "user", "content": "One"},
    {"role": "assistant", "content": "Hello"},
    {"role": "user", "content": "Two"},
    {"role": "assistant", "content": "Hello"},
    {"role": "user", "content": "Three"},
]


async def _nothing() -> None:
    pass


def test_a_conversation_goes_on_at_another_node_from_redis_alone(
    lab: Lab, cache: RedisServer
) -> None:
    ollama = asyncio.run(_two_turns(lab.with_cache(cache), _nothing))
    assert ollama.bodies[-1]["messages"] == WHOLE
    assert "conversation" not in ollama.bodies[-1]


def test_a_conversation_goes_on_at_another_node_from_postgresql_alone(
    lab: Lab, cluster: Postgres, database: str
) -> None:
    ollama = asyncio.run(_two_turns(lab.with_database(cluster, database), _nothing))
    assert ollama.bodies[-1]["messages"] == WHOLE


def test_a_session_that_redis_forgot_is_read_from_postgresql_and_remembered(
    lab: Lab, cluster: Postgres, database: str, cache: RedisServer
) -> None:
    async def forget() -> None:
        client = cache.client()
        assert await client.dbsize() == 1
        await client.flushall()
        await client.aclose()

    async def check() -> None:
        lab.with_database(cluster, database).with_cache(cache)
        ollama = await _two_turns(lab, forget)
        assert ollama.bodies[-1]["messages"] == WHOLE
        client = cache.client()
        [key] = await client.keys("session:*")
        assert await client.llen(key) == 6
        assert 0 < await client.ttl(key) <= 6 * 3600
        await client.aclose()

    asyncio.run(check())


def test_a_turn_that_redis_missed_is_not_hidden_by_what_it_remembers(
    lab: Lab, cluster: Postgres, database: str, cache: RedisServer
) -> None:
    async def check() -> None:
        ollama = FakeOllama()
        lab.with_database(cluster, database).with_cache(cache)
        async with ollama.running(), lab.assistant(ollama) as node:
            conversation = (await node.chat("One")).headers["X-Conversation-Id"]
            client = cache.client()
            await client.config_set("min-replicas-to-write", 1)  # every write fails, reads work
            await node.chat("Two", conversation=conversation)
            await client.config_set("min-replicas-to-write", 0)
            await client.aclose()
            await eventually(lambda: _probed(node))
            await node.chat("Three", conversation=conversation)
            assert ollama.bodies[-1]["messages"] == WHOLE

    asyncio.run(check())


async def _probed(node: Node) -> bool:
    assert node.parts.sessions is not None
    try:
        await node.parts.sessions.probe()
    except Away:
        return False
    return True


def test_without_redis_sessions_come_from_postgresql(
    lab: Lab, cluster: Postgres, database: str, cache: RedisServer
) -> None:
    async def stop() -> None:
        cache.kill()

    lab.with_database(cluster, database).with_cache(cache)
    assert asyncio.run(_two_turns(lab, stop)).bodies[-1]["messages"] == WHOLE


def test_without_either_the_answer_says_that_it_remembers_nothing(
    lab: Lab, cluster: Postgres, database: str, cache: RedisServer
) -> None:
    async def check() -> None:
        ollama = FakeOllama()
        lab.with_database(cluster, database).with_cache(cache)
        cache.kill()
        cluster.kill()
        async with ollama.running(), lab.assistant(ollama) as node:
            reply = await node.chat("Two", conversation=str(uuid4()))
            assert reply.status == 200
            assert reply.body == b"".join(ollama.lines)
            assert reply.headers["X-Conversation-History"] == "missing"
            assert await node.figure("assistant_answers_without_past_total") == 1

    asyncio.run(check())


@pytest.mark.parametrize("forget", [False, True])
def test_a_conversation_is_its_owners_alone(
    lab: Lab, cluster: Postgres, database: str, cache: RedisServer, *, forget: bool
) -> None:
    async def check() -> None:
        ollama = FakeOllama()
        lab.with_database(cluster, database).with_cache(cache)
        async with ollama.running(), lab.assistant(ollama) as node:
            conversation = (await node.chat("One")).headers["X-Conversation-Id"]
            if forget:
                client = cache.client()
                await client.flushall()
                await client.aclose()
            reply = await node.chat("Tell me", consumer="eve", conversation=conversation)
            assert reply.status == 404
            assert len(ollama.bodies) == 1

    asyncio.run(check())


@pytest.mark.parametrize("options", [{"temperature": 0}, {"seed": 7}])
def test_a_repeatable_request_is_answered_from_the_cache(
    lab: Lab, cache: RedisServer, options: dict[str, Any]
) -> None:
    async def check() -> None:
        ollama = FakeOllama()
        lab.with_cache(cache)
        async with ollama.running(), lab.assistant(ollama) as node:
            first = await node.chat(options=options)
            second = await node.chat(options=options)
            assert first.headers["X-Cache"] == "miss"
            assert second.headers["X-Cache"] == "hit"
            assert second.body == first.body == b"".join(ollama.lines)
            assert second.headers["Content-Type"] == first.headers["Content-Type"]
            assert second.headers["X-Conversation-Id"] != first.headers["X-Conversation-Id"]
            assert len(ollama.bodies) == 1
            assert await node.figure('assistant_cache_total{result="hit"}') == 1
            other = await node.chat("Another", options=options)
            assert other.headers["X-Cache"] == "miss"

    asyncio.run(check())


def test_no_other_request_is_answered_from_the_cache(lab: Lab, cache: RedisServer) -> None:
    async def check() -> None:
        ollama = FakeOllama()
        lab.with_cache(cache)
        async with ollama.running(), lab.assistant(ollama) as node:
            conversation = str(uuid4())
            told: dict[str, Any] = {"options": {"seed": 1}, "conversation": conversation}
            for body in ({}, told):
                for _ in range(2):
                    assert "X-Cache" not in (await node.chat(**body)).headers
            assert len(ollama.bodies) == 4

    asyncio.run(check())


def test_a_truncated_answer_is_not_repeated(lab: Lab, cache: RedisServer) -> None:
    async def check() -> None:
        ollama = FakeOllama(lines=chat_lines("Hel", "lo"), breaks_after=1)
        lab.with_cache(cache)
        async with ollama.running(), lab.assistant(ollama) as node:
            await node.chat(options={"seed": 1})
            ollama.breaks_after = None
            reply = await node.chat(options={"seed": 1})
            assert (reply.headers["X-Cache"], reply.body) == ("miss", b"".join(ollama.lines))

    asyncio.run(check())


def test_each_consumer_sees_its_own_usage(lab: Lab, cluster: Postgres, database: str) -> None:
    async def check() -> None:
        ollama = FakeOllama()
        lab.with_database(cluster, database)
        async with ollama.running(), lab.assistant(ollama) as node:
            await node.chat()
            await node.chat()
            ollama.status = 503
            await node.chat()
            await node.post("/api/v1/chat", [])
            await node.chat(consumer="eve")
            await node.parts.recorder.settle(5)
            told = (await node.get("/api/v1/usage")).json
            [row] = told["usage"]
            assert told["consumer"] == "ada"
            del row["day"]
            assert row == {
                "route": "chat",
                "requests": 4,
                "prompt_tokens": 14,
                "generated_tokens": 4,
                "errors": 2,
            }
            assert (await node.get("/api/v1/usage", consumer="nobody")).json["usage"] == []

    asyncio.run(check())
