"""The stand-in for SonarQube: the real scanner and the lab's own script work with it."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from components.homelab.sonarqube import accounts_script
from services.assistant.analysis import SonarQube
from services.assistant.settings import Analysis
from services.standins import judge
from services.standins.sonarqube import application
from tests.services.fakes import served

ADMIN, PASSWORD = "Admin-password-1", "Assistant-password-1"
FIRST = aiohttp.BasicAuth("admin", "admin")
# Enters no container: what it is given runs here, its paths and the port exchanged.
DOCKER = """#!/bin/sh
sed -e "s,/settings,$SETTINGS," -e "s,http://127.0.0.1:9000,$URL," | sh -s
"""
CODE = """\
def f(x):
    try:
        return x - x
    except:
        return None  # TODO
"""


@asynccontextmanager
async def _server(home: Path) -> AsyncIterator[str]:
    async with served(application(home)) as url:
        yield url


async def _run_script(home: Path, url: str) -> tuple[int, str]:
    """Runs the script that makes the accounts: its exit code, and what it printed."""
    (home / "admin").write_text(f"{ADMIN}\n")
    program = home / "bin" / "docker"
    program.parent.mkdir(exist_ok=True)
    program.write_text(DOCKER)
    program.chmod(0o755)
    done = await asyncio.to_thread(
        subprocess.run,
        ["sh"],
        input=accounts_script("sonarqube", {"assistant": PASSWORD}),
        env={"PATH": f"{program.parent}:{os.environ['PATH']}", "SETTINGS": str(home), "URL": url},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


async def _valid(session: aiohttp.ClientSession, url: str, login: str, password: str) -> bool:
    auth = aiohttp.BasicAuth(login, password)
    async with session.get(f"{url}/api/authentication/validate", auth=auth) as response:
        return bool((await response.json())["valid"])


async def _post(
    session: aiohttp.ClientSession, url: str, auth: aiohttp.BasicAuth, **form: str
) -> tuple[int, str]:
    async with session.post(url, data=form, auth=auth) as response:
        return response.status, await response.text()


def test_the_labs_script_makes_the_accounts_and_may_run_again(tmp_path: Path) -> None:
    async def check() -> None:
        async with _server(tmp_path) as url, aiohttp.ClientSession() as session:
            for _ in range(2):
                code, printed = await _run_script(tmp_path, url)
                assert code == 0, printed
                assert ADMIN not in printed
                assert PASSWORD not in printed
            assert await _valid(session, url, "admin", ADMIN)
            assert await _valid(session, url, "assistant", PASSWORD)
            assert not await _valid(session, url, "admin", "admin")
        async with _server(tmp_path) as again, aiohttp.ClientSession() as session:
            assert await _valid(session, again, "admin", ADMIN)

    asyncio.run(check())
    assert ADMIN not in (tmp_path / "simulated.json").read_text()


def test_the_script_says_what_to_do_where_it_does_not_know_the_administrators_password(
    tmp_path: Path,
) -> None:
    async def check() -> None:
        async with _server(tmp_path) as url, aiohttp.ClientSession() as session:
            form = {"login": "admin", "previousPassword": "admin", "password": "Another-pass-1"}
            assert (await _post(session, f"{url}/api/users/change_password", FIRST, **form))[0]
            code, printed = await _run_script(tmp_path, url)
        assert code == 1
        assert "sonarqube: admin has neither this site's password nor the first one" in printed

    asyncio.run(check())


def test_the_real_scanner_and_the_assistant_work_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")

    async def check() -> list[dict[str, Any]]:
        async with _server(tmp_path) as url, aiohttp.ClientSession() as session:
            await _run_script(tmp_path, url)
            told = {"url": url, "user": "assistant", "password": PASSWORD}
            analyser = SonarQube(
                session, Analysis.model_validate(told), "agx0.assistant", tmp_path / "scanner"
            )
            return [await analyser.analyse(code, "python") for code in (CODE, "x = 1\n")]

    flawed, sound = asyncio.run(check())
    assert {(issue["rule"], issue["line"]) for issue in flawed["issues"]} == {
        ("python:S1764", 3),
        ("python:S5754", 4),
        ("python:S1135", 5),
    }
    figures = {"bugs": "1", "vulnerabilities": "0", "code_smells": "2", "complexity": "1"}
    assert flawed["measures"] == {**figures, "ncloc": "5"}
    assert sound["issues"] == []


def test_nobody_without_an_account_learns_more_than_that_it_is_up(tmp_path: Path) -> None:
    async def check() -> None:
        async with _server(tmp_path) as url, aiohttp.ClientSession() as session:
            for path, status in {
                "system/status": 200,
                "system/health": 401,
                "issues/search?componentKeys=x": 401,
                "v2/analysis/engine": 401,
            }.items():
                async with session.get(f"{url}/api/{path}") as response:
                    assert response.status == status, path
            wrong = aiohttp.BasicAuth("assistant", "wrong")
            assert (await _post(session, f"{url}/api/users/create", wrong, login="x"))[0] == 401

    asyncio.run(check())


@pytest.mark.parametrize(
    ("password", "lacks"),
    [
        ("Short-1", "12 characters long"),
        ("all-lowercase-1", "one uppercase"),
        ("ALL-UPPERCASE-1", "one lowercase"),
        ("No-digit-at-all", "one digit"),
        ("NothingSpecial1", "one special"),
    ],
)
def test_it_is_as_particular_about_passwords_as_sonarqube(
    tmp_path: Path, password: str, lacks: str
) -> None:
    async def check() -> tuple[int, str]:
        async with _server(tmp_path) as url, aiohttp.ClientSession() as session:
            form = {"login": "admin", "previousPassword": "admin", "password": password}
            return await _post(session, f"{url}/api/users/change_password", FIRST, **form)

    status, body = asyncio.run(check())
    assert status == 400
    assert lacks in body


def test_a_tokens_name_is_taken_until_it_is_revoked(tmp_path: Path) -> None:
    async def check() -> list[int]:
        async with _server(tmp_path) as url, aiohttp.ClientSession() as session:
            asked = ("generate", "generate", "revoke", "generate")
            return [
                (await _post(session, f"{url}/api/user_tokens/{what}", FIRST, name="one"))[0]
                for what in asked
            ]

    assert asyncio.run(check()) == [200, 400, 204, 200]


def test_what_cannot_be_parsed_and_other_languages_are_judged_by_their_lines() -> None:
    broken = judge.judge({"snippet.py": "def f(:\n"})
    assert [(issue["rule"], issue["line"]) for issue in broken.issues] == [("python:S2260", 1)]
    other = judge.judge({"snippet.go": "// a comment\n\nfunc f() {}\n"})
    assert other.issues == []
    assert other.measures["ncloc"] == "1"
