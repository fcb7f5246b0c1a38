"""A gateway of known behaviour on loopback, in a thread of its own."""

from __future__ import annotations

import asyncio
import json
import threading
from collections import deque
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from itertools import cycle
from time import monotonic
from typing import TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    Text = Callable[[str], dict[str, object]]


WINDOW_S = 0.2
"""Long enough for a burst, short enough to wait for."""


@dataclass
class Behaviour:
    """How the gateway answers a chat request.

    Args:
        delay_s: Before the first token.
        gap_s: Between tokens.
        tokens: How many there are at most.
        truncate_every: Each so-many-th answer ends without `done`.
        hold_back: Send the whole answer at its end.
        served_by: The upstreams' names, in turn.
        limit: Requests let through in a window; None for no limit.
        window_s: The limit's window.
        by_clock: Whether windows follow each other, as the gateway's engines count them.
        retry_after: Whether refusals say when to retry.
        forgive: Whether a refused client is ever let in again.
        busy_first: So many requests are answered 503 before the first other.
        stall: From when to when, in seconds since the first request, nothing is answered.
        dead: Upstreams that do not answer.
        instead: Who answers for a dead one; where it is empty or dead itself, the answer is 503.
        key: Without this API key a request is answered 401; None for everybody.
        servers: How many answers an upstream works on at once, others wait; no limit, if left out.
        draws: Whether wishes for images are granted.
        keeps: Whether those can be fetched.
        slower: By which factor an upstream's times are longer, where they are.
    """

    delay_s: float = 0.0
    gap_s: float = 0.002
    tokens: int = 16
    truncate_every: int = 0
    hold_back: bool = False
    served_by: tuple[str, ...] = (*("agx0.assistant",) * 4, "orin0.assistant")
    limit: int | None = None
    window_s: float = WINDOW_S
    by_clock: bool = False
    retry_after: bool = True
    forgive: bool = True
    busy_first: int = 0
    stall: tuple[float, float] | None = None
    dead: frozenset[str] = frozenset()
    instead: str = ""
    key: str | None = None
    servers: Mapping[str, int] = field(default_factory=dict)
    slower: Mapping[str, float] = field(default_factory=dict)
    draws: bool = True
    keeps: bool = True
    requests: list[dict[str, object]] = field(default_factory=list)


class Gateway:
    """The request handler of one behaviour."""

    def __init__(self, behaviour: Behaviour) -> None:
        self.behaviour = behaviour
        self._upstreams = cycle(behaviour.served_by)
        self._recent: dict[str, deque[float]] = {}
        self._servers = {name: asyncio.Semaphore(n) for name, n in behaviour.servers.items()}
        self._began: float | None = None
        self._refused = False

    async def chat(self, request: web.Request) -> web.StreamResponse:
        """Answer as the behaviour says."""
        how = self.behaviour
        if how.key is not None and request.headers.get("apikey") != how.key:
            return web.Response(status=401)
        body = await request.json()
        if "options" not in body:
            return web.Response(status=400)
        how.requests.append(body)
        number = len(how.requests)
        if number <= how.busy_first:
            return web.Response(status=503, headers={"Retry-After": "0"})
        if self._over_limit(request.headers.get("apikey", "")):
            return web.Response(status=429, headers={"Retry-After": "1"} if how.retry_after else {})
        await self._stalled()
        upstream = next(self._upstreams)
        if upstream in how.dead:
            upstream = how.instead
            if not upstream or upstream in how.dead:
                return web.Response(status=503)
        return await self._stream(request, number, upstream)

    async def draw(self, request: web.Request) -> web.Response:
        """Draw an image, after the delay."""
        self.behaviour.requests.append(await request.json())
        await asyncio.sleep(self.behaviour.delay_s)
        if not self.behaviour.draws:
            return web.Response(status=502)
        return web.json_response({"id": "1", "url": "/api/v1/image/1"})

    async def show(self, _request: web.Request) -> web.Response:
        """An image that was drawn."""
        if not self.behaviour.keeps:
            return web.Response(status=404)
        return web.Response(body=b"\x89PNG\r\n\x1a\nand so on", content_type="image/png")

    def _over_limit(self, client: str) -> bool:
        how, now = self.behaviour, monotonic()
        if how.limit is None:
            return False
        recent = self._recent.setdefault(client, deque())
        since = now // how.window_s * how.window_s if how.by_clock else now - how.window_s
        while recent and recent[0] < since:
            recent.popleft()
        full = len(recent) >= how.limit
        self._refused = self._refused or full
        if full or (self._refused and not how.forgive):
            return True
        recent.append(now)
        return False

    async def _stalled(self) -> None:
        now = monotonic()
        self._began = now if self._began is None else self._began
        if self.behaviour.stall is not None:
            begin, end = (self._began + offset for offset in self.behaviour.stall)
            if begin <= now < end:
                await asyncio.sleep(end - now)

    async def _stream(self, request: web.Request, number: int, upstream: str) -> web.StreamResponse:
        how = self.behaviour
        asked = how.requests[number - 1]["options"]
        assert isinstance(asked, dict)
        response = web.StreamResponse(headers={"X-Served-By": upstream})
        await response.prepare(request)
        count = min(how.tokens, int(asked["num_predict"]))
        async with self._servers.get(upstream) or nullcontext():
            with suppress(ConnectionResetError):  # whoever asked may have gone
                text = _completion if request.path.endswith("/code") else _message
                slower = how.slower.get(upstream, 1.0)
                held = await self._write(response, number, count, slower, text)
                await response.write(held)
        return response

    async def _write(
        self, response: web.StreamResponse, number: int, count: int, slower: float, text: Text
    ) -> bytes:
        """Write the tokens; what is held back is returned."""
        how, came = self.behaviour, monotonic()
        await asyncio.sleep(how.delay_s * slower)
        held = b""
        began = monotonic()
        for index in range(count):
            line = _line({**text(f"t{index} "), "done": False})
            held = await self._send(response, held + line)
            await asyncio.sleep(how.gap_s * slower)
        return held + self._last(number, count, began - came, monotonic() - began)

    async def _send(self, response: web.StreamResponse, data: bytes) -> bytes:
        """Write, or keep; what is kept is returned."""
        if self.behaviour.hold_back:
            return data
        await response.write(data)
        return b""

    def _last(self, number: int, count: int, prompt_s: float, seconds: float) -> bytes:
        every = self.behaviour.truncate_every
        if every and number % every == 0:
            return b""
        return _line(
            {
                "message": {"content": ""},
                "done": True,
                "eval_count": count,
                "eval_duration": int(seconds * 1e9),
                "prompt_eval_duration": int(prompt_s * 1e9),
                "load_duration": 3_000_000,
            }
        )


def _message(text: str) -> dict[str, object]:
    return {"message": {"content": text}}


def _completion(text: str) -> dict[str, object]:
    return {"response": text}


def _line(document: dict[str, object]) -> bytes:
    return json.dumps(document).encode() + b"\n"


@contextmanager
def serving(behaviour: Behaviour) -> Iterator[str]:
    """The URL of a gateway that behaves so."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    app = web.Application()
    gateway = Gateway(behaviour)
    app.router.add_post("/api/v1/image", gateway.draw)
    app.router.add_get("/api/v1/image/{id}", gateway.show)
    app.router.add_post("/api/v1/{route}", gateway.chat)
    runner = web.AppRunner(app, shutdown_timeout=0)
    try:
        yield asyncio.run_coroutine_threadsafe(_start(runner), loop).result()
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _start(runner: web.AppRunner) -> str:
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    return f"http://{host}:{port}"
