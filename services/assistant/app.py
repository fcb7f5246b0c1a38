"""The program: its routes, and what starts and stops with it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from uuid import UUID

import aiohttp
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from services.assistant import chat, code, image
from services.assistant.asking import consumer_of
from services.assistant.circuit import Away
from services.assistant.edge import Edge, route_of
from services.assistant.metrics import VERSION
from services.assistant.parts import Parts
from services.assistant.records import Record, Usage
from services.assistant.refusals import Refused
from services.assistant.settings import Settings
from services.assistant.spool import SpoolError

_READ_BYTES = 256 * 1024
_COUNTED = frozenset({chat.ROUTE, code.ROUTE, image.ROUTE})


class Assistant:
    """The whole as one ASGI program; its parts live from startup to shutdown.

    Args:
        settings: one assistant's.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._edge: ASGIApp | None = None
        self._parts: Parts | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or the server's startup and shutdown."""
        if scope["type"] == "lifespan" or self._edge is None:
            await self._live(receive, send)
        else:
            await self._edge(scope, receive, send)

    @property
    def parts(self) -> Parts:
        """The parts, while it runs."""
        if self._parts is None:
            raise RuntimeError("the assistant does not run")
        return self._parts

    async def _live(self, receive: Receive, send: Send) -> None:
        """From the server's startup to its shutdown, in ASGI's words."""
        await receive()
        async with AsyncExitStack() as stack:
            try:
                await stack.enter_async_context(self._running())
            except SpoolError as error:
                await send({"type": "lifespan.startup.failed", "message": str(error)})
                return
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})

    @asynccontextmanager
    async def _running(self) -> AsyncIterator[None]:
        # As many connections as requests: Ollama's own queue is the one that refuses.
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(total=60, connect=3),
            read_bufsize=_READ_BYTES,
        ) as session:
            self._parts = parts = Parts.of(self._settings, session)
            async with parts.running():
                self._edge = Edge(routes(parts), self._settings.name, parts.metrics)
                yield


def routes(parts: Parts) -> FastAPI:
    """The API on these parts."""
    app = FastAPI(title="Assistant", version=VERSION, docs_url=None, redoc_url=None)
    _refusals(app, parts)
    _serving(app, parts)
    _state(app, parts)
    return app


def _serving(app: FastAPI, parts: Parts) -> None:
    @app.post("/api/v1/chat")
    async def answer_chat(request: Request) -> Response:
        """Ollama's `/api/chat`, with `conversation` to go on with an earlier one."""
        return await chat.answer(parts, request)

    @app.post("/api/v1/code")
    async def answer_code(request: Request) -> Response:
        """Ollama's `/api/generate`, by the code model where none is named."""
        return await code.answer(parts, request)

    @app.post("/api/v1/image")
    async def answer_image(request: Request) -> JSONResponse:
        """Draw `{prompt, negative?, width?, height?, steps?, seed?}`."""
        return JSONResponse(await image.answer(parts, request))

    @app.get("/api/v1/image/{image_id}")
    async def show_image(image_id: UUID) -> Response:
        """An image that was drawn, as PNG."""
        return await image.show(parts, image_id)

    @app.get("/api/v1/usage")
    async def usage(request: Request) -> JSONResponse:
        """What the consumer used, a row a day and route, newest first."""
        consumer = consumer_of(request)
        if parts.store is None:
            raise Refused(501, f"{parts.settings.name} counts no usage; ask another assistant")
        try:
            rows = await parts.store.usage(consumer)
        except Away as error:
            raise Refused.away(error) from error
        return JSONResponse({"consumer": consumer, "usage": rows})

    @app.get("/api/version")
    @app.get("/api/tags")
    async def ollama(request: Request) -> Response:
        """Ollama's own."""
        try:
            fetched = await parts.ollama.fetch(request.url.path)
        except Away as error:
            raise Refused(502, f"{error}; try again") from error
        return Response(
            fetched.body, fetched.status, headers={"Content-Type": fetched.content_type}
        )


def _state(app: FastAPI, parts: Parts) -> None:
    @app.get("/health")
    async def health() -> dict[str, str]:
        """The process answers."""
        return {"status": "alive", "name": parts.settings.name}

    @app.get("/ready")
    async def ready() -> JSONResponse:
        """Chat works; 503 where it does not. What else is away is named."""
        degraded = {
            circuit.name: circuit.why for circuit, _ in parts.dependencies() if not circuit.up
        }
        document = {"name": parts.settings.name, "degraded": degraded}
        try:
            await parts.ollama.probe()
        except Away as error:
            return JSONResponse({"status": "away", "why": str(error), **document}, 503)
        return JSONResponse({"status": "degraded" if degraded else "ready", **document})

    @app.get("/metrics")
    async def metrics() -> Response:
        """For Prometheus."""
        return Response(parts.metrics.text(), media_type="text/plain; version=0.0.4")


def _refusals(app: FastAPI, parts: Parts) -> None:
    @app.exception_handler(Refused)
    async def refused(request: Request, error: Refused) -> Response:
        route = route_of(request.url.path)
        if route in _COUNTED:
            parts.recorder.keep(
                Record(consumer=consumer_of(request), usage=Usage(route=route, error=True))
            )
        return error.response()

    @app.exception_handler(RequestValidationError)
    async def invalid(_request: Request, error: RequestValidationError) -> Response:
        faults = "; ".join(f"{fault['loc'][-1]}: {fault['msg']}" for fault in error.errors())
        return Refused(400, faults).response()

    @app.exception_handler(HTTPException)
    async def unknown(_request: Request, error: HTTPException) -> Response:
        response = Refused(error.status_code, str(error.detail)).response()
        response.headers.update(error.headers or {})
        return response

    @app.exception_handler(Exception)
    async def failed(_request: Request, _error: Exception) -> Response:
        return Refused(500, "the assistant failed; its log says where").response()
