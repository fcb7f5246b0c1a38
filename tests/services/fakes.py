"""Servers that stand in for Ollama, ComfyUI, S3 and SonarQube, on real sockets."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiohttp import web

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 300


def line(document: dict[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode() + b"\n"


def chat_lines(*tokens: str, model: str = "llama3.2") -> list[bytes]:
    """An answer as Ollama streams it, its counters included."""
    spoken = [
        line(
            {
                "model": model,
                "created_at": "2026-01-01T00:00:00Z",
                "message": {"role": "assistant", "content": token},
                "done": False,
            }
        )
        for token in tokens
    ]
    return [*spoken, last_line(len(tokens), model, message={"role": "assistant", "content": ""})]


def code_lines(*tokens: str, model: str = "codellama:34b") -> list[bytes]:
    spoken = [line({"model": model, "response": token, "done": False}) for token in tokens]
    return [*spoken, last_line(len(tokens), model, response="")]


def last_line(tokens: int, model: str, **said: Any) -> bytes:
    counters = {
        "done_reason": "stop",
        "done": True,
        "total_duration": 9_000_000,
        "prompt_eval_count": 7,
        "eval_count": tokens,
        "eval_duration": tokens * 100_000_000,
    }
    return line({"model": model, **said, **counters})


async def at_once(_place: int) -> None:
    """Hold nothing back."""


@dataclass
class FakeOllama:
    """Answers with `lines`; `before` is awaited before each."""

    lines: list[bytes] = field(default_factory=lambda: chat_lines("Hel", "lo"))
    before: Callable[[int], Awaitable[None]] = at_once
    status: int = 200
    error: bytes = b'{"error":"server busy, please try again.  maximum pending requests exceeded"}'
    breaks_after: int | None = None
    bodies: list[dict[str, Any]] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)
    left: asyncio.Event = field(default_factory=asyncio.Event)
    url: str = ""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer one request."""
        raw = await request.read()
        self.raw.append(raw)
        self.bodies.append(json.loads(raw))
        if self.status != 200:
            return web.Response(
                body=self.error, status=self.status, content_type="application/json"
            )
        if self.bodies[-1].get("stream") is False:
            return web.Response(body=self.lines[-1].strip(), content_type="application/json")
        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        try:
            await self.before(0)  # as Ollama, whose headers come with the first line
            await response.prepare(request)
            await self._stream(request, response)
        except (ConnectionError, asyncio.CancelledError):
            self.left.set()
            raise
        return response

    async def _stream(self, request: web.Request, response: web.StreamResponse) -> None:
        for place, part in enumerate(self.lines):
            if place:
                await self.before(place)
            if place == self.breaks_after:
                assert request.transport is not None
                await response.write(part[:9])
                await asyncio.sleep(0.05)
                request.transport.abort()
                return
            await response.write(part)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[FakeOllama]:
        """It runs while this is entered."""
        app = web.Application()
        app.router.add_post("/api/chat", self.answer)
        app.router.add_post("/api/generate", self.answer)
        app.router.add_get("/api/version", _document({"version": "0.12.0"}))
        app.router.add_get("/api/tags", _document({"models": [{"name": "llama3.2"}]}))
        loaded = {"name": "llama3.2:latest", "size": 3000, "size_vram": 2000}
        app.router.add_get("/api/ps", _document({"models": [loaded]}))
        async with served(app) as self.url:
            yield self


@dataclass
class FakeComfyUI:
    """Draws `PNG` after some polls."""

    polls: int = 2
    checkpoints: list[str] = field(default_factory=lambda: ["sd15.safetensors"])
    failure: str | None = None
    refuses: bool = False
    graphs: list[dict[str, Any]] = field(default_factory=list)
    url: str = ""

    async def prompt(self, request: web.Request) -> web.Response:
        """Take a workflow."""
        if self.refuses:
            fault = {"error": {"type": "x", "message": "Value not in list"}, "node_errors": {}}
            return web.json_response(fault, status=400)
        self.graphs.append((await request.json())["prompt"])
        return web.json_response({"prompt_id": "p1", "number": 1, "node_errors": {}})

    async def history(self, _request: web.Request) -> web.Response:
        """How far a workflow is."""
        self.polls -= 1
        if self.polls > 0:
            return web.json_response({})
        if self.failure is not None:
            told: list[Any] = [["execution_error", {"exception_message": self.failure}]]
            status = {"status_str": "error", "completed": False, "messages": told}
            return web.json_response({"p1": {"outputs": {}, "status": status}})
        image = {"filename": "assistant_00001_.png", "subfolder": "", "type": "output"}
        status = {"status_str": "success", "completed": True, "messages": []}
        outputs = {"9": {"images": [image]}}
        return web.json_response({"p1": {"outputs": outputs, "status": status}})

    async def view(self, request: web.Request) -> web.Response:
        """The image."""
        assert request.query["filename"] == "assistant_00001_.png"
        return web.Response(body=PNG, content_type="image/png")

    async def info(self, _request: web.Request) -> web.Response:
        """The checkpoints that are installed."""
        required = {"ckpt_name": [self.checkpoints, {}]}
        return web.json_response({"CheckpointLoaderSimple": {"input": {"required": required}}})

    @asynccontextmanager
    async def running(self) -> AsyncIterator[FakeComfyUI]:
        """It runs while this is entered."""
        app = web.Application()
        app.router.add_post("/prompt", self.prompt)
        app.router.add_get("/history/{ticket}", self.history)
        app.router.add_get("/view", self.view)
        app.router.add_get("/object_info/CheckpointLoaderSimple", self.info)
        app.router.add_get("/system_stats", _document({"system": {}}))
        async with served(app) as self.url:
            yield self


@dataclass
class FakeBucket:
    """Keeps objects in memory; refuses what is unsigned or differs from its digest."""

    objects: dict[str, bytes] = field(default_factory=dict)
    refuses: bool = False
    url: str = ""

    async def answer(self, request: web.Request) -> web.Response:
        """Answer one request."""
        body = await request.read()
        told = request.headers
        signed = told.get("Authorization", "").startswith("AWS4-HMAC-SHA256 Credential=key-id/")
        whole = told.get("x-amz-content-sha256") == hashlib.sha256(body).hexdigest()
        if self.refuses or not (signed and whole):
            return web.Response(status=403)
        if request.method == "PUT":
            self.objects[request.path] = body
        elif request.method == "GET":
            if request.path not in self.objects:
                return web.Response(status=404)
            return web.Response(body=self.objects[request.path])
        return web.Response()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[FakeBucket]:
        """It runs while this is entered."""
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self.answer)
        async with served(app) as self.url:
            yield self


@dataclass
class FakeSonarQube:
    """Has one account, and one finished task with one issue.

    Attributes:
        tokens: the names under which there is one; `made` counts them all.
        refuses: whether it knows none of its tokens any more.
    """

    account: aiohttp.BasicAuth
    tokens: set[str] = field(default_factory=set)
    made: int = 0
    refuses: bool = False
    url: str = ""

    async def change_tokens(self, request: web.Request) -> web.Response:
        """Make a token, or revoke one."""
        if request.headers.get("Authorization") != self.account.encode():
            return web.Response(status=401)
        name = str((await request.post())["name"])
        if request.path.endswith("revoke"):
            self.tokens.discard(name)
            return web.Response(status=204)
        if name in self.tokens:
            return web.json_response({"errors": [{"msg": "already exists"}]}, status=400)
        self.tokens.add(name)
        self.made += 1
        self.refuses = False
        return web.json_response({"name": name, "token": f"hidden-token-{self.made}"})

    async def task(self, request: web.Request) -> web.Response:
        """A task that has succeeded."""
        if self.refuses or request.headers["Authorization"] != f"Bearer hidden-token-{self.made}":
            return web.Response(status=401)
        assert request.query["id"] == "task-1"
        return web.json_response({"task": {"status": "SUCCESS"}})

    @asynccontextmanager
    async def running(self) -> AsyncIterator[FakeSonarQube]:
        """It runs while this is entered."""
        issue = {"rule": "python:S1", "severity": "MAJOR", "type": "BUG", "line": 1, "message": "m"}
        measures = {"component": {"measures": [{"metric": "bugs", "value": "1"}]}}
        app = web.Application()
        for change in ("revoke", "generate"):
            app.router.add_post(f"/api/user_tokens/{change}", self.change_tokens)
        app.router.add_get("/api/ce/task", self.task)
        app.router.add_get("/api/issues/search", _document({"issues": [issue]}))
        app.router.add_get("/api/measures/component", _document(measures))
        async with served(app) as self.url:
            yield self


def _document(document: Any) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def answer(_request: web.Request) -> web.Response:
        return web.json_response(document)

    return answer


@asynccontextmanager
async def served(app: web.Application) -> AsyncIterator[str]:
    """The URL of an application on loopback."""
    # handler_cancellation: the handler learns that its client left.
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
