"""The API, with a database in memory; Redis is real or away."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import jwt
import pytest
from prometheus_client import CollectorRegistry
from starlette.testclient import TestClient, WebSocketTestSession
from starlette.websockets import WebSocketDisconnect

from services.fixai import events, geo, settings, store
from services.fixai.backend.accounts import Passwords, Tokens
from services.fixai.backend.app import address, build
from services.fixai.backend.live import INVALID, SLOW, TOO_MANY, UNAUTHORIZED, Hub
from services.fixai.backend.memory import Memory, Rate
from services.fixai.backend.role import Parts
from services.fixai.backend.service import Service
from services.fixai.database import Away
from services.fixai.health import Health
from services.fixai.settings import Backend, Limits
from tests.ports import free_port
from tests.services.fixai.conftest import REDIS_PASSWORD
from tests.services.fixai.crashing import described
from tests.services.fixai.processes import Server
from tests.services.fixai.stacks import JPEG, PRAGUE, TOKEN_KEY, submitted

ACCOUNT = {"name": "jana", "password": "a long password"}
HOLE = {"text": "a hole", "category": "road", "latitude": PRAGUE[0], "longitude": PRAGUE[1]}
PNG = b"\x89PNG\r\n\x1a\n" + b"0" * 32


class Database:
    """What the backend asks of the store, in memory."""

    def __init__(self) -> None:
        self.accounts: dict[str, store.Account] = {}
        self.requests: dict[tuple[UUID, str], store.Request] = {}
        self.reports: dict[UUID, store.Report] = {}
        self.outbox: list[events.Event] = []
        self.said: list[store.Comment] = []
        self.away = False
        self.reads = 0

    def _ask(self) -> None:
        if self.away:
            raise Away("cassandra does not answer")

    async def add_account(self, account: store.Account) -> bool:
        """Keep it if the name is free."""
        self._ask()
        return self.accounts.setdefault(account.name, account) is account

    async def account(self, name: str) -> store.Account | None:
        """By its name."""
        return self.accounts.get(name)

    async def request(self, account: UUID, key: str, wanted: store.Request) -> store.Request:
        """The first with the key."""
        return self.requests.setdefault((account, key), wanted)

    async def submit(self, event: events.ReportSubmitted) -> None:
        """Keep the report and its event."""
        self._ask()
        told = event.model_dump(include={"author", "text", "category", "latitude", "longitude"})
        self.reports[event.report_id] = store.Report(
            id=event.report_id, pictures=event.pictures, submitted_at=event.submitted_at, **told
        )
        self.outbox.append(event)

    async def report(self, report_id: UUID) -> store.Report | None:
        """By its id."""
        self._ask()
        self.reads += 1
        return self.reports.get(report_id)

    async def near(  # noqa: PLR0913, PLR0917 - as the store
        self,
        latitude: float,
        longitude: float,
        radius: float,
        days: Sequence[date],
        limit: int,
        after: tuple[datetime, UUID] | None = None,
    ) -> store.Held:
        """By distance."""
        found = [
            store.Spot(r.submitted_at, r.id, r.latitude, r.longitude)
            for r in self.reports.values()
            if r.submitted_at.date() in days
            and geo.distance(latitude, longitude, r.latitude, r.longitude) <= radius
        ]
        found.sort(key=lambda s: (s.submitted_at, s.id.bytes), reverse=True)
        if after:
            found = [s for s in found if (s.submitted_at, s.id.bytes) < (after[0], after[1].bytes)]
        if len(found) <= limit:
            return store.Held(tuple(found), None)
        last = found[limit - 1]
        return store.Held(tuple(found[:limit]), (last.submitted_at, last.id))

    async def comment(self, comment: store.Comment, event: events.ReportCommented) -> None:
        """Keep it and its event."""
        self.said.append(comment)
        self.outbox.append(event)

    async def comments(
        self, report_id: UUID, limit: int, after: tuple[datetime, UUID] | None = None
    ) -> list[store.Comment]:
        """In their order."""
        found = [c for c in self.said if c.report_id == report_id]
        return [c for c in found if after is None or (c.at, c.id) > after][:limit]


class Pictures:
    """A bucket in memory."""

    def __init__(self) -> None:
        self.kept: dict[str, tuple[bytes, str]] = {}

    async def put(self, key: str, data: bytes, content_type: str) -> None:
        """Keep it."""
        self.kept[key] = data, content_type

    async def get(self, key: str) -> tuple[bytes, str] | None:
        """As it was kept."""
        return self.kept.get(key)


class Api:
    """The API and what it stands on."""

    def __init__(self, redis_port: int, told: Backend | None = None) -> None:
        self.told = told or Backend()
        self.health = Health()
        self.database, self.pictures = Database(), Pictures()
        self.memory = Memory(
            settings.Redis(host="127.0.0.1", port=redis_port),
            REDIS_PASSWORD,
            self.told.cache_seconds,
            self.health.registry,
        )
        self.hub = Hub(self.health.registry)
        self.tokens = Tokens(TOKEN_KEY, self.told.token_minutes)
        self.service = Service(
            self.told,
            self.database,
            self.memory,
            self.pictures,  # type: ignore[arg-type]  # as much of a bucket as is used
            self.tokens,
            self.hub,
        )
        parts = Parts()
        parts.take(self.service)
        self.health.parts["cassandra"] = lambda: not self.database.away
        self.client = TestClient(build(parts, self.told, self.health))

    def sign_in(self, name: str = "jana") -> dict[str, str]:
        """A new account's header."""
        account = {**ACCOUNT, "name": name}
        assert self.client.post("/accounts", json=account).status_code == 201
        token = self.client.post("/tokens", json=account).json()["token"]
        return {"Authorization": f"Bearer {token}"}

    def report(self, **changes: Any) -> dict[str, Any]:
        """A new report's answer."""
        answer = self.client.post("/reports", json=HOLE | changes, headers=self.header())
        assert answer.status_code == 201
        told: dict[str, Any] = answer.json()
        return told

    def header(self) -> dict[str, str]:
        """Of somebody who is not asked for a password."""
        account = store.Account(uuid4(), "petr", "", events.now())
        return {"Authorization": f"Bearer {self.tokens.give(account)[0]}"}


@pytest.fixture
def api() -> Iterator[Api]:
    """Without Redis: each process counts for itself."""
    made = Api(free_port())
    with made.client:
        yield made


@pytest.fixture
def cached(cache_server: Server) -> Iterator[Api]:
    """With Redis."""
    made = Api(cache_server.port)
    with made.client:
        yield made


def test_an_account_signs_in_and_reports(api: Api) -> None:
    answer = api.client.post("/reports", json=HOLE, headers=api.sign_in())
    assert answer.status_code == 201
    report = answer.json()
    assert answer.headers["Location"] == f"/reports/{report['id']}"
    (event,) = api.database.outbox
    assert str(event.report_id) == report["id"]
    shown = api.client.get(f"/reports/{report['id']}").json()
    assert (shown["text"], shown["status"], shown["category"]) == ("a hole", "submitted", "road")
    assert "author" not in shown


def test_a_password_is_not_kept_and_a_wrong_one_is_refused_like_an_unknown_name(api: Api) -> None:
    api.sign_in()
    assert ACCOUNT["password"] not in repr(api.database.accounts)
    wrong = api.client.post("/tokens", json={**ACCOUNT, "password": "another password"})
    nobody = api.client.post("/tokens", json={**ACCOUNT, "name": "nobody"})
    assert wrong.status_code == nobody.status_code == 401
    assert wrong.json() == nobody.json()


def test_two_hashes_of_a_password_differ_and_both_match() -> None:
    async def run() -> None:
        passwords = Passwords()
        kept = [await passwords.hashed("secret words") for _ in range(2)]
        assert kept[0] != kept[1]
        for one in kept:
            account = store.Account(uuid4(), "a", one, events.now())
            assert await passwords.match("secret words", account)
            assert not await passwords.match("secret word", account)

    asyncio.run(run())


def test_a_taken_name_is_a_conflict(api: Api) -> None:
    api.sign_in()
    answer = api.client.post("/accounts", json=ACCOUNT)
    assert answer.status_code == 409
    assert answer.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize("case", ["none", "garbage", "expired", "unsigned", "another key"])
def test_a_token_that_is_not_ours_is_refused(api: Api, case: str) -> None:
    now = datetime.now(UTC)
    claims = {"sub": str(uuid4()), "aud": "fixai", "exp": now + timedelta(hours=1)}
    token = {
        "none": "",
        "garbage": "Bearer x.y.z",
        "expired": "Bearer "
        + jwt.encode({**claims, "exp": now - timedelta(seconds=5)}, TOKEN_KEY, "HS256"),
        "unsigned": "Bearer " + jwt.encode(claims, "", "none"),
        "another key": "Bearer " + jwt.encode(claims, "another key" * 5, "HS256"),
    }[case]
    answer = api.client.post("/reports", json=HOLE, headers={"Authorization": token})
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert "sign in" in answer.json()["detail"]
    assert not api.database.outbox


def test_pictures_are_kept_by_their_content_and_shown_again(api: Api) -> None:
    files = [("pictures", ("x.exe", JPEG, "text/html")), ("pictures", ("y", PNG, "image/gif"))]
    form = {name: str(value) for name, value in HOLE.items()}
    answer = api.client.post("/reports", data=form, files=files, headers=api.header())
    assert answer.status_code == 201, answer.text
    shown = api.client.get(answer.headers["Location"]).json()
    assert len(shown["pictures"]) == 2
    first, second = (api.client.get(path) for path in shown["pictures"])
    assert (first.content, first.headers["Content-Type"]) == (JPEG, "image/jpeg")
    assert (second.content, second.headers["Content-Type"]) == (PNG, "image/png")
    assert api.client.get(f"/reports/{shown['id']}/pictures/2").status_code == 404


@pytest.mark.parametrize(
    ("files", "status", "detail"),
    [
        ([b"<svg/>"], 415, "a picture is neither JPEG, PNG nor WebP; send one of these"),
        ([JPEG * 100], 413, "a picture is larger than 2000 bytes; make it smaller"),
        ([JPEG] * 5, 400, "send at most 4 pictures"),
        ([JPEG * 6000], 413, "the body is larger than"),
    ],
)
def test_other_files_too_large_or_too_many_are_refused_before_anything_is_kept(
    files: list[bytes], status: int, detail: str
) -> None:
    api = Api(free_port(), Backend(picture_bytes=2000))
    form = {name: str(value) for name, value in HOLE.items()}
    sent = [("pictures", (f"{n}.jpg", data)) for n, data in enumerate(files)]
    with api.client:
        answer = api.client.post("/reports", data=form, files=sent, headers=api.header())
    assert answer.status_code == status
    assert detail in answer.json()["detail"]
    assert not api.database.outbox
    assert not api.pictures.kept


def test_a_body_that_comes_too_slowly_is_not_waited_for(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.fixai.backend.app._UPLOAD_SECONDS", 0.1)

    async def slow() -> int:
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            await asyncio.sleep(5)
            return {"type": "http.request", "body": b"{}"}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        told = {**api.header(), "Content-Type": "application/json"}
        headers = [(n.lower().encode(), v.encode()) for n, v in told.items()]
        scope = {"type": "http", "method": "POST", "path": "/reports", "headers": headers}
        rest = {"query_string": b"", "client": ("192.0.2.1", 1), "http_version": "1.1"}
        await api.client.app({**scope, **rest}, receive, send)  # type: ignore[arg-type]
        status: int = sent[0]["status"]
        return status

    assert asyncio.run(slow()) == 408


def test_what_is_wrong_with_a_report_is_told_field_by_field(api: Api) -> None:
    body = {"text": " ", "latitude": 91, "longitude": "east"}
    answer = api.client.post("/reports", json=body, headers=api.header())
    assert answer.status_code == 422
    assert set(answer.json()["fields"]) == {"text", "latitude", "longitude"}
    assert answer.json()["detail"] == "correct the fields that `fields` names"


def test_a_repeated_key_is_the_same_report_and_for_another_one_refused(api: Api) -> None:
    header = {**api.header(), "Idempotency-Key": "k1"}
    first = api.client.post("/reports", json=HOLE, headers=header)
    second = api.client.post("/reports", json=HOLE, headers=header)
    other = api.client.post("/reports", json=HOLE | {"text": "another"}, headers=header)
    assert [first.status_code, second.status_code, other.status_code] == [201, 200, 422]
    assert first.json() == second.json()
    assert len(api.database.reports) == 1


def test_a_search_pages_newest_first(api: Api) -> None:
    made = [api.report(text=f"number {n}")["id"] for n in range(7)]
    api.report(latitude=51)
    found: list[str] = []
    query: dict[str, Any] = {"near": "50.0755,14.4378", "limit": 3}
    while True:
        page = api.client.get("/reports", params=query).json()
        found += [report["id"] for report in page["reports"]]
        if page["next"] is None:
            break
        query["cursor"] = page["next"]
    assert sorted(found) == sorted(made)
    assert len(found) == 7


@pytest.mark.parametrize(
    ("query", "detail"),
    [
        ({"near": "here"}, "near is not LATITUDE,LONGITUDE, such as 50.0755,14.4378"),
        ({"near": "nan,0"}, "near is not on earth"),
        ({"near": "0,0", "cursor": "!!"}, "cursor is not one that a page named"),
        ({"near": "0,0", "radius": 1e9}, "correct the fields"),
    ],
)
def test_a_search_that_makes_no_sense_is_told_why(
    api: Api, query: dict[str, Any], detail: str
) -> None:
    answer = api.client.get("/reports", params=query)
    assert answer.status_code in {400, 422}
    assert detail in answer.json()["detail"]


def test_comments_come_with_their_authors_names_and_are_published(api: Api) -> None:
    report = api.report()["id"]
    path = f"/reports/{report}/comments"
    for n in range(3):
        body = {"text": f"comment {n}", "says": "still-there"}
        assert api.client.post(path, json=body, headers=api.header()).status_code == 201
    first = api.client.get(path, params={"limit": 2}).json()
    rest = api.client.get(path, params={"limit": 2, "cursor": first["next"]}).json()
    told = [(c["author"], c["text"]) for c in first["comments"] + rest["comments"]]
    assert told == [("petr", f"comment {n}") for n in range(3)]
    assert [event.kind for event in api.database.outbox[1:]] == ["report-commented"] * 3


def test_a_comment_on_nothing_is_not_found(api: Api) -> None:
    answer = api.client.post(
        f"/reports/{uuid4()}/comments", json={"text": "hello"}, headers=api.header()
    )
    assert answer.status_code == 404


def test_without_the_database_a_report_is_not_acknowledged(api: Api) -> None:
    api.database.away = True
    answer = api.client.post("/reports", json=HOLE, headers=api.header())
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "5"
    assert api.client.get("/readyz").status_code == 503
    assert api.client.get("/healthz").status_code == 200


def test_before_its_parts_are_there_the_api_says_to_try_again() -> None:
    client = TestClient(build(Parts(), Backend(), Health()))
    answer = client.get(f"/reports/{uuid4()}")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    with pytest.raises(WebSocketDisconnect), client.websocket_connect("/live"):
        pass


def test_figures_are_counted_by_route_and_not_by_path(api: Api) -> None:
    api.client.get(f"/reports/{uuid4()}")
    api.client.get("/nowhere")
    told = api.client.get("/metrics").text
    assert 'fixai_requests_total{route="/reports/{report_id}",status="404"} 1.0' in told
    assert 'fixai_requests_total{route="none",status="404"} 1.0' in told


def test_the_description_names_problems_and_who_must_sign_in(api: Api) -> None:
    told = api.client.get("/openapi.json").json()
    assert "HTTPValidationError" not in json.dumps(told)
    post = told["paths"]["/reports"]["post"]
    assert post["security"] == [{"token": []}]
    assert set(post["requestBody"]["content"]) == {"multipart/form-data", "application/json"}
    schema = post["responses"]["4XX"]["content"]["application/problem+json"]["schema"]
    assert schema == {"$ref": "#/components/schemas/Problem"}


@pytest.mark.parametrize("redis", ["there", "away"])
def test_more_reports_than_an_account_may_are_told_when_to_come_back(
    redis: str, cache_server: Server
) -> None:
    port = cache_server.port if redis == "there" else free_port()
    api = Api(port, Backend(limits=Limits(reports_per_hour=3)))
    header = api.header()
    with api.client:
        answers = [api.client.post("/reports", json=HOLE, headers=header) for _ in range(5)]
        other = api.client.post("/reports", json=HOLE, headers=api.header())
    assert [answer.status_code for answer in answers] == [201, 201, 201, 429, 429]
    assert 1190 <= int(answers[-1].headers["Retry-After"]) <= 1200
    assert other.status_code == 201
    assert len(api.database.reports) == 4


def test_a_limited_request_is_counted_again_when_it_is_repeated_with_its_key() -> None:
    api = Api(free_port(), Backend(limits=Limits(reports_per_hour=1)))
    header = api.header()
    with api.client:
        keyed = [{**header, "Idempotency-Key": key} for key in ("a", "a", "b", "b")]
        answers = [api.client.post("/reports", json=HOLE, headers=told) for told in keyed]
    assert [answer.status_code for answer in answers] == [201, 200, 429, 429]


def test_an_address_that_asks_too_often_is_limited_whatever_it_claims() -> None:
    api = Api(free_port(), Backend(proxies=1, limits=Limits(requests_per_minute=2)))
    with api.client:
        answers = [
            api.client.get("/nowhere", headers={"X-Forwarded-For": f"10.0.0.{n}, 192.0.2.1"})
            for n in range(4)
        ]
        other = api.client.get("/nowhere", headers={"X-Forwarded-For": "192.0.2.2"})
    assert [answer.status_code for answer in answers] == [404, 404, 429, 429]
    assert other.status_code == 404


def test_without_a_proxy_a_claimed_address_is_not_believed() -> None:
    scope = {"client": ("192.0.2.9", 1), "headers": [(b"x-forwarded-for", b"1.1.1.1")]}
    assert address(scope, 0) == "192.0.2.9"
    assert address(scope, 1) == "1.1.1.1"


def test_a_limit_is_shared_by_processes_and_refills_steadily(cache_server: Server) -> None:
    async def run() -> None:
        told = settings.Redis(host="127.0.0.1", port=cache_server.port)
        memories = [Memory(told, REDIS_PASSWORD, 60, CollectorRegistry()) for _ in range(2)]
        rate, who = Rate(4, 2.0), str(uuid4())
        waits = [await memories[n % 2].wait("x", who, rate) for n in range(5)]
        assert waits == [0, 0, 0, 0, 1]
        await asyncio.sleep(0.6)
        assert await memories[0].wait("x", who, rate) == 0
        assert await memories[1].wait("x", who, rate) == 1
        for memory in memories:
            await memory.close()

    asyncio.run(run())


def test_a_report_is_read_once_until_it_changes(cached: Api) -> None:
    report = cached.report()["id"]
    path = f"/reports/{report}"
    before = cached.database.reads
    for _ in range(3):
        assert cached.client.get(path).json()["status"] == "submitted"
    assert cached.database.reads == before + 1
    event = described(submitted(UUID(report)))
    kept = cached.database.reports[UUID(report)]
    cached.database.reports[UUID(report)] = store.Report(
        **{name: getattr(kept, name) for name in ("id", "author", "text", "category", "latitude")},
        longitude=kept.longitude,
        pictures=(),
        submitted_at=kept.submitted_at,
        described_at=event.at,
    )
    assert cached.client.portal is not None
    cached.client.portal.call(cached.service.happened, event)
    assert cached.client.get(path).json()["status"] == "described"


def test_what_was_read_before_a_change_is_not_cached_after_it(cached: Api) -> None:
    async def race(report: UUID) -> bytes | None:
        await cached.memory.changed(report)
        await cached.memory.keep_report(report, b"old")
        return await cached.memory.report(report)

    assert cached.client.portal is not None
    assert cached.client.portal.call(race, uuid4()) is None


def until_closed(socket: WebSocketTestSession) -> WebSocketDisconnect:
    """How the other side ended it."""
    try:
        while True:
            socket.receive_json()
    except WebSocketDisconnect as closed:
        return closed


def hello(api: Api) -> dict[str, str]:
    return {"type": "hello", "token": api.header()["Authorization"].removeprefix("Bearer ")}


def test_a_socket_is_told_of_what_it_watches_and_of_nothing_else(api: Api) -> None:
    report, elsewhere = submitted(), submitted(place=(51, 14))
    with api.client.websocket_connect("/live") as socket:
        socket.send_json(hello(api))
        assert socket.receive_json()["type"] == "ready"
        socket.send_json({"type": "watch", "report": str(report.report_id)})
        assert socket.receive_json() == {"type": "watching", "count": 1}
        near = {"latitude": PRAGUE[0] + 0.001, "longitude": PRAGUE[1], "radius": 300}
        socket.send_json({"type": "watch", **near})
        assert socket.receive_json() == {"type": "watching", "count": 2}
        neighbour = submitted(text="words of somebody")
        assert api.client.portal is not None
        for event in (elsewhere, report, described(neighbour)):
            api.client.portal.call(api.service.happened, event)
        first, second = socket.receive_json(), socket.receive_json()
        assert (first["report_id"], first["stage"]) == (str(report.report_id), "submitted")
        assert (second["report_id"], second["stage"]) == (str(neighbour.report_id), "described")
        assert not {"author", "text", "description"} & (set(first) | set(second))
        socket.send_json({"type": "unwatch", **near})
        assert socket.receive_json() == {"type": "unwatching", "count": 1}
        for event in (neighbour, report):
            api.client.portal.call(api.service.happened, event)
        assert socket.receive_json()["report_id"] == str(report.report_id)


@pytest.mark.parametrize(
    ("messages", "code"),
    [
        ([{"type": "hello", "token": "x"}], UNAUTHORIZED),
        ([{"type": "watch", "report": str(uuid4())}], UNAUTHORIZED),
        (["hello", {"type": "watch"}], INVALID),
        (["hello", {"type": "dance"}], INVALID),
        (["hello", {"type": "watch", "latitude": 0, "longitude": 0, "radius": 1e6}], INVALID),
        (["hello", *({"type": "watch", "report": str(uuid4())} for _ in range(51))], TOO_MANY),
    ],
)
def test_a_socket_that_says_something_wrong_is_closed_with_the_reason(
    api: Api, messages: list[Any], code: int
) -> None:
    with api.client.websocket_connect("/live") as socket:
        for message in messages:
            socket.send_json(hello(api) if message == "hello" else message)
        closed = until_closed(socket)
    assert closed.code == code
    assert closed.reason


def test_a_socket_that_does_not_read_is_closed_and_holds_nobody_up(api: Api) -> None:
    report = submitted()
    with api.hub.joined(uuid4(), 1) as watcher:
        assert watcher is not None
        api.hub.watch(watcher, report.report_id)
        for _ in range(500):
            api.hub.tell(report)
        assert watcher.slow
        assert watcher.queue.qsize() == 100
    assert SLOW == 1013


def test_an_account_has_only_so_many_sockets() -> None:
    api = Api(free_port(), Backend(limits=Limits(sockets_per_account=1)))
    told = hello(api)
    with api.client, api.client.websocket_connect("/live") as first:
        first.send_json(told)
        first.receive_json()
        with api.client.websocket_connect("/live") as second:
            second.send_json(told)
            assert until_closed(second).code == TOO_MANY
