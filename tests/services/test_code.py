"""Code: answered, kept, analysed where that can be."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

import asyncpg
import pytest

from services.assistant.code import code_in
from tests.services.assistants import Lab, eventually
from tests.services.fakes import FakeOllama, FakeSonarQube, code_lines
from tests.services.servers import Postgres

ANSWER = code_lines("Here:\n", "```py", "thon\nprint(1)\n", "```\n", "Done.")
SCANNER = """#!/bin/sh
set -eu
test "$SONAR_TOKEN" = hidden-token
case "$*" in *hidden-token*) exit 9;; esac
cat snippet.* > "$SCANNED"
mkdir .scannerwork
echo ceTaskId=task-1 > .scannerwork/report-task.txt
"""


async def _snippet(cluster: Postgres, database: str) -> asyncpg.Record | None:
    connection = await cluster.connect(database)
    try:
        return await connection.fetchrow("SELECT * FROM code_snippets")
    finally:
        await connection.close()


def test_code_is_answered_by_the_code_model_and_kept(
    lab: Lab, cluster: Postgres, database: str
) -> None:
    async def check() -> None:
        ollama = FakeOllama(lines=ANSWER)
        lab.with_database(cluster, database)
        async with ollama.running(), lab.assistant(ollama) as node:
            reply = await node.post("/api/v1/code", {"prompt": "print one"})
            assert reply.body == b"".join(ANSWER)
            assert ollama.bodies == [{"prompt": "print one", "model": "codellama:34b"}]
            assert await node.parts.recorder.settle(5)
        row = await _snippet(cluster, database)
        assert row is not None
        assert str(row["id"]) == reply.headers["X-Snippet-Id"]
        assert (row["prompt"], row["model"]) == ("print one", "codellama:34b")
        assert (row["code"], row["language"]) == ("print(1)\n", "python")
        assert row["answer"].endswith("Done.")
        assert (row["prompt_tokens"], row["generated_tokens"]) == (7, 5)
        assert row["analysis"] is None

    asyncio.run(check())


def test_code_is_analysed_after_the_answer(
    lab: Lab, cluster: Postgres, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    scanner = lab.home / "bin" / "sonar-scanner"
    scanner.parent.mkdir()
    scanner.write_text(SCANNER)
    scanner.chmod(0o755)
    monkeypatch.setenv("PATH", f"{scanner.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("SCANNED", str(lab.home / "scanned"))

    async def check() -> None:
        ollama, sonarqube = FakeOllama(lines=ANSWER), FakeSonarQube()
        lab.with_database(cluster, database)
        async with ollama.running(), sonarqube.running():
            lab.told["analysis"] = {"url": sonarqube.url, "token": "hidden-token"}
            async with lab.assistant(ollama) as node:
                await node.post("/api/v1/code", {"prompt": "print one"})
                await eventually(lambda: _analysed(cluster, database))
        row = await _snippet(cluster, database)
        assert row is not None
        found = json.loads(row["analysis"])
        assert found["issues"][0]["rule"] == "python:S1"
        assert found["measures"] == {"bugs": "1"}
        assert row["analysed_at"] >= row["at"]
        assert sonarqube.tokens == ["Bearer hidden-token"]
        assert (lab.home / "scanned").read_text() == "print(1)\n"

    asyncio.run(check())


async def _analysed(cluster: Postgres, database: str) -> bool:
    row = await _snippet(cluster, database)
    return row is not None and row["analysis"] is not None


def test_without_a_scanner_the_analysis_stays_null_and_the_log_says_why(
    lab: Lab,
    cluster: Postgres,
    database: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr("shutil.which", _nowhere)

    async def check() -> None:
        ollama = FakeOllama(lines=ANSWER)
        lab.with_database(cluster, database)
        lab.told["analysis"] = {"url": "http://127.0.0.1:9", "token": "hidden-token"}
        async with ollama.running(), lab.assistant(ollama) as node:
            await node.post("/api/v1/code", {"prompt": "print one"})
            await eventually(lambda: "sonar-scanner is not on PATH" in caplog.text)
            assert await node.parts.recorder.settle(5)
        row = await _snippet(cluster, database)
        assert row is not None
        assert row["analysis"] is None

    asyncio.run(check())


def _nowhere(_name: str) -> Path | None:
    return None


@pytest.mark.parametrize(
    ("answer", "code", "language"),
    [
        ("x = 1", "x = 1", None),
        ("```\nx\n```", "x\n", None),
        ("A\n```C++\nint i;\n```\nB\n```\nj;\n```", "int i;\n\nj;\n", "c++"),
        ("```go\nunfinished", "unfinished", "go"),
    ],
)
def test_the_code_in_an_answer_is_its_fenced_blocks(
    answer: str, code: str, language: str | None
) -> None:
    assert code_in(answer) == (code, language)
