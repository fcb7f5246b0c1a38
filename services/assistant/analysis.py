"""What SonarQube finds in generated code, asked for after the answer."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import shutil
import signal
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import aiohttp

from services.assistant.delivery import Recorder
from services.assistant.records import Record, Snippet, Verdict
from services.assistant.settings import Analysis

_WAITING_LIMIT = 100
_SCANNER = "pysonar"
# Of a program that reads a page of code: the rest of the container's memory is the assistant's.
_JAVA_OPTIONS = "-Xmx256m -XX:+UseSerialGC -XX:TieredStopAtLevel=1"
_SCAN_SECONDS = 180.0
_TASK_SECONDS = 120.0
_POLL_SECONDS = 0.5
_ANSWER = aiohttp.ClientTimeout(total=10)
_UNFINISHED = frozenset({"PENDING", "IN_PROGRESS"})
_METRICS = "bugs,vulnerabilities,code_smells,complexity,ncloc"
_SUFFIXES = {
    "python": "py",
    "javascript": "js",
    "typescript": "ts",
    "java": "java",
    "go": "go",
    "c": "c",
    "cpp": "cpp",
    "c++": "cpp",
    "csharp": "cs",
    "c#": "cs",
    "php": "php",
    "ruby": "rb",
    "kotlin": "kt",
    "bash": "sh",
    "sh": "sh",
    "sql": "sql",
    "html": "html",
    "css": "css",
}
_LOG = logging.getLogger(__name__)


class AnalysisError(Exception):
    """There is no verdict; says why, without code or secrets."""


class Analyser(Protocol):
    """Something that judges code."""

    async def analyse(self, code: str, language: str | None) -> dict[str, Any]:
        """Judge it: a JSON object.

        Raises:
            AnalysisError: there is no verdict.
        """


class Analyses:
    """Snippets that wait for their analysis, one at a time.

    Args:
        analyser: None where there is none: a snippet's analysis stays null.
    """

    def __init__(self, analyser: Analyser | None, recorder: Recorder) -> None:
        self._analyser = analyser
        self._recorder = recorder
        self._waiting: asyncio.Queue[tuple[str, Snippet]] = asyncio.Queue(_WAITING_LIMIT)

    def ask(self, consumer: str, snippet: Snippet) -> None:
        """Have a snippet analysed some time later; with too many waiting it is not."""
        if self._analyser is None:
            return
        try:
            self._waiting.put_nowait((consumer, snippet))
        except asyncio.QueueFull:
            _LOG.warning("a snippet is not analysed: %d wait already", _WAITING_LIMIT)

    async def run(self) -> None:
        """Analyse what comes, for ever."""
        while self._analyser is not None:
            consumer, snippet = await self._waiting.get()
            try:
                found = await self._analyser.analyse(snippet.code, snippet.language)
            except AnalysisError as error:
                _LOG.warning("a snippet is not analysed: %s", error)
                continue
            verdict = Verdict(snippet=snippet.id, analysis=found)
            self._recorder.keep(Record(consumer=consumer, verdict=verdict))


class SonarQube:
    """SonarQube takes code only from its scanner, `pysonar`, which must be on PATH.

    The scanner has the server give it a Java runtime and the rules, and keeps them. All snippets of
    one assistant are one project there, analysed one after another; what was found is read back
    before the next begins.

    Args:
        cache: where the scanner keeps what it was given; programs in it are run.
    """

    def __init__(
        self, session: aiohttp.ClientSession, analysis: Analysis, name: str, cache: Path
    ) -> None:
        self._session = session
        self._url = analysis.url
        self._account = aiohttp.BasicAuth(analysis.user, analysis.password.get_secret_value())
        self._project = "snippets." + re.sub(r"[^\w.-]", "-", name)
        self._cache = cache
        self._token: str | None = None

    async def analyse(self, code: str, language: str | None) -> dict[str, Any]:
        """Scan it, wait for the server, read issues and measures."""
        scanner = shutil.which(_SCANNER)
        if scanner is None:
            raise AnalysisError(f"{_SCANNER} is not on PATH; install it in the image")
        try:
            return await self._analysed(scanner, code, language)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise AnalysisError(f"SonarQube did not answer ({_told(error)})") from error

    async def _analysed(self, scanner: str, code: str, language: str | None) -> dict[str, Any]:
        token = self._token or await self._new_token()
        # Another one is made unless this one serves to the end: it may have been revoked.
        self._token = None
        with tempfile.TemporaryDirectory() as folder:
            suffix = _SUFFIXES.get(language or "python", "txt")
            source = Path(folder, f"snippet.{suffix}")
            await asyncio.to_thread(source.write_text, code, "utf-8", "replace")
            await self._scan(scanner, Path(folder), token)
            task = _task(Path(folder))
        async with asyncio.timeout(_TASK_SECONDS):
            found = await self._verdict(task, token)
        self._token = token
        return found

    async def _new_token(self) -> str:
        """A token in place of the last one of its name: the server tells each only once."""
        name = {"name": self._project}
        await self._post("user_tokens/revoke", name)
        return str((await self._post("user_tokens/generate", name))["token"])

    async def _scan(self, scanner: str, folder: Path, token: str) -> None:
        process = await asyncio.create_subprocess_exec(
            scanner,
            f"-Dsonar.projectKey={self._project}",
            "-Dsonar.sources=.",
            "-Dsonar.scm.disabled=true",
            cwd=folder,
            # In the environment, because a command line can be read by others.
            env={
                **os.environ,
                "SONAR_HOST_URL": self._url,
                "SONAR_TOKEN": token,
                "SONAR_USER_HOME": str(self._cache),
                "SONAR_SCANNER_JAVA_OPTS": _JAVA_OPTIONS,
            },
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            # With the program that it starts it is a group, and ends as one.
            start_new_session=True,
        )
        try:
            async with asyncio.timeout(_SCAN_SECONDS):
                code = await process.wait()
        except TimeoutError:
            raise AnalysisError(f"the scanner took over {_SCAN_SECONDS:.0f} s") from None
        finally:
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
        if code:
            raise AnalysisError(f"the scanner failed (exit code {code})")

    async def _verdict(self, task: str, token: str) -> dict[str, Any]:
        # Another machine's task: nothing here could be waited for.
        while (status := await self._status(task, token)) in _UNFINISHED:  # noqa: ASYNC110
            await asyncio.sleep(_POLL_SECONDS)
        if status != "SUCCESS":
            raise AnalysisError(f"SonarQube's task ended as {status}")
        issues = await self._get(
            "issues/search",
            {"componentKeys": self._project, "resolved": "false", "ps": "100"},
            token,
        )
        measures = await self._get(
            "measures/component", {"component": self._project, "metricKeys": _METRICS}, token
        )
        return {
            "issues": [_issue(issue) for issue in issues.get("issues", [])],
            "measures": {
                measure["metric"]: measure.get("value")
                for measure in measures.get("component", {}).get("measures", [])
            },
        }

    async def _status(self, task: str, token: str) -> str:
        return str((await self._get("ce/task", {"id": task}, token))["task"]["status"])

    async def _get(self, name: str, params: Mapping[str, str], token: str) -> dict[str, Any]:
        async with self._session.get(
            f"{self._url}/api/{name}",
            params=params,
            headers={"Authorization": f"Bearer {token}"},
            timeout=_ANSWER,
            raise_for_status=True,
        ) as response:
            return dict(await response.json())

    async def _post(self, name: str, form: Mapping[str, str]) -> dict[str, Any]:
        async with self._session.post(
            f"{self._url}/api/{name}",
            data=form,
            auth=self._account,
            timeout=_ANSWER,
            raise_for_status=True,
        ) as response:
            return dict(await response.json()) if await response.read() else {}


def _told(error: Exception) -> str:
    """What went wrong, without an address: `401`, or the error's kind."""
    return str(getattr(error, "status", type(error).__name__))


def _task(folder: Path) -> str:
    """The id of the server's task, from the report that a scanner leaves."""
    for report in folder.rglob("report-task.txt"):
        for line in report.read_text("utf-8").splitlines():
            if line.startswith("ceTaskId="):
                return line.removeprefix("ceTaskId=")
    raise AnalysisError("the scanner left no report-task.txt")


def _issue(issue: Mapping[str, Any]) -> dict[str, Any]:
    return {name: issue.get(name) for name in ("rule", "severity", "type", "line", "message")}
