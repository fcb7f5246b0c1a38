"""Code: answered, kept, analysed where that can be."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

import aiohttp
import asyncpg
import pytest

from services.assistant.analysis import AnalysisError, SonarQube
from services.assistant.code import code_in
from services.assistant.settings import Analysis
from tests.services.assistants import Lab, eventually
from tests.services.fakes import FakeOllama, FakeSonarQube, code_lines
from tests.services.servers import Postgres

ANSWER = code_lines("Here:\n", "```py", "thon\nprint(1)\n", "```\n", "Done.")
LOGIN = {"user": "assistant", "password": "hidden-password"}
ACCOUNT = aiohttp.BasicAuth("assistant", "hidden-password")
SCANNER = """#!/bin/sh
set -eu
case "$SONAR_TOKEN" in hidden-token-*) ;; *) exit 8;; esac
case "$*" in *hidden*) exit 9;; esac
test "$SONAR_USER_HOME" = "$SPOOL/scanner"
cat snippet.* >> "$SCANNED"
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


@pytest.fixture
def scanner(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """A scanner on PATH; what it was given ends in the file `scanned`."""
    program = lab.home / "bin" / "pysonar"
    program.parent.mkdir()
    program.write_text(SCANNER)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("SCANNED", str(lab.home / "scanned"))
    monkeypatch.setenv("SPOOL", str(lab.home / "agx0.assistant"))


@pytest.mark.usefixtures("scanner")
def test_code_is_analysed_after_the_answer(lab: Lab, cluster: Postgres, database: str) -> None:
    async def check() -> None:
        ollama, sonarqube = FakeOllama(lines=ANSWER), FakeSonarQube(ACCOUNT)
        lab.with_database(cluster, database)
        async with ollama.running(), sonarqube.running():
            lab.told["analysis"] = {"url": sonarqube.url, **LOGIN}
            async with lab.assistant(ollama) as node:
                await node.post("/api/v1/code", {"prompt": "print one"})
                await eventually(lambda: _analysed(cluster, database))
        row = await _snippet(cluster, database)
        assert row is not None
        found = json.loads(row["analysis"])
        assert found["issues"][0]["rule"] == "python:S1"
        assert found["measures"] == {"bugs": "1"}
        assert row["analysed_at"] >= row["at"]
        assert (lab.home / "scanned").read_text() == "print(1)\n"

    asyncio.run(check())


@pytest.mark.usefixtures("scanner")
def test_a_token_serves_until_sonarqube_refuses_it(lab: Lab) -> None:
    async def check() -> None:
        sonarqube = FakeSonarQube(ACCOUNT)
        async with sonarqube.running(), aiohttp.ClientSession() as session:
            told = Analysis.model_validate({"url": sonarqube.url, **LOGIN})
            home = lab.home / "agx0.assistant"
            analyser = SonarQube(session, told, "agx0.assistant", home / "scanner")
            for _ in range(2):
                await analyser.analyse("x = 1", "python")
            assert sonarqube.made == 1
            sonarqube.refuses = True
            with pytest.raises(AnalysisError, match=r"did not answer \(401\)"):
                await analyser.analyse("x = 1", "python")
            await analyser.analyse("x = 1", "python")
            assert sonarqube.made == 2
            assert len(sonarqube.tokens) == 1

    asyncio.run(check())


@pytest.mark.usefixtures("scanner")
def test_without_sonarqube_code_is_answered_and_the_log_says_why_it_is_not_analysed(
    lab: Lab, cluster: Postgres, database: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def check() -> None:
        ollama = FakeOllama(lines=ANSWER)
        lab.with_database(cluster, database)
        lab.told["analysis"] = {"url": "http://127.0.0.1:9", **LOGIN}
        async with ollama.running(), lab.assistant(ollama) as node:
            reply = await node.post("/api/v1/code", {"prompt": "print one"})
            assert reply.body == b"".join(ANSWER)
            await eventually(lambda: "SonarQube did not answer" in caplog.text)
            assert await node.parts.recorder.settle(5)
        row = await _snippet(cluster, database)
        assert row is not None
        assert row["analysis"] is None
        assert "hidden" not in caplog.text

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
        lab.told["analysis"] = {"url": "http://127.0.0.1:9", **LOGIN}
        async with ollama.running(), lab.assistant(ollama) as node:
            await node.post("/api/v1/code", {"prompt": "print one"})
            await eventually(lambda: "pysonar is not on PATH" in caplog.text)
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
