"""A gateway of known behaviour on loopback, in a thread of its own."""

from __future__ import annotations

import asyncio
import json
import threading
from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import cycle
from time import monotonic
from typing import TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Iterator


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
        retry_after: Whether refusals say when to retry.
        forgive: Whether a refused client is ever let in again.
        busy_first: So many requests are answered 503 before the first other.
        stall: From when to when, in seconds since the first request, nothing is answered.
        dead: Upstreams that do not answer.
        instead: Who answers for a dead one; where it is empty or dead itself, the answer is 503.
        key: Without this API key a request is answered 401; None for everybody.
    """

    delay_s: float = 0.0
    gap_s: float = 0.002
    tokens: int = 16
    truncate_every: int = 0
    hold_back: bool = False
    served_by: tuple[str, ...] = (*("agx0.assistant",) * 4, "orin0.assistant")
    limit: int | None = None
    window_s: float = WINDOW_S
    retry_after: bool = True
    forgive: bool = True
    busy_first: int = 0
    stall: tuple[float, float] | None = None
    dead: frozenset[str] = frozenset()
    instead: str = ""
    key: str | None = None
    requests: list[dict[str, object]] = field(default_factory=list)


class Gateway:
    """The request handler of one behaviour."""

    def __init__(self, behaviour: Behaviour) -> None:
        self.behaviour = behaviour
        self._upstreams = cycle(behaviour.served_by)
        self._recent: deque[float] = deque()
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
        if self._over_limit():
            return web.Response(status=429, headers={"Retry-After": "1"} if how.retry_after else {})
        await self._stalled()
        upstream = next(self._upstreams)
        if upstream in how.dead:
            upstream = how.instead
            if not upstream or upstream in how.dead:
                return web.Response(status=503)
        return await self._stream(request, number, upstream)

    def _over_limit(self) -> bool:
        how, now = self.behaviour, monotonic()
        if how.limit is None:
            return False
        while self._recent and self._recent[0] < now - how.window_s:
            self._recent.popleft()
        full = len(self._recent) >= how.limit
        self._refused = self._refused or full
        if full or (self._refused and not how.forgive):
            return True
        self._recent.append(now)
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
        await asyncio.sleep(how.delay_s)
        count = min(how.tokens, int(asked["num_predict"]))
        held = b""
        began = monotonic()
        for index in range(count):
            line = _line({"message": {"content": f"t{index} "}, "done": False})
            held = await self._send(response, held + line)
            await asyncio.sleep(how.gap_s)
        held += self._last(number, count, monotonic() - began)
        if held:
            await response.write(held)
        return response

    async def _send(self, response: web.StreamResponse, data: bytes) -> bytes:
        """Write, or keep; what is kept is returned."""
        if self.behaviour.hold_back:
            return data
        await response.write(data)
        return b""

    def _last(self, number: int, count: int, seconds: float) -> bytes:
        every = self.behaviour.truncate_every
        if every and number % every == 0:
            return b""
        return _line(
            {
                "message": {"content": ""},
                "done": True,
                "eval_count": count,
                "eval_duration": int(seconds * 1e9),
                "load_duration": 3_000_000,
            }
        )


def _line(document: dict[str, object]) -> bytes:
    return json.dumps(document).encode() + b"\n"


@contextmanager
def serving(behaviour: Behaviour) -> Iterator[str]:
    """The URL of a gateway that behaves so."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    app = web.Application()
    app.router.add_post("/api/v1/{route}", Gateway(behaviour).chat)
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
