"""What the assistant tells of itself: health, metrics, headers, logs."""

from __future__ import annotations

import asyncio
import json
import logging

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from services.assistant.circuit import Away, Circuit
from services.assistant.logs import Lines
from tests.services.assistants import Lab, Node, eventually
from tests.services.fakes import FakeOllama, chat_lines
from tests.services.servers import PASSWORD, Postgres, RedisServer


def test_with_ollama_alone_it_is_ready(lab: Lab) -> None:
    async def check() -> None:
        ollama = FakeOllama()
        async with ollama.running(), lab.assistant(ollama) as node:
            ready = await node.get("/ready")
            assert ready.status == 200
            assert ready.json == {"status": "ready", "name": "agx0.assistant", "degraded": {}}

    asyncio.run(check())


def test_without_ollama_it_is_alive_and_not_ready(lab: Lab) -> None:
    async def check() -> None:
        ollama = FakeOllama()
        async with ollama.running():
            pass
        async with lab.assistant(ollama) as node:
            assert (await node.get("/health")).status == 200
            ready = await node.get("/ready")
            assert (ready.status, ready.json["status"]) == (503, "away")
            assert await node.figure('assistant_dependency_up{dependency="ollama"}') == 0
            assert (await node.get("/api/version")).status == 502

    asyncio.run(check())


def test_version_and_tags_are_ollamas(lab: Lab) -> None:
    async def check() -> None:
        ollama = FakeOllama()
        async with ollama.running(), lab.assistant(ollama) as node:
            assert (await node.get("/api/version")).json == {"version": "0.12.0"}
            assert (await node.get("/api/tags")).json == {"models": [{"name": "llama3.2"}]}

    asyncio.run(check())


def test_the_metrics_count_what_happened(lab: Lab) -> None:
    async def check() -> None:
        ollama = FakeOllama(lines=chat_lines("a", "b", "c"))
        async with ollama.running(), lab.assistant(ollama) as node:
            await node.chat()
            await node.chat(consumer="nobody-in-labels")
            ollama.status = 503
            await node.chat()
            await eventually(
                lambda: _figure_is(node, 'assistant_model_memory_bytes{memory="gpu",model=', 2000)
            )
            text = (await node.get("/metrics")).body.decode()
        told = {
            (sample.name, *sorted(sample.labels.values())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }
        assert told["assistant_requests_total", "200", "chat"] == 2
        assert told["assistant_requests_total", "503", "chat"] == 1
        assert told["assistant_request_seconds_count", "chat"] == 3
        assert told["assistant_first_token_seconds_count", "chat", "llama3.2"] == 2
        assert told["assistant_prompt_tokens_total", "chat", "llama3.2"] == 14
        assert told["assistant_tokens_total", "chat", "llama3.2"] == 6
        assert told["assistant_tokens_per_second_sum", "chat", "llama3.2"] == pytest.approx(20)
        assert told["assistant_in_flight_requests", "metrics"] == 1  # the scrape itself
        assert told[("assistant_loaded_models",)] == 1
        assert told["assistant_build_info", "1", "agx0.assistant"] == 1
        assert told["assistant_dependency_up", "ollama"] == 1
        assert told["assistant_model_memory_bytes", "all", "llama3.2:latest"] == 3000
        assert "nobody-in-labels" not in text

    async def _figure_is(node: Node, start: str, value: float) -> bool:
        text = (await node.get("/metrics")).body.decode()
        return any(
            line.startswith(start) and float(line.rpartition(" ")[2]) == value
            for line in text.splitlines()
        )

    asyncio.run(check())


def test_an_unknown_path_is_404_in_ollamas_form_under_one_label(lab: Lab) -> None:
    async def check() -> None:
        ollama = FakeOllama()
        async with ollama.running(), lab.assistant(ollama) as node:
            reply = await node.get("/wp-admin.php")
            assert (reply.status, reply.json) == (404, {"error": "Not Found"})
            assert reply.headers["X-Served-By"] == "agx0.assistant"
            assert (await node.get("/api/v1/chat")).status == 405
            assert await node.figure('assistant_requests_total{route="other",status="404"}') == 1

    asyncio.run(check())


def test_a_request_id_is_taken_over_or_made(lab: Lab) -> None:
    async def check() -> None:
        ollama = FakeOllama()
        async with ollama.running(), lab.assistant(ollama) as node:
            made = {(await node.get("/health")).headers["X-Request-Id"] for _ in "ab"}
            assert len(made) == 2
            for sent, taken in (("abc-1", True), ("a b", False), ("x" * 200, False)):
                headers = {"X-Request-Id": sent}
                async with node.session.get("/health", headers=headers) as response:
                    assert (response.headers["X-Request-Id"] == sent) is taken

    asyncio.run(check())


def test_one_line_a_request_and_no_word_of_what_was_said(
    lab: Lab, caplog: pytest.LogCaptureFixture
) -> None:
    async def check() -> None:
        ollama = FakeOllama(lines=chat_lines("spoken"))
        with caplog.at_level(logging.INFO):
            async with ollama.running(), lab.assistant(ollama) as node:
                headers = {"X-Request-Id": "request-7"}
                body = {"messages": [{"role": "user", "content": "whispered"}]}
                async with node.session.post("/api/v1/chat", json=body, headers=headers):
                    pass
                await node.get("/health")

    asyncio.run(check())
    lines = [json.loads(Lines().format(record)) for record in caplog.records]
    [told] = [line for line in lines if line["message"] == "answered"]
    assert (told["route"], told["status"], told["level"]) == ("chat", 200, "info")
    assert 0 < told["ms"] < 5000
    assert "spoken" not in str(lines)
    assert "whispered" not in str(lines)


def test_an_exception_is_logged_by_type_and_place_without_its_text() -> None:
    with pytest.raises(ValueError, match="invalid literal") as raised:
        int("what ada said")
    record = logging.LogRecord(
        "x", logging.ERROR, __file__, 1, "failed", (), (raised.type, raised.value, raised.tb)
    )
    line = json.loads(Lines().format(record))
    assert line["error"] == "ValueError"
    assert line["at"].startswith("test_state.py:")
    assert "ada" not in str(line)


def test_a_dead_dependency_is_tried_once_a_rest() -> None:
    async def check() -> None:
        now = 100.0
        circuit = Circuit("cache", rest_seconds=2, clock=lambda: now)
        tries = 0

        async def call(*, fails: bool) -> None:
            nonlocal tries
            async with circuit.call():
                tries += 1
                if fails:
                    raise ConnectionRefusedError

        for _ in range(5):
            with pytest.raises(Away, match=r"cache is away \(ConnectionRefusedError\)"):
                await call(fails=True)
        assert (tries, circuit.up) == (1, False)
        now = 102.5
        await call(fails=False)
        assert (tries, circuit.up) == (2, True)

    asyncio.run(check())


def test_a_call_that_hangs_is_away() -> None:
    async def check() -> None:
        circuit = Circuit("cache", limit_seconds=0.05)
        with pytest.raises(Away, match="TimeoutError"):
            async with circuit.call():
                await asyncio.sleep(5)
        assert not circuit.up

    asyncio.run(check())


def test_the_process_finishes_its_streams_flushes_and_logs_no_secret(
    lab: Lab, cluster: Postgres, database: str, cache: RedisServer
) -> None:
    async def check() -> None:
        ollama = FakeOllama(lines=chat_lines("spo", "ken"))
        lab.with_database(cluster, database).with_cache(cache)
        lab.told["objects"] = {
            "endpoint": "http://127.0.0.1:9",
            "access_key": "hidden-key-id",
            "secret_key": "hidden-key",
            "bucket": "pictures",
            "region": "us-east-1",
        }

        async def slow(place: int) -> None:
            await asyncio.sleep(0.4 if place else 0)

        ollama.before = slow
        async with ollama.running(), lab.process(ollama) as own:
            body = {"messages": [{"role": "user", "content": "whispered"}]}
            async with own.session.post("/api/v1/chat", json=body) as response:
                await response.content.readline()
                own.process.terminate()
                rest = await response.read()
            assert rest == b"".join(ollama.lines[1:])
            log = await own.log()
            assert own.process.returncode in {0, -15}
            lines = [json.loads(line) for line in log.splitlines()]
            assert any(line.get("route") == "chat" for line in lines)
            for secret in (PASSWORD, "hidden", "whispered", "spoken"):
                assert secret not in log
        connection = await cluster.connect(database)
        query = "SELECT content FROM messages ORDER BY at, ordinal"
        assert [row[0] for row in await connection.fetch(query)] == ["whispered", "spoken"]
        await connection.close()

    asyncio.run(check())


def test_wrong_settings_end_the_process_with_all_errors(lab: Lab) -> None:
    async def check() -> None:
        ollama = FakeOllama(url="nowhere")
        lab.told["database"] = {"host": "x", "password": "hidden"}
        with pytest.raises(AssertionError) as raised:
            async with lab.process(ollama):
                pass
        said = str(raised.value)
        assert "ollama.url: is wrong" in said
        assert "database.name: is missing" in said
        assert "hidden" not in said
        assert "Traceback" not in said

    asyncio.run(check())


def test_a_spool_that_cannot_be_written_ends_the_process_with_one_line(
    lab: Lab, cluster: Postgres, database: str
) -> None:
    async def check() -> None:
        ollama = FakeOllama(url="http://127.0.0.1:9")
        (lab.home / "agx0.assistant").write_text("a file in the way")
        lab.with_database(cluster, database)
        with pytest.raises(AssertionError) as raised:
            async with lab.process(ollama):
                pass
        said = str(raised.value)
        assert "agx0.assistant: cannot be written (File exists); mount a folder" in said
        assert "Traceback" not in said

    asyncio.run(check())


def test_the_description_of_the_api_names_every_route(lab: Lab) -> None:
    async def check() -> None:
        ollama = FakeOllama()
        async with ollama.running(), lab.assistant(ollama) as node:
            assert isinstance(node.session, aiohttp.ClientSession)
            paths = (await node.get("/openapi.json")).json["paths"]
            assert set(paths) == {
                *("/api/v1/chat", "/api/v1/code", "/api/v1/image", "/api/v1/image/{image_id}"),
                *("/api/v1/usage", "/api/version", "/api/tags", "/health", "/ready", "/metrics"),
            }

    asyncio.run(check())
