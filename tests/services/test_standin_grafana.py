"""The stand-in for Grafana: one account, the provisioned files, and real answers handed on."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import uvicorn
import yaml
from aiohttp import web

from services.standins.asking import moment
from services.standins.grafana import Settings, application
from services.standins.page import shown
from services.standins.provisioned import ProvisioningError, read
from tests.services.assistants import eventually
from tests.services.fakes import served

PASSWORD = "open-sesame"  # noqa: S105 - a test's


@dataclass
class FakeSource:
    """Prometheus and Loki in one."""

    asked: list[dict[str, str]] = field(default_factory=list)
    url: str = ""

    async def instant(self, request: web.Request) -> web.Response:
        """A vector."""
        self.asked.append(dict(request.query))
        if "broken" in request.query["query"]:
            return web.json_response({"status": "error", "error": "parse error"}, status=400)
        result = [{"metric": {"host": "pi51"}, "value": [1700000000, "0.25"]}]
        if "none" in request.query["query"]:
            result = [{"metric": {}, "value": [1700000000, "NaN"]}]
        return _answer({"resultType": "vector", "result": result})

    async def matrix(self, request: web.Request) -> web.Response:
        """A series over time."""
        self.asked.append(dict(request.query))
        values = [[1700000000, "1"], [1700000015, "2"]]
        series = {"metric": {"host": "pi51"}, "values": values}
        return _answer({"resultType": "matrix", "result": [series]})

    async def lines(self, request: web.Request) -> web.Response:
        """Lines of a log."""
        self.asked.append(dict(request.query))
        stream = {"stream": {"host": "pi51"}, "values": [["1700000000000000000", "it <burns>"]]}
        return _answer({"resultType": "streams", "result": [stream]})

    async def labels(self, request: web.Request) -> web.Response:
        """The values of a label."""
        assert request.query["match[]"] == "up"
        return _answer(["pi52", "pi51"])

    async def echo(self, request: web.Request) -> web.Response:
        """What came of a question that was handed on."""
        headers = {name.lower() for name in request.headers}
        assert not headers & {"authorization", "cookie"}
        return web.json_response(dict(await request.post()) or dict(request.query), status=418)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[FakeSource]:
        """It runs while this is entered."""
        app = web.Application()
        app.router.add_get("/api/v1/query", self.instant)
        app.router.add_get("/api/v1/query_range", self.matrix)
        app.router.add_get("/api/v1/label/host/values", self.labels)
        app.router.add_get("/loki/api/v1/query_range", self.lines)
        app.router.add_route("*", "/api/v1/echo", self.echo)
        async with served(app) as self.url:
            yield self


def _answer(data: Any) -> web.Response:
    return web.json_response({"status": "success", "data": data})


def _panel(title: str, expr: str, unit: str = "", source: str = "p") -> dict[str, Any]:
    return {
        "title": title,
        "type": "stat",
        "datasource": {"uid": source},
        "fieldConfig": {"defaults": {"unit": unit}},
        "targets": [{"refId": "A", "expr": expr, "legendFormat": "on {{host}}"}],
    }


def provision(home: Path, url: str) -> Settings:
    """A provisioning folder as Hearth writes it."""
    for name in ("provisioning/datasources", "provisioning/dashboards", "dashboards"):
        (home / name).mkdir(parents=True, exist_ok=True)
    sources = [
        {"name": "Prometheus", "type": "prometheus", "uid": "p", "url": url, "isDefault": True},
        {"name": "Loki", "type": "loki", "uid": "l", "url": f"{url}/"},
        {"name": "Gone", "type": "prometheus", "uid": "g", "url": "http://127.0.0.1:9"},
    ]
    document = {"apiVersion": 1, "datasources": sources}
    (home / "provisioning/datasources/hearth.yaml").write_text(yaml.safe_dump(document))
    provider = {"folder": "Hearth", "type": "file", "options": {"path": str(home / "dashboards")}}
    document = {"apiVersion": 1, "providers": [provider]}
    (home / "provisioning/dashboards/hearth.yaml").write_text(yaml.safe_dump(document))
    dashboard = {
        "uid": "lab",
        "title": "Lab & more",
        "tags": ["hearth"],
        "templating": {
            "list": [
                {"name": "host", "query": "label_values(up, host)", "datasource": {"uid": "p"}}
            ]
        },
        "panels": [
            {"title": "Now", "type": "row", "panels": []},
            _panel("Busy", 'rate(x{host="$host"}[$__rate_interval])', "percentunit"),
            _panel("Nothing", "none"),
            _panel("Faulty", "broken"),
            _panel("Away", "up", source="g"),
            _panel("Lines", '{host="$host"}', source="l"),
        ],
    }
    (home / "dashboards/lab.json").write_text(json.dumps(dashboard))
    return Settings(home / "provisioning", "admin", PASSWORD, secure_cookie=False, data=home)


@asynccontextmanager
async def _grafana(settings: Settings) -> AsyncIterator[aiohttp.ClientSession]:
    config = uvicorn.Config(
        application(settings), host="127.0.0.1", port=0, log_config=None, access_log=False
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server._serve())
    await eventually(lambda: server.started or serving.done())
    port = server.servers[0].sockets[0].getsockname()[1]
    jar = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}", cookie_jar=jar) as session:
        try:
            yield session
        finally:
            await session.close()
            server.should_exit = True
            await serving


@asynccontextmanager
async def _watched(home: Path) -> AsyncIterator[tuple[FakeSource, aiohttp.ClientSession]]:
    source = FakeSource()
    async with source.running(), _grafana(provision(home, source.url)) as session:
        yield source, session


def _basic(password: str = PASSWORD) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"admin:{password}".encode()).decode()}


async def _ask(session: aiohttp.ClientSession, path: str) -> Any:
    async with session.get(path, headers=_basic()) as response:
        assert response.status == 200
        return await response.json()


async def _post(
    session: aiohttp.ClientSession, path: str, body: dict[str, Any]
) -> tuple[int, dict[str, Any]]:
    async with session.post(path, json=body, headers=_basic()) as response:
        return response.status, await response.json()


def test_what_people_make_outlives_it(tmp_path: Path) -> None:
    async def check() -> None:
        async with _watched(tmp_path) as (_, session):
            status, folder = await _post(session, "/api/folders", {"title": "Mine", "uid": "mine"})
            assert (status, folder["uid"], folder["title"]) == (200, "mine", "Mine")
            inner = {"title": "Inner", "parentUid": "mine"}
            assert (await _post(session, "/api/folders", inner))[0] == 200
            body = {"dashboard": {"id": None, "title": "My lab"}, "folderUid": "mine"}
            status, made = await _post(session, "/api/dashboards/db", body)
            assert (status, made["status"], made["version"]) == (200, "success", 1)
        async with _watched(tmp_path) as (_, session):
            (found,) = await _ask(session, "/api/search?query=my&type=dash-db")
            assert (found["uid"], found["folderUid"]) == (made["uid"], "mine")
            told = await _ask(session, f"/api/dashboards/uid/{made['uid']}")
            assert told["meta"]["provisioned"] is False
            assert told["dashboard"]["title"] == "My lab"
            titles = [f["title"] for f in await _ask(session, "/api/folders")]
            assert titles == ["Hearth", "Mine"]
            (below,) = await _ask(session, "/api/folders?parentUid=mine")
            assert below["title"] == "Inner"
            listed = await _ask(session, "/api/search?type=dash-db&limit=1&page=2")
            assert len(listed) == 1

    asyncio.run(check())


def test_what_grafana_refuses_is_refused(tmp_path: Path) -> None:
    async def check() -> None:
        async with _watched(tmp_path) as (_, session):
            assert (await _post(session, "/api/folders", {"title": ""}))[0] == 400
            assert (await _post(session, "/api/folders", {"title": "Hearth"}))[0] == 409
            inner = {"title": "a", "parentUid": "none"}
            assert (await _post(session, "/api/folders", inner))[0] == 404
            for dashboard, folder in (({}, ""), ({"title": "a"}, "none")):
                body = {"dashboard": dashboard, "folderUid": folder}
                assert (await _post(session, "/api/dashboards/db", body))[0] == 400
            provisioned = {"dashboard": {"uid": "lab", "title": "a"}, "overwrite": True}
            assert (await _post(session, "/api/dashboards/db", provisioned))[0] == 400
            mine: dict[str, Any] = {"dashboard": {"uid": "mine", "title": "a"}}
            assert (await _post(session, "/api/dashboards/db", mine))[0] == 200
            assert (await _post(session, "/api/dashboards/db", mine))[0] == 412
            status, made = await _post(session, "/api/dashboards/db", {**mine, "overwrite": True})
            assert (status, made["version"]) == (200, 2)

    asyncio.run(check())


def test_it_tells_strangers_that_it_is_well_and_nothing_else(tmp_path: Path) -> None:
    async def check() -> None:
        async with _watched(tmp_path) as (_, session):
            for path, status in {
                "/api/health": 200,
                "/metrics": 200,
                "/login": 200,
                "/": 302,
                "/d/lab": 302,
                "/api/search": 401,
                "/api/datasources": 401,
                "/api/datasources/proxy/uid/p/api/v1/query?query=up": 401,
                "/openapi.json": 302,
            }.items():
                async with session.get(path, allow_redirects=False) as response:
                    assert (path, response.status) == (path, status)
            for given in (_basic("wrong"), {"Authorization": "Basic ="}):
                async with session.get("/api/search", headers=given) as response:
                    assert response.status == 401
            async with session.post("/api/ds/query", json={"queries": []}) as response:
                assert response.status == 401

    asyncio.run(check())


def test_a_session_begins_with_the_password_and_ends_when_asked(tmp_path: Path) -> None:
    async def check() -> None:
        async with _watched(tmp_path) as (_, session):
            wrong = {"user": "admin", "password": "wrong"}
            async with session.post("/login", json=wrong) as response:
                assert response.status == 401
                assert await response.json() == {"message": "Invalid username or password"}
            right = {"user": "admin", "password": PASSWORD}
            async with session.post("/login", json=right) as response:
                assert (await response.json())["message"] == "Logged in"
                assert response.cookies["grafana_session"]["httponly"]
            async with session.get("/api/search") as response:
                assert response.status == 200
            async with session.get("/logout", allow_redirects=False):
                pass
            async with session.get("/api/search") as response:
                assert response.status == 401
            async with session.post("/login", data=right, allow_redirects=False) as response:
                assert response.status == 303
            async with session.post("/login", data=wrong) as response:
                assert response.status == 401
                assert "Invalid username or password" in await response.text()

    asyncio.run(check())


def test_it_shows_what_is_provisioned(tmp_path: Path) -> None:
    async def check() -> None:
        async with _watched(tmp_path) as (source, session):
            (found,) = await _ask(session, "/api/search?query=lab&tag=hearth")
            assert (found["uid"], found["folderTitle"]) == ("lab", "Hearth")
            assert await _ask(session, "/api/search?tag=other") == []
            told = await _ask(session, "/api/dashboards/uid/lab")
            assert told["dashboard"]["title"] == "Lab & more"
            assert told["meta"]["provisioned"] is True
            sources = await _ask(session, "/api/datasources")
            assert [(s["id"], s["uid"], s["url"]) for s in sources][:2] == [
                (1, "p", source.url),
                (2, "l", source.url),
            ]
            assert (await _ask(session, "/api/datasources/uid/l"))["type"] == "loki"
            for path in ("/api/dashboards/uid/x", "/api/datasources/uid/x"):
                async with session.get(path, headers=_basic()) as response:
                    assert response.status == 404

    asyncio.run(check())


def test_queries_are_answered_in_frames(tmp_path: Path) -> None:
    async def check() -> None:
        async with _watched(tmp_path) as (source, session):
            queries = [
                {"refId": "A", "datasource": {"uid": "p"}, "expr": "x", "instant": True},
                {"refId": "B", "datasource": {"uid": "p"}, "expr": "rate(x[$__rate_interval])"},
                {"refId": "C", "datasource": {"uid": "l"}, "expr": "{}", "maxLines": 5},
            ]
            body = {"queries": queries, "from": "1700000000000", "to": "1700003600000"}
            async with session.post("/api/ds/query", json=body, headers=_basic()) as response:
                assert response.status == 200
                results = (await response.json())["results"]
            (frame,) = results["A"]["frames"]
            assert frame["data"]["values"] == [[1700000000000], [0.25]]
            assert frame["schema"]["fields"][1]["labels"] == {"host": "pi51"}
            assert results["B"]["frames"][0]["data"]["values"][1] == [1.0, 2.0]
            assert results["C"]["frames"][0]["data"]["values"][1] == ["it <burns>"]
            ranged = next(asked for asked in source.asked if asked["query"] == "rate(x[5m])")
            assert (ranged["start"], ranged["end"], ranged["step"]) == (
                "1700000000.0",
                "1700003600.0",
                "15",
            )

    asyncio.run(check())


def test_what_cannot_be_answered_is_told(tmp_path: Path) -> None:
    async def check() -> None:
        async with _watched(tmp_path) as (_, session):
            queries = [
                {"refId": "A", "datasource": {"uid": "g"}, "expr": "x"},
                {"refId": "B", "datasource": {"uid": "x"}, "expr": "x"},
                {"refId": "C", "datasource": {"uid": "p"}, "expr": "broken", "instant": True},
            ]
            body = {"queries": queries}
            async with session.post("/api/ds/query", json=body, headers=_basic()) as response:
                assert response.status == 400
                results = (await response.json())["results"]
            assert results["A"]["error"] == "Gone is away (ClientConnectorError)"
            assert results["B"]["error"] == "data source not found"
            assert "Prometheus answered 400" in results["C"]["error"]
            wrongs: list[Any] = [{}, {"queries": [], "from": "soon"}, []]
            for wrong in wrongs:
                async with session.post("/api/ds/query", json=wrong, headers=_basic()) as response:
                    assert response.status == 400

    asyncio.run(check())


def test_questions_are_handed_on_without_who_asks(tmp_path: Path) -> None:
    async def check() -> None:
        async with _watched(tmp_path) as (_, session):
            base = "/api/datasources/proxy/uid"
            async with session.get(f"{base}/p/api/v1/echo?a=1", headers=_basic()) as response:
                assert (response.status, await response.json()) == (418, {"a": "1"})
            data = {"query": "up"}
            async with session.post(
                f"{base}/p/api/v1/echo", data=data, headers=_basic()
            ) as response:
                assert (response.status, await response.json()) == (418, data)
            async with session.get(f"{base}/x/api/v1/echo", headers=_basic()) as response:
                assert response.status == 404
            async with session.get(f"{base}/g/api/v1/query", headers=_basic()) as response:
                assert response.status == 502
            async with session.delete(f"{base}/p/api/v1/echo", headers=_basic()) as response:
                assert response.status == 405

    asyncio.run(check())


def test_the_page_says_what_it_is_and_what_each_panel_comes_to(tmp_path: Path) -> None:
    async def check() -> tuple[str, list[dict[str, str]]]:
        async with _watched(tmp_path) as (source, session):
            async with session.get("/", headers=_basic()) as response:
                everything = await response.text()
            async with session.get("/d/lab/any?var-host=pi52", headers=_basic()) as response:
                assert "<strong>pi52</strong>" in await response.text()
            async with session.get("/d/none", headers=_basic()) as response:
                assert response.status == 404
            return everything, source.asked

    text, asked = asyncio.run(check())
    assert "This is <strong>not Grafana</strong>" in text
    assert "Lab &amp; more" in text
    for part in ("on pi51", "25.0 %", "no data", "Gone is away", "parse error", "it &lt;burns&gt;"):
        assert part in text
    questions = [question["query"] for question in asked]
    assert 'rate(x{host="pi51"}[5m])' in questions
    assert 'rate(x{host="pi52"}[5m])' in questions


def test_prometheus_sees_how_many_dashboards_there_are(tmp_path: Path) -> None:
    async def check() -> None:
        async with _watched(tmp_path) as (_, session), session.get("/metrics") as response:
            text = await response.text()
            assert "grafana_stat_totals_dashboards 1.0" in text
            assert 'grafana_build_info{edition="simulated",version="simulated"} 1.0' in text

    asyncio.run(check())


def test_its_settings_are_grafanas(tmp_path: Path) -> None:
    (tmp_path / "admin").write_text("secret\n")

    told = Settings.of(
        {
            "GF_PATHS_PROVISIONING": "/settings/provisioning",
            "GF_SECURITY_ADMIN_PASSWORD__FILE": str(tmp_path / "admin"),
            "GF_SECURITY_COOKIE_SECURE": "true",
        }
    )

    data = Path("/var/lib/grafana")
    assert told == Settings(
        Path("/settings/provisioning"), "admin", "secret", secure_cookie=True, data=data
    )


@pytest.mark.parametrize(
    ("path", "content", "message"),
    [
        ("provisioning/datasources/x.yaml", "a: [", r"x\.yaml: cannot be read"),
        ("provisioning/datasources/x.yaml", "[]", r"x\.yaml: is not a mapping"),
        (
            "provisioning/datasources/x.yaml",
            "datasources: [{name: a}]",
            r"a data source without type, uid, url; add it",
        ),
        ("dashboards/x.json", "{", r"x\.json: cannot be read"),
        ("dashboards/x.json", "{}", r"x\.json: a dashboard without a uid; add it"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(
    tmp_path: Path, path: str, content: str, message: str
) -> None:
    settings = provision(tmp_path, "http://127.0.0.1:9")
    (tmp_path / path).write_text(content)

    with pytest.raises(ProvisioningError, match=message):
        read(settings.provisioning)


@pytest.mark.parametrize(
    ("text", "seconds"), [("now", 1000), ("now-5m", 700), ("now-1h", -2600), ("2000", 2)]
)
def test_times_are_told_as_grafana_is_told(text: str, seconds: float) -> None:
    assert moment(text, 1000) == seconds


@pytest.mark.parametrize(
    ("number", "unit", "text"),
    [
        (0.256, "percentunit", "25.6 %"),
        (1536, "bytes", "1.5 KiB"),
        (1500, "Bps", "1.5 kB/s"),
        (3e15, "Bps", "3e+06 GB/s"),
        (0.02, "s", "20 ms"),
        (90, "s", "1.5 min"),
        (200000, "s", "2.31 d"),
        (42.5, "celsius", "42.5 °C"),
        (12, "short", "12"),
        (3, "ops", "3 ops"),
    ],
)
def test_figures_are_shown_in_their_units(number: float, unit: str, text: str) -> None:
    assert shown(number, unit) == text
