"""SonarQube without Java: its accounts, tokens, scanner's engine and verdicts; a few rules.

The real scanner, `pysonar`, works with it: it is given a runtime and an engine by its server, and
here these are a script and a page of Python (engine), which send the sources to be judged (judge).
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import re
import secrets
import sys
import tarfile
import zipfile
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import aiohttp
from aiohttp import web

from services.standins import judge

VERSION = "25.9.0.0"
"""The scanner asks for an engine from 10.6 on."""
PORT = 9000
DATA = "SQ_DATA_DIR"
ADMIN = "admin"
ENGINE = Path(__file__).with_name("engine.py")
JAVA = "simulated/bin/java"
_RUN = """\
#!/bin/sh
# No Java: the engine, which is named last, is Python.
while [ $# -gt 1 ]; do shift; done
exec python3 "$1"
"""
_CLASSES = {"uppercase": "[A-Z]", "lowercase": "[a-z]", "digit": "[0-9]", "special": "[^A-Za-z0-9]"}
_LEAST_CHARACTERS = 12
_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>simulated SonarQube</title>
<p>This is <strong>not SonarQube</strong>: it is simulated here, by a stand-in that speaks its API
and knows a few rules. A lab on real boards runs SonarQube itself.</p></html>
"""

Answerer = Callable[[web.Request], Awaitable[web.StreamResponse]]


class RefusedError(Exception):
    """Says what is wrong with a request, as SonarQube does."""

    def __init__(self, status: int, message: str = "") -> None:
        self.status, self.message = status, message
        super().__init__(message)


@dataclass
class Accounts:
    """Who may do what; kept in a file, as SonarQube keeps it in its database.

    Args:
        file: where; made with the first account where it is not there.
    """

    file: Path
    passwords: dict[str, dict[str, str]] = field(default_factory=dict)
    tokens: dict[str, dict[str, str]] = field(default_factory=dict)
    """By digest: whose and its name."""

    def __post_init__(self) -> None:
        if self.file.is_file():
            kept = json.loads(self.file.read_text())
            self.passwords, self.tokens = kept["passwords"], kept["tokens"]
        else:
            self._set(ADMIN, ADMIN)

    def asker(self, request: web.Request) -> str | None:
        """Who asks; None without an account."""
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        if scheme == "Bearer":
            return self.tokens.get(_digest(given), {}).get("login")
        try:
            told = aiohttp.BasicAuth.decode(f"{scheme} {given}", "utf-8")
        except ValueError:
            return None
        return told.login if self.right(told.login, told.password) else None

    def right(self, login: str, password: str) -> bool:
        """Whether this is somebody's password."""
        kept = self.passwords.get(login)
        return kept is not None and secrets.compare_digest(
            kept["hash"], _hash(password, kept["salt"])
        )

    def set_password(self, login: str, password: str) -> None:
        """Give somebody a password, which has to be a good one."""
        if len(password) < _LEAST_CHARACTERS:
            raise RefusedError(
                400, f"Password must be at least {_LEAST_CHARACTERS} characters long"
            )
        for name, characters in _CLASSES.items():
            if not re.search(characters, password):
                raise RefusedError(400, f"Password must contain at least one {name} character")
        self._set(login, password)

    def new_token(self, login: str, name: str) -> str:
        """A token, told only now."""
        if {"login": login, "name": name} in self.tokens.values():
            raise RefusedError(
                400, f"A user token for login '{login}' and name '{name}' already exists"
            )
        token = f"squ_{secrets.token_hex(20)}"
        self.tokens[_digest(token)] = {"login": login, "name": name}
        self._keep()
        return token

    def revoke(self, login: str, name: str) -> None:
        """Forget a token, if there is one."""
        gone = {"login": login, "name": name}
        self.tokens = {digest: kept for digest, kept in self.tokens.items() if kept != gone}
        self._keep()

    def _set(self, login: str, password: str) -> None:
        salt = secrets.token_hex(16)
        self.passwords[login] = {"salt": salt, "hash": _hash(password, salt)}
        self._keep()

    def _keep(self) -> None:
        written = self.file.with_suffix(".new")
        written.touch(0o600)
        written.write_text(json.dumps({"passwords": self.passwords, "tokens": self.tokens}))
        written.replace(self.file)


def _hash(password: str, salt: str) -> str:
    return hashlib.scrypt(password.encode(), salt=bytes.fromhex(salt), n=4096, r=8, p=1).hex()


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


@dataclass
class Server:
    """What the routes share.

    Attributes:
        verdicts: by project, of its last analysis.
        tasks: the project by a task's id.
    """

    accounts: Accounts
    verdicts: dict[str, judge.Verdict] = field(default_factory=dict)
    tasks: dict[str, str] = field(default_factory=dict)

    def verdict(self, project: str) -> judge.Verdict:
        """A project's last one."""
        if project not in self.verdicts:
            raise RefusedError(404, f"Component key '{project}' not found")
        return self.verdicts[project]

    def take(self, project: str, report: bytes) -> str:
        """Judge what a scanner sent: the task's id."""
        try:
            with zipfile.ZipFile(io.BytesIO(report)) as archive:
                sources = {name: archive.read(name).decode() for name in archive.namelist()}
        except (zipfile.BadZipFile, UnicodeDecodeError) as error:
            raise RefusedError(400, "the report is no archive of sources") from error
        self.verdicts[project] = judge.judge(sources)
        task = str(uuid4())
        self.tasks[task] = project
        return task


def application(data: Path) -> web.Application:
    """SonarQube's API.

    Args:
        data: a folder that outlives the process.
    """
    server = Server(Accounts(data / "simulated.json"))
    app = web.Application(middlewares=[_refusals], client_max_size=64 * 1024**2)
    for add in (_open_routes, _account_routes, _scanner_routes, _verdict_routes):
        add(app, server)
    return app


@web.middleware
async def _refusals(request: web.Request, handler: Answerer) -> web.StreamResponse:
    """A refusal in SonarQube's own form."""
    try:
        return await handler(request)
    except RefusedError as error:
        if not error.message:
            return web.Response(status=error.status)
        return web.json_response({"errors": [{"msg": error.message}]}, status=error.status)


def _open_routes(app: web.Application, server: Server) -> None:
    async def page(_request: web.Request) -> web.Response:
        """What this is."""
        return web.Response(text=_PAGE, content_type="text/html")

    async def status(_request: web.Request) -> web.Response:
        """It is up."""
        return web.json_response({"id": "simulated", "version": VERSION, "status": "UP"})

    async def validate(request: web.Request) -> web.Response:
        """Whether somebody with an account asks."""
        return web.json_response({"valid": server.accounts.asker(request) is not None})

    async def health(request: web.Request) -> web.Response:
        """It is well; for the administrator."""
        _require(server.accounts, request, administrator=True)
        return web.json_response({"health": "GREEN", "causes": []})

    app.router.add_get("/", page)
    app.router.add_get("/api/system/status", status)
    app.router.add_get("/api/system/health", health)
    app.router.add_get("/api/authentication/validate", validate)


def _account_routes(app: web.Application, server: Server) -> None:
    accounts = server.accounts

    async def change_password(request: web.Request) -> web.Response:
        """One's own, with the one before; anybody's as the administrator."""
        asker, form = _require(accounts, request), await _form(request, "login", "password")
        login = form["login"]
        if asker == login:
            if not accounts.right(login, form.get("previousPassword", "")):
                raise RefusedError(400, "Incorrect password")
        elif asker != ADMIN:
            raise RefusedError(403, "Insufficient privileges")
        elif login not in accounts.passwords:
            raise RefusedError(404, f"User with login '{login}' has not been found")
        accounts.set_password(login, form["password"])
        return web.Response(status=204)

    async def create(request: web.Request) -> web.Response:
        """An account."""
        _require(accounts, request, administrator=True)
        form = await _form(request, "login", "name", "password")
        if form["login"] in accounts.passwords:
            raise RefusedError(400, f"An active user with login '{form['login']}' already exists")
        accounts.set_password(form["login"], form["password"])
        user = {"login": form["login"], "name": form["name"], "active": True, "local": True}
        return web.json_response({"user": user})

    async def generate(request: web.Request) -> web.Response:
        """A token for who asks."""
        login, form = _require(accounts, request), await _form(request, "name")
        token = accounts.new_token(login, form["name"])
        return web.json_response({"login": login, "name": form["name"], "token": token})

    async def revoke(request: web.Request) -> web.Response:
        """Its end."""
        login, form = _require(accounts, request), await _form(request, "name")
        accounts.revoke(login, form["name"])
        return web.Response(status=204)

    app.router.add_post("/api/users/change_password", change_password)
    app.router.add_post("/api/users/create", create)
    app.router.add_post("/api/user_tokens/generate", generate)
    app.router.add_post("/api/user_tokens/revoke", revoke)


def _scanner_routes(app: web.Application, server: Server) -> None:
    runtime = _archive(JAVA, _RUN)
    told = {
        "id": "simulated",
        "filename": "simulated-runtime.tar.gz",
        "sha256": hashlib.sha256(runtime).hexdigest(),
        "javaPath": JAVA,
    }
    program = ENGINE.read_bytes()

    async def version(_request: web.Request) -> web.Response:
        """By which the scanner chooses how it gets its engine."""
        return web.Response(text=VERSION)

    async def runtimes(request: web.Request) -> web.Response:
        """The one that there is, for any machine."""
        _require(server.accounts, request)
        asked = {name: request.query.get(name, "") for name in ("os", "arch")}
        return web.json_response([{**told, **asked}])

    async def runtime_file(request: web.Request) -> web.Response:
        """That runtime."""
        _require(server.accounts, request)
        return web.Response(body=runtime, content_type="application/octet-stream")

    async def engine(request: web.Request) -> web.Response:
        """The engine, or what it is called."""
        _require(server.accounts, request)
        if "json" not in request.headers.get("Accept", ""):
            return web.Response(body=program, content_type="application/octet-stream")
        digest = hashlib.sha256(program).hexdigest()
        return web.json_response({"filename": "simulated-engine.jar", "sha256": digest})

    async def submit(request: web.Request) -> web.Response:
        """Take what an engine found."""
        _require(server.accounts, request)
        project, form = request.query.get("projectKey", ""), await request.post()
        report = form.get("report")
        if not project or not isinstance(report, web.FileField):
            raise RefusedError(400, "The 'projectKey' parameter and a 'report' are needed")
        task = server.take(project, report.file.read())
        return web.json_response({"taskId": task, "projectId": project})

    app.router.add_get("/api/v2/analysis/version", version)
    app.router.add_get("/api/v2/analysis/jres", runtimes)
    app.router.add_get("/api/v2/analysis/jres/simulated", runtime_file)
    app.router.add_get("/api/v2/analysis/engine", engine)
    app.router.add_post("/api/ce/submit", submit)


def _verdict_routes(app: web.Application, server: Server) -> None:
    async def task(request: web.Request) -> web.Response:
        """A task; all are done at once."""
        _require(server.accounts, request)
        known = request.query.get("id", "")
        if known not in server.tasks:
            raise RefusedError(404, f"No activity found for task '{known}'")
        told = {"id": known, "componentKey": server.tasks[known], "status": "SUCCESS"}
        return web.json_response({"task": told})

    async def issues(request: web.Request) -> web.Response:
        """What is wrong with a project."""
        _require(server.accounts, request)
        project = request.query.get("componentKeys", "")
        found = server.verdict(project).issues
        listed = [{**issue, "project": project, "status": "OPEN"} for issue in found]
        return web.json_response({"total": len(listed), "issues": listed})

    async def measures(request: web.Request) -> web.Response:
        """A project in figures."""
        _require(server.accounts, request)
        project = request.query.get("component", "")
        figures = server.verdict(project).measures
        asked = request.query.get("metricKeys", "").split(",")
        listed = [{"metric": key, "value": figures[key]} for key in asked if key in figures]
        return web.json_response({"component": {"key": project, "measures": listed}})

    app.router.add_get("/api/ce/task", task)
    app.router.add_get("/api/issues/search", issues)
    app.router.add_get("/api/measures/component", measures)


def _require(accounts: Accounts, request: web.Request, *, administrator: bool = False) -> str:
    """Who asks; nobody else is answered."""
    login = accounts.asker(request)
    if login is None:
        raise RefusedError(401)
    if administrator and login != ADMIN:
        raise RefusedError(403, "Insufficient privileges")
    return login


async def _form(request: web.Request, *needed: str) -> Mapping[str, str]:
    """The fields of a form."""
    found = {name: str(value) for name, value in (await request.post()).items()}
    for name in needed:
        if not found.get(name):
            raise RefusedError(400, f"The '{name}' parameter is missing")
    return found


def _archive(name: str, program: str) -> bytes:
    """A program in an archive, the same each time: scanners keep it by its digest."""
    entry = tarfile.TarInfo(name)
    entry.mode, entry.size = 0o755, len(program)
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        archive.addfile(entry, io.BytesIO(program.encode()))
    return gzip.compress(content.getvalue(), mtime=0)


def main() -> int:
    """Serve until told to stop; the exit code."""
    data = Path(os.environ.get(DATA, "/opt/sonarqube/data"))
    sys.stdout.write(f"simulated SonarQube on port {PORT}\n")
    web.run_app(application(data), port=PORT, print=None, access_log=None)
    return 0


if __name__ == "__main__":
    sys.exit(main())
