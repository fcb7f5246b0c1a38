"""The API's routes, and what every request passes: limits, sizes, figures, problems."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Callable
from typing import Annotated, Any
from uuid import UUID

from fastapi import FastAPI, Query, Request, WebSocket
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from prometheus_client import Counter, Histogram
from pydantic import ValidationError
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.fixai.backend import bodies, live
from services.fixai.backend.accounts import Citizen
from services.fixai.backend.live import RADIUS_METRES
from services.fixai.backend.pictures import Picture
from services.fixai.backend.problems import CONTENT_TYPE, Problem
from services.fixai.backend.service import Area, Service
from services.fixai.database import Away
from services.fixai.events import Category
from services.fixai.health import Health
from services.fixai.settings import Backend

_FIELD_BYTES = 64 * 1024
_AWAY_SECONDS = 5
_UPLOADS_AT_ONCE = 8
"""Each may hold all its pictures in memory."""
_UPLOAD_SECONDS = 60.0
"""Whoever sends more slowly must not keep others from it."""
_KEY = re.compile(r"[\x21-\x7e]{1,100}")
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_PLAIN = frozenset({"/healthz", "/readyz", "/metrics"})
_log = logging.getLogger(__name__)
Serving = Callable[[], Service]
"""The service, once its parts are there; until then a `Problem`."""

Near = Annotated[
    str,
    Query(
        description="Latitude and longitude, WGS 84 degrees.",
        examples=["50.0755,14.4378"],
        max_length=64,
    ),
]
Radius = Annotated[float, Query(gt=0, le=RADIUS_METRES, description="Metres.")]
Days = Annotated[int, Query(ge=1, le=30, description="How far to look back.")]
Limit = Annotated[int, Query(ge=1, le=100, description="Of a page.")]
Cursor = Annotated[str | None, Query(description="`next` of the page before.", max_length=64)]

_ERRORS: dict[int | str, dict[str, Any]] = {
    "4XX": {"description": "The request's fault: `detail` says what to do", "content": {}},
    "5XX": {"description": "Ours: try again later", "content": {}},
}
for _error in _ERRORS.values():
    _error["content"] = {CONTENT_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}


def build(serving: Serving, told: Backend, health: Health) -> ASGIApp:
    """The API.

    Args:
        serving: the service.
        told: the settings.
        health: what is told of the process.
    """
    app = FastAPI(
        title="FixAI",
        version="1",
        description="Report what is broken in the city, and see what becomes of it.",
        docs_url=None,
        redoc_url=None,
        responses=_ERRORS,
    )
    _accounts(app, serving, told)
    _reports(app, serving, told)
    _comments(app, serving, told)
    _rest(app, serving, told, health)
    _problems(app)
    _described(app)
    return Edge(app, serving, told, health)


def _accounts(app: FastAPI, serving: Serving, told: Backend) -> None:
    @app.post("/accounts", status_code=201, tags=["accounts"])
    async def register(request: Request, body: bodies.Credentials) -> bodies.Registered:
        """Make an account."""
        return await serving().register(body, address(request.scope, told.proxies))

    @app.post("/tokens", tags=["accounts"])
    async def sign_in(request: Request, body: bodies.Credentials) -> bodies.Token:
        """Give a token for name and password."""
        return await serving().sign_in(body, address(request.scope, told.proxies))


def _reports(app: FastAPI, serving: Serving, told: Backend) -> None:
    uploads = asyncio.Semaphore(_UPLOADS_AT_ONCE)

    @app.post(
        "/reports",
        status_code=201,
        tags=["reports"],
        response_model=bodies.Accepted,
        responses={200: {"description": "Accepted before", "model": bodies.Accepted}},
        openapi_extra=_report_body(told),
    )
    async def submit(request: Request) -> Response:
        """Report something: a form with pictures, or JSON without.

        Once it is answered it is kept. `Idempotency-Key` lets it be sent again after a lost
        answer: for a day the same key is the same report.
        """
        citizen = _citizen(serving(), request)
        key = request.headers.get("Idempotency-Key")
        if key is not None and _KEY.fullmatch(key) is None:
            raise Problem(400, "Idempotency-Key is not 1 to 100 visible ASCII characters")
        async with uploads:
            try:
                async with asyncio.timeout(_UPLOAD_SECONDS):
                    report, pictures = await _read_report(request, told)
            except TimeoutError:
                detail = f"the body took longer than {_UPLOAD_SECONDS:g} seconds; send less"
                raise Problem(408, detail) from None
            accepted, new = await serving().submit(citizen, report, pictures, key)
        headers = {"Location": f"/reports/{accepted.id}"}
        return JSONResponse(accepted.model_dump(mode="json"), 201 if new else 200, headers)

    @app.get("/reports", tags=["reports"])
    async def near(
        near: Near,
        radius: Radius = 500,
        days: Days = 7,
        limit: Limit = 20,
        cursor: Cursor = None,
    ) -> bodies.Reports:
        """The reports around a point, newest first."""
        return await serving().near(_area(near, radius), days, limit, cursor)

    @app.get("/reports/{report_id}", tags=["reports"])
    async def report(report_id: UUID) -> bodies.Report:
        """One report."""
        return await serving().report(report_id)

    @app.get("/reports/{report_id}/status", tags=["reports"])
    async def status(report_id: UUID) -> bodies.Status:
        """How far a report is."""
        return bodies.Status.of(await serving().report(report_id))

    @app.get(
        "/reports/{report_id}/pictures/{number}",
        tags=["reports"],
        response_class=Response,
        responses={200: {"content": {"image/*": {}}}},
    )
    async def picture(report_id: UUID, number: int) -> Response:
        """A report's picture, counted from 0."""
        data, content_type = await serving().picture(report_id, number)
        headers = {
            "Cache-Control": "public, max-age=86400, immutable",
            "X-Content-Type-Options": "nosniff",
        }
        return Response(data, headers=headers, media_type=content_type)


def _comments(app: FastAPI, serving: Serving, _told: Backend) -> None:
    @app.post("/reports/{report_id}/comments", status_code=201, tags=["comments"])
    async def comment(request: Request, report_id: UUID, body: bodies.NewComment) -> bodies.Comment:
        """Say something of a report, or that the problem is still there or resolved."""
        return await serving().comment(_citizen(serving(), request), report_id, body)

    @app.get("/reports/{report_id}/comments", tags=["comments"])
    async def comments(
        report_id: UUID, limit: Limit = 20, cursor: Cursor = None
    ) -> bodies.Comments:
        """A report's comments, oldest first."""
        return await serving().comments(report_id, limit, cursor)


def _rest(app: FastAPI, serving: Serving, told: Backend, health: Health) -> None:
    @app.websocket("/live")
    async def updates(socket: WebSocket) -> None:
        """Live updates; the module `live` tells the messages."""
        try:
            service = serving()
        except Problem:
            await socket.close(1013, "not ready; connect again")
            return
        limit = told.limits.sockets_per_account
        await live.serve(service.hub, service.tokens, socket, limit)

    @app.get("/healthz", include_in_schema=False)
    @app.get("/readyz", include_in_schema=False)
    @app.get("/metrics", include_in_schema=False)
    async def state(request: Request) -> Response:
        status, content_type, body = health.answer(request.url.path)
        return Response(body, status, headers={"Content-Type": content_type})


def _problems(app: FastAPI) -> None:
    @app.exception_handler(Problem)
    async def problem(_request: Request, error: Problem) -> Response:
        return error.response()

    @app.exception_handler(Away)
    async def away(_request: Request, error: Away) -> Response:
        _log.warning("%s", error)
        detail = f"something that this needs is away; try again in {_AWAY_SECONDS} seconds"
        return Problem(503, detail, retry_after=_AWAY_SECONDS).response()

    @app.exception_handler(RequestValidationError)
    async def invalid(_request: Request, error: RequestValidationError) -> Response:
        return _invalid(error.errors()).response()

    @app.exception_handler(HTTPException)
    async def unknown(_request: Request, error: HTTPException) -> Response:
        response = Problem(error.status_code, f"{error.detail}; see /openapi.json").response()
        response.headers.update(error.headers or {})
        return response


def _described(app: FastAPI) -> None:
    """Put the form of problems into the description, in place of FastAPI's own."""
    made = app.openapi

    def openapi() -> dict[str, Any]:
        told = made()
        schemas = told["components"]["schemas"]
        schemas.pop("HTTPValidationError", None)
        schemas.pop("ValidationError", None)
        schemas["Problem"] = {
            "type": "object",
            "required": ["type", "title", "status", "detail"],
            "properties": {
                "type": {"type": "string"},
                "title": {"type": "string"},
                "status": {"type": "integer"},
                "detail": {"type": "string", "description": "What is wrong, and what to do"},
                "fields": {"type": "object", "additionalProperties": {"type": "string"}},
            },
        }
        told["components"]["securitySchemes"] = {
            "token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
        }
        for path, methods in told["paths"].items():
            for method, operation in methods.items():
                operation["responses"].pop("422", None)
                if method == "post" and path.startswith("/reports"):
                    operation["security"] = [{"token": []}]
        return told

    app.openapi = openapi  # type: ignore[method-assign]  # as FastAPI's documentation does


def _report_body(told: Backend) -> dict[str, Any]:
    schema = bodies.NewReport.model_json_schema(ref_template="#/components/schemas/{model}")
    schema.pop("$defs", None)
    category = {"type": "string", "enum": [str(c) for c in Category], "default": "other"}
    fields = {**schema["properties"], "category": category}
    plain = {**schema, "properties": fields}
    pictures = {
        "type": "array",
        "maxItems": told.pictures,
        "items": {"type": "string", "format": "binary"},
        "description": f"JPEG, PNG or WebP, each of at most {told.picture_bytes} bytes",
    }
    form = {**schema, "properties": {**fields, "pictures": pictures}}
    return {
        "parameters": [
            {
                "name": "Idempotency-Key",
                "in": "header",
                "required": False,
                "schema": {"type": "string", "maxLength": 100},
            }
        ],
        "requestBody": {
            "required": True,
            "content": {
                "multipart/form-data": {"schema": form},
                "application/json": {"schema": plain},
            },
        },
    }


async def _read_report(request: Request, told: Backend) -> tuple[bodies.NewReport, list[Picture]]:
    kind = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    try:
        if kind == "application/json":
            return bodies.NewReport.model_validate_json(await request.body()), []
        if kind == "multipart/form-data":
            return await _read_form(request, told)
    except ValidationError as error:
        raise _invalid(error.errors(include_url=False)) from None
    raise Problem(415, "send multipart/form-data with pictures, or application/json without")


async def _read_form(request: Request, told: Backend) -> tuple[bodies.NewReport, list[Picture]]:
    parser = MultiPartParser(
        request.headers,
        request.stream(),
        max_files=told.pictures,
        max_fields=8,
        max_part_size=_FIELD_BYTES,
    )
    # In memory: the container has no disk, and the body is bounded.
    parser.spool_max_size = told.picture_bytes * told.pictures
    try:
        form = await parser.parse()
    except (MultiPartException, KeyError) as error:
        detail = f"the form cannot be read ({error}); send at most {told.pictures} pictures"
        raise Problem(400, detail) from None
    try:
        values: dict[str, str] = {}
        pictures = []
        for name, value in form.multi_items():
            if isinstance(value, str):
                values[name] = value
            elif name == "pictures" and isinstance(value, UploadFile):
                pictures.append(Picture.of(await value.read(), told.picture_bytes))
            else:
                raise Problem(400, "a file is in another field than `pictures`; put it there")
        return bodies.NewReport.model_validate(bodies.form_values(values)), pictures
    finally:
        await form.close()


def _invalid(errors: Any) -> Problem:
    fields = {
        ".".join(str(step) for step in fault["loc"] if step != "body") or "body": str(fault["msg"])
        for fault in errors
    }
    return Problem(422, "correct the fields that `fields` names", fields=fields)


def _area(near: str, radius: float) -> Area:
    try:
        latitude, longitude = (float(part) for part in near.split(","))
    except ValueError:
        raise Problem(422, "near is not LATITUDE,LONGITUDE, such as 50.0755,14.4378") from None
    if not (abs(latitude) <= 90 and abs(longitude) <= 180):  # noqa: PLR2004 - degrees
        raise Problem(422, "near is not on earth; latitude is within 90, longitude within 180")
    return Area(latitude, longitude, radius)


def _citizen(service: Service, request: Request) -> Citizen:
    citizen = request.scope.get("citizen")
    if isinstance(citizen, Citizen):
        return citizen
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        raise Problem(401, "sign in at /tokens, and send Authorization: Bearer TOKEN")
    return service.tokens.read(token)


def address(scope: Scope, proxies: int) -> str:
    """The client's address: as the outermost trusted proxy saw it, not what a client claims."""
    forwarded = [
        part.strip()
        for name, value in scope.get("headers", ())
        if name == b"x-forwarded-for"
        for part in value.decode("latin-1").split(",")
    ]
    if proxies and forwarded:
        return str(forwarded[-min(proxies, len(forwarded))])
    client = scope.get("client")
    return str(client[0]) if client else "unknown"


class Edge:
    """Around the routes: counts requests, bounds bodies, limits who asks too often.

    Args:
        app: the routes.
        serving: the service.
        told: the settings.
        health: of the process.
    """

    def __init__(self, app: FastAPI, serving: Serving, told: Backend, health: Health) -> None:
        self.app = app
        self._serving = serving
        self._told = told
        self._body_bytes = told.picture_bytes * told.pictures + 4 * _FIELD_BYTES
        self._requests = Counter(
            "fixai_requests", "Requests answered", ["route", "status"], registry=health.registry
        )
        self._seconds = Histogram(
            "fixai_request_seconds",
            "From a request to the end of its answer",
            ["route"],
            buckets=_SECONDS,
            registry=health.registry,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or socket."""
        if scope["type"] != "http" or scope["path"] in _PLAIN:
            await self.app(scope, receive, send)
            return
        began, status = time.perf_counter(), 500

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            try:
                await self._serving().limit_request(address(scope, self._told.proxies))
                await self.app(scope, self._bounded(scope, receive), sending)
            except Problem as problem:
                await problem.response()(scope, receive, sending)
            except Exception:  # noqa: BLE001 - it is logged, and answered as a problem
                _log.exception("a request failed")
                failed = Problem(500, "the backend failed; its log says where; try again later")
                await failed.response()(scope, receive, sending)
        finally:
            seconds = time.perf_counter() - began
            route = getattr(scope.get("route"), "path", "none")
            self._requests.labels(route, str(status)).inc()
            self._seconds.labels(route).observe(seconds)

    def _bounded(self, scope: Scope, receive: Receive) -> Receive:
        told = dict(scope["headers"]).get(b"content-length", b"0")
        too_large = Problem(413, f"the body is larger than {self._body_bytes} bytes; send less")
        if not told.isdigit() or int(told) > self._body_bytes:
            raise too_large
        taken = 0

        async def receiving() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > self._body_bytes:
                raise too_large
            return message

        return receiving
