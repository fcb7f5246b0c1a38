"""Grafana without its editor and graphs: the same files, account and API, real figures.

Reads what Grafana is provisioned with, asks the same data sources, and shows what each panel
comes to now as a plain page, which says that it is simulated.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import os
import re
import secrets
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import parse_qs

import aiohttp
import uvicorn
from fastapi import FastAPI, Query
from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest
from starlette.middleware.base import RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from services.standins import page
from services.standins.asking import Asker, Span, Unanswered, moment
from services.standins.kept import FILE, Kept
from services.standins.provisioned import (
    Dashboard,
    DataSource,
    Provisioned,
    ProvisioningError,
    read,
)

VERSION = "simulated"
PORT = 3000
COOKIE = "grafana_session"
_SESSION_SECONDS = 7 * 86400
_SOURCE_SECONDS = 20
_OPEN = ("/api/health", "/metrics", "/login")
_CHOICE = re.compile(r"label_values\(\s*(\w+)\s*,\s*(\w+)\s*\)")
_KEPT_HEADERS = ("content-type", "accept")


@dataclass(frozen=True, slots=True)
class Settings:
    """What Grafana's own variables tell.

    Attributes:
        secure_cookie: whether sessions are for TLS only.
        data: the folder that outlives the process.
    """

    provisioning: Path
    user: str
    password: str
    secure_cookie: bool
    data: Path

    @classmethod
    def of(cls, told: Mapping[str, str]) -> Settings:
        """Read the variables, and the file of the password."""
        return cls(
            Path(told.get("GF_PATHS_PROVISIONING", "/etc/grafana/provisioning")),
            told.get("GF_SECURITY_ADMIN_USER", "admin"),
            Path(told["GF_SECURITY_ADMIN_PASSWORD__FILE"]).read_text().strip(),
            told.get("GF_SECURITY_COOKIE_SECURE", "false") == "true",
            Path(told.get("GF_PATHS_DATA", "/var/lib/grafana")),
        )


@dataclass
class Sessions:
    """Who is logged in: until when, by the cookie's value; lost with the process."""

    settings: Settings
    until: dict[str, float] = field(default_factory=dict)

    def right(self, user: str, password: str) -> bool:
        """Whether this is the account."""
        given = f"{user}:{password}".encode()
        wanted = f"{self.settings.user}:{self.settings.password}".encode()
        return secrets.compare_digest(given, wanted)

    def begin(self) -> str:
        """A new session's cookie."""
        now = time.monotonic()
        self.until = {key: end for key, end in self.until.items() if end > now}
        token = secrets.token_urlsafe(32)
        self.until[token] = now + _SESSION_SECONDS
        return token

    def end(self, request: Request) -> None:
        """Forget the request's session."""
        self.until.pop(request.cookies.get(COOKIE, ""), None)

    def knows(self, request: Request) -> bool:
        """Whether a request comes from somebody who is logged in."""
        if self.until.get(request.cookies.get(COOKIE, ""), 0) > time.monotonic():
            return True
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "basic":
            return False
        try:
            user, _, password = base64.b64decode(given, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return False
        return self.right(user, password)


@dataclass
class Grafana:
    """What the routes share.

    Args:
        settings: what it is told.
        told: what is provisioned.
    """

    settings: Settings
    told: Provisioned
    sessions: Sessions
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    _session: aiohttp.ClientSession | None = None

    def __post_init__(self) -> None:
        self.kept = Kept(self.settings.data / FILE)
        self.requests = Counter(
            "grafana_http_request",
            "Answers given.",
            ("method", "status_code"),
            registry=self.registry,
        )
        Gauge(
            "grafana_build_info", "What runs.", ("version", "edition"), registry=self.registry
        ).labels(VERSION, "simulated").set(1)
        for name, number in (
            ("dashboards", len(self.told.dashboards)),
            ("datasources", len(self.told.sources)),
        ):
            Gauge(f"grafana_stat_totals_{name}", "Provisioned.", registry=self.registry).set(number)

    @asynccontextmanager
    async def running(self, _app: FastAPI) -> AsyncIterator[None]:
        """It asks data sources while this is entered."""
        timeout = aiohttp.ClientTimeout(total=_SOURCE_SECONDS, connect=3)
        async with aiohttp.ClientSession(timeout=timeout) as self._session:
            yield

    @property
    def session(self) -> aiohttp.ClientSession:
        """For questions to data sources."""
        if self._session is None:
            raise RuntimeError("it does not run")
        return self._session

    @property
    def folders(self) -> dict[str, dict[str, str]]:
        """All folders by uid; those of provisioned dashboards have their title's."""
        titles = {found.folder for found in self.told.dashboards.values() if found.folder}
        provisioned = {
            _slug(title): {"uid": _slug(title), "title": title, "parentUid": ""}
            for title in sorted(titles)
        }
        return {**provisioned, **self.kept.folders}

    @property
    def dashboards(self) -> dict[str, Dashboard]:
        """All dashboards by uid: those of files, then what people made."""
        made = {
            uid: Dashboard(
                self.folders.get(found["folderUid"], {}).get("title", ""), found["dashboard"]
            )
            for uid, found in self.kept.dashboards.items()
        }
        return {**made, **self.told.dashboards}

    def folder_of(self, uid: str) -> str:
        """The uid of the folder that a dashboard is in; empty where it is in none."""
        if uid in self.told.dashboards:
            return _slug(self.told.dashboards[uid].folder)
        return str(self.kept.dashboards[uid]["folderUid"])

    @property
    def frame(self) -> page.Page:
        """What every page has."""
        links = [(uid, found.title) for uid, found in self.dashboards.items()]
        return page.Page([source.name for source in self.told.sources.values()], links)

    async def table(self, dashboard: Dashboard, wanted: Mapping[str, str]) -> page.Table:
        """A dashboard with what each panel comes to now."""
        asker = Asker(self.session)
        choices = await self._choices(asker, dashboard, wanted)
        chosen = {choice.name: choice.chosen for choice in choices}
        rows = [self._row(asker, panel, chosen) for panel in dashboard.panels]
        return page.Table(dashboard.uid, dashboard.title, choices, await asyncio.gather(*rows))

    async def _choices(
        self, asker: Asker, dashboard: Dashboard, wanted: Mapping[str, str]
    ) -> list[page.Choice]:
        found = []
        for variable in (dashboard.document.get("templating") or {}).get("list") or []:
            asked = _CHOICE.fullmatch(str(variable.get("query", "")))
            source = self.told.sources.get((variable.get("datasource") or {}).get("uid", ""))
            if asked is None or source is None:
                continue
            try:
                values = sorted(await asker.labels(source, asked[2], asked[1]))
            except Unanswered:
                values = []
            name = str(variable["name"])
            chosen = wanted.get(f"var-{name}", "")
            first = next(iter(values), "")
            found.append(page.Choice(name, values, chosen if chosen in values else first))
        return found

    async def _row(
        self, asker: Asker, panel: Mapping[str, Any], chosen: Mapping[str, str]
    ) -> page.RowOfPage:
        title = str(panel.get("title", ""))
        if panel.get("type") == "row":
            return page.RowOfPage(title, heading=True)
        unit = str((panel.get("fieldConfig") or {}).get("defaults", {}).get("unit", ""))
        source = self.told.sources.get((panel.get("datasource") or {}).get("uid", ""))
        if source is None:
            return page.RowOfPage(title, unit=unit, fault="its data source is not provisioned")
        try:
            values = [
                value
                for target in panel.get("targets") or []
                for value in await asker.values(source, target, chosen)
                if value.number is not None or value.text
            ]
        except Unanswered as error:
            return page.RowOfPage(title, unit=unit, fault=str(error))
        return page.RowOfPage(title, unit=unit, values=values)


def application(settings: Settings) -> FastAPI:
    """Grafana's API and the pages.

    Raises:
        ProvisioningError: a provisioned file cannot be used.
    """
    grafana = Grafana(settings, read(settings.provisioning), Sessions(settings))
    app = FastAPI(
        title="simulated Grafana",
        version=VERSION,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        lifespan=grafana.running,
    )
    _guard(app, grafana)
    _account(app, grafana)
    _found(app, grafana)
    _made(app, grafana)
    _saved(app, grafana)
    _data(app, grafana)
    _pages(app, grafana)
    return app


def _guard(app: FastAPI, grafana: Grafana) -> None:
    @app.middleware("http")
    async def admit(request: Request, answer: RequestResponseEndpoint) -> Response:
        """Nobody without an account sees more than whether it is well."""
        path = request.url.path
        if path in _OPEN or grafana.sessions.knows(request):
            response = await answer(request)
        elif path.startswith("/api/"):
            response = JSONResponse({"message": "Unauthorized"}, 401)
        else:
            response = RedirectResponse("/login", 302)
        grafana.requests.labels(request.method, response.status_code).inc()
        return response


def _account(app: FastAPI, grafana: Grafana) -> None:
    @app.get("/api/health")
    async def health() -> dict[str, str]:
        """It answers."""
        return {"database": "ok", "version": VERSION, "commit": "simulated"}

    @app.get("/metrics")
    async def metrics() -> Response:
        """For Prometheus."""
        text = generate_latest(grafana.registry)
        return Response(text, media_type="text/plain; version=0.0.4")

    @app.get("/login")
    async def form() -> HTMLResponse:
        """The page to log in on."""
        return HTMLResponse(page.login(grafana.frame))

    @app.post("/login")
    async def login(request: Request) -> Response:
        """Begin a session, asked by a program or by the page's form."""
        by_form = "json" not in request.headers.get("content-type", "")
        given = _given(await request.body(), by_form=by_form)
        if not grafana.sessions.right(given.get("user", ""), given.get("password", "")):
            fault = "Invalid username or password"
            if by_form:
                return HTMLResponse(page.login(grafana.frame, fault), 401)
            return JSONResponse({"message": fault}, 401)
        told = {"message": "Logged in", "redirectUrl": "/"}
        response = RedirectResponse("/", 303) if by_form else JSONResponse(told)
        response.set_cookie(
            COOKIE,
            grafana.sessions.begin(),
            max_age=_SESSION_SECONDS,
            secure=grafana.settings.secure_cookie,
            httponly=True,
            samesite="lax",
        )
        return response

    @app.get("/logout")
    async def logout(request: Request) -> Response:
        """End the session."""
        grafana.sessions.end(request)
        response = RedirectResponse("/login", 302)
        response.delete_cookie(COOKIE)
        return response


def _given(body: bytes, *, by_form: bool) -> dict[str, str]:
    """User and password out of a body; empty where it has none."""
    try:
        if by_form:
            return {name: values[0] for name, values in parse_qs(body.decode()).items()}
        document = json.loads(body)
    except ValueError:
        return {}
    return {k: str(v) for k, v in document.items()} if isinstance(document, dict) else {}


def _found(app: FastAPI, grafana: Grafana) -> None:
    @app.get("/api/search")
    async def search(
        query: str = "",
        tag: str = "",
        type: str = "",  # noqa: A002 - Grafana's name
        limit: int = 1000,
        page: int = 1,
    ) -> list[dict[str, Any]]:
        """The folders and dashboards by title and tag."""
        found = [
            {"id": 0, "uid": uid, "title": folder["title"], "type": "dash-folder", "tags": []}
            for uid, folder in grafana.folders.items()
            if not tag
        ]
        found += [
            {
                "id": number,
                "uid": dashboard.uid,
                "title": dashboard.title,
                "uri": f"db/{_slug(dashboard.title)}",
                "url": _url(dashboard),
                "type": "dash-db",
                "tags": dashboard.tags,
                "isStarred": False,
                "folderUid": grafana.folder_of(dashboard.uid),
                "folderTitle": dashboard.folder,
            }
            for number, dashboard in enumerate(grafana.dashboards.values(), 1)
            if not tag or tag in dashboard.tags
        ]
        wanted = [
            row
            for row in found
            if query.lower() in str(row["title"]).lower() and type in ("", row["type"])
        ]
        return wanted[(page - 1) * limit : page * limit]

    @app.get("/api/dashboards/uid/{uid}")
    async def dashboard(uid: str) -> Response:
        """A dashboard as its file, or who made it, says it."""
        found = grafana.dashboards.get(uid)
        if found is None:
            return JSONResponse({"message": "Dashboard not found"}, 404)
        meta = {
            "type": "db",
            "url": _url(found),
            "slug": _slug(found.title),
            "version": found.document.get("version", 1),
            "folderUid": grafana.folder_of(uid),
            "folderTitle": found.folder,
            "provisioned": uid in grafana.told.dashboards,
        }
        return JSONResponse({"meta": meta, "dashboard": found.document})

    @app.get("/api/datasources")
    async def sources() -> list[dict[str, Any]]:
        """The data sources."""
        return [
            _described(number, found) for number, found in enumerate(grafana.told.sources.values())
        ]

    @app.get("/api/datasources/uid/{uid}")
    async def source(uid: str) -> Response:
        """One of them."""
        if uid not in grafana.told.sources:
            return JSONResponse({"message": "Data source not found"}, 404)
        number = list(grafana.told.sources).index(uid)
        return JSONResponse(_described(number, grafana.told.sources[uid]))


def _made(app: FastAPI, grafana: Grafana) -> None:
    @app.get("/api/folders")
    async def folders(parent: Annotated[str, Query(alias="parentUid")] = "") -> list[Any]:
        """The folders within one, or those within none."""
        found = enumerate(grafana.folders.values(), 1)
        return [
            {"id": number, "uid": folder["uid"], "title": folder["title"]}
            | ({"parentUid": parent} if parent else {})
            for number, folder in found
            if folder["parentUid"] == parent
        ]

    @app.post("/api/folders")
    async def make_folder(request: Request) -> Response:
        """Make one."""
        told = await _document(request)
        title, uid = str(told.get("title") or ""), str(told.get("uid") or "")
        parent = str(told.get("parentUid") or "")
        if not title:
            return JSONResponse({"message": "folder title cannot be empty"}, 400)
        if parent and parent not in grafana.folders:
            return JSONResponse({"message": "folder not found"}, 404)
        beside = {f["title"] for f in grafana.folders.values() if f["parentUid"] == parent}
        if uid in grafana.folders or title in beside:
            message = "a folder with the same name already exists"
            return JSONResponse({"message": message}, 409)
        made = grafana.kept.add_folder(title, uid, parent)
        place = {"url": f"/dashboards/f/{made['uid']}/{_slug(title)}", "version": 1}
        return JSONResponse({"id": len(grafana.folders), **made, **place})


def _saved(app: FastAPI, grafana: Grafana) -> None:
    @app.post("/api/dashboards/db")
    async def save(request: Request) -> Response:
        """Make a dashboard, or change one that people made."""
        told = await _document(request)
        document, folder = told.get("dashboard"), str(told.get("folderUid") or "")
        if not isinstance(document, dict) or not document.get("title"):
            fault = {"message": "Dashboard title cannot be empty", "status": "empty-name"}
            return JSONResponse(fault, 400)
        uid = str(document.get("uid") or "")
        if uid in grafana.told.dashboards:
            return JSONResponse({"message": "Cannot save provisioned dashboard"}, 400)
        if folder and folder not in grafana.folders:
            return JSONResponse({"message": "folder not found"}, 400)
        before = grafana.kept.dashboards.get(uid, {}).get("dashboard")
        if before and not told.get("overwrite") and document.get("version") != before["version"]:
            message = "The dashboard has been changed by someone else"
            return JSONResponse({"message": message, "status": "version-mismatch"}, 412)
        made = Dashboard("", grafana.kept.save(document, folder)["dashboard"])
        numbers = {"id": made.document["id"], "version": made.document["version"]}
        place = {"uid": made.uid, "url": _url(made), "slug": _slug(made.title), "folderUid": folder}
        return JSONResponse({**numbers, **place, "status": "success"})


async def _document(request: Request) -> dict[str, Any]:
    """A request's body; empty where it is none."""
    try:
        document = await request.json()
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _slug(title: str) -> str:
    """A title as part of an address."""
    return "-".join(re.findall(r"[a-z0-9]+", title.lower()))


def _url(dashboard: Dashboard) -> str:
    return f"/d/{dashboard.uid}/{_slug(dashboard.title)}"


def _described(number: int, found: DataSource) -> dict[str, Any]:
    return {
        "id": number + 1,
        "uid": found.uid,
        "orgId": 1,
        "name": found.name,
        "type": found.kind,
        "access": "proxy",
        "url": found.url,
        "isDefault": found.default,
        "readOnly": True,
    }


def _data(app: FastAPI, grafana: Grafana) -> None:
    @app.post("/api/ds/query")
    async def query(request: Request) -> Response:
        """Answer a panel's queries."""
        try:
            asked = await request.json()
            queries = [dict(told) for told in asked["queries"]]
            now = time.time()
            span = Span(*(moment(str(asked.get(n, d)), now) for n, d in _DEFAULT_SPAN))
        except (ValueError, KeyError, TypeError, AttributeError):
            return JSONResponse({"message": "bad request data"}, 400)
        results = await asyncio.gather(*(_result(grafana, told, span) for told in queries))
        named = {str(q.get("refId", "A")): r for q, r in zip(queries, results, strict=True)}
        worst = max((found["status"] for found in results), default=200)
        return JSONResponse({"results": named}, 200 if worst == 200 else 400)  # noqa: PLR2004 - HTTP's

    @app.api_route("/api/datasources/proxy/uid/{uid}/{path:path}", methods=["GET", "POST"])
    async def proxy(request: Request, uid: str, path: str) -> Response:
        """Hand a question on to a data source, and its answer back."""
        source = grafana.told.sources.get(uid)
        if source is None:
            return JSONResponse({"message": "Unable to find datasource"}, 404)
        if ".." in path.split("/"):
            return JSONResponse({"message": "bad path"}, 400)
        headers = {n: request.headers[n] for n in _KEPT_HEADERS if n in request.headers}
        try:
            async with grafana.session.request(
                request.method,
                f"{source.url}/{path}",
                params=list(request.query_params.multi_items()),
                data=await request.body() or None,
                headers=headers,
                allow_redirects=False,
            ) as response:
                kind = response.headers.get("Content-Type", "application/octet-stream")
                return Response(
                    await response.read(), response.status, headers={"Content-Type": kind}
                )
        except (aiohttp.ClientError, TimeoutError) as error:
            message = f"{source.name} is away ({type(error).__name__})"
            return JSONResponse({"message": message}, 502)


_DEFAULT_SPAN = (("from", "now-1h"), ("to", "now"))


async def _result(grafana: Grafana, query: Mapping[str, Any], span: Span) -> dict[str, Any]:
    told = query.get("datasource")
    uid = told.get("uid", "") if isinstance(told, dict) else ""
    source = grafana.told.sources.get(uid)
    if source is None:
        return {"status": 404, "error": "data source not found", "frames": []}
    try:
        frames = await Asker(grafana.session).frames(source, query, span)
    except Unanswered as error:
        return {"status": 502, "error": str(error), "frames": []}
    return {"status": 200, "frames": frames}


def _pages(app: FastAPI, grafana: Grafana) -> None:
    @app.get("/")
    async def everything(request: Request) -> HTMLResponse:
        """All dashboards."""
        found = grafana.dashboards.values()
        tables = await asyncio.gather(*(grafana.table(d, request.query_params) for d in found))
        return HTMLResponse(page.dashboards(grafana.frame, "Dashboards", tables))

    @app.get("/d/{uid}")
    @app.get("/d/{uid}/{slug}")
    async def one(request: Request, uid: str, slug: str = "") -> HTMLResponse:
        """One of them."""
        del slug
        found = grafana.dashboards.get(uid)
        if found is None:
            return HTMLResponse(page.dashboards(grafana.frame, "Dashboard not found", []), 404)
        table = await grafana.table(found, request.query_params)
        return HTMLResponse(page.dashboards(grafana.frame, found.title, [table]))


def main() -> int:
    """Serve until told to stop; the exit code."""
    try:
        settings = Settings.of(os.environ)
        app = application(settings)
    except (KeyError, OSError, ProvisioningError) as error:
        sys.stderr.write(f"grafana: {error}\n")
        return 2
    port = int(os.environ.get("GF_SERVER_HTTP_PORT", str(PORT)))
    sys.stdout.write(f"simulated Grafana on port {port}\n")
    uvicorn.run(
        app,
        host="0.0.0.0",  # noqa: S104 - the board's firewall admits the gateway alone
        port=port,
        log_level="warning",
        access_log=False,
        server_header=False,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
