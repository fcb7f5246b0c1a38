"""Pass a request on to Ollama, and its answer back, byte by byte as it comes."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Mapping
from typing import Protocol

import aiohttp
from prometheus_client import Gauge
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from services.assistant.answers import Answer
from services.assistant.circuit import Away
from services.assistant.edge import BROKEN
from services.assistant.ollama import Ollama

_OK = 200
_BAD_GATEWAY = 502
_PASSED_HEADERS = ("Content-Type", "Retry-After")
_FAULTS = (aiohttp.ClientError, TimeoutError, OSError)
_LOG = logging.getLogger(__name__)


class Book(Protocol):
    """Who writes down what passes."""

    def accepted(self) -> None:
        """Ollama takes the request; not called where it refuses."""

    async def ended(self, answer: Answer) -> None:
        """The answer is over, however it ended; called once for every request.

        Where the answer is whole its last byte waits for this: who has read it to the end finds
        it remembered.
        """


class Relay(Response):
    """A response that is Ollama's.

    The upstream request ends when the client leaves, whether or not a byte has come by then.

    Args:
        target: Ollama's path.
        body: as Ollama gets it.
        stream: whether the answer comes in lines; if not it is passed on as a whole.
        headers: added to the answer.
        queued: counts while Ollama has not begun.
    """

    def __init__(  # noqa: PLR0913 - one call site a route, all by name
        self,
        ollama: Ollama,
        *,
        target: str,
        body: bytes,
        stream: bool,
        headers: Mapping[str, str],
        answer: Answer,
        book: Book,
        queued: Gauge,
    ) -> None:
        super().__init__(headers=dict(headers))
        self._ollama = ollama
        self._target = target
        self._request = body
        self._stream = stream
        self._added = dict(headers)
        self._answer = answer
        self._book = book
        self._queued = queued
        self._ending: asyncio.Task[None] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Relay one request."""
        pump = asyncio.create_task(self._pump(send))
        gone = asyncio.create_task(_gone(receive))
        try:
            await asyncio.wait({pump, gone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            gone.cancel()
            pump.cancel()
            await asyncio.wait({pump, gone})
            await self._tell()
            scope[BROKEN] = self._answer.status == _OK and self._answer.error is not None
        if not pump.cancelled() and (error := pump.exception()) is not None:
            raise error

    async def _pump(self, send: Send) -> None:
        try:
            with self._queued.track_inprogress():
                upstream = await self._ollama.open(self._target, self._request)
        except Away as error:
            await self._tell()
            await _whole(send, _BAD_GATEWAY, self._all_headers({}), _error(f"{error}; try again"))
            return
        async with upstream:
            self._answer.status = upstream.status
            headers = self._all_headers(upstream.headers)
            if upstream.status == _OK:
                self._book.accepted()
            if upstream.status == _OK and self._stream:
                await self._pass(upstream, headers, send)
            else:
                await self._pass_whole(upstream, headers, send)

    async def _pass(
        self, upstream: aiohttp.ClientResponse, headers: list[tuple[bytes, bytes]], send: Send
    ) -> None:
        await send({"type": "http.response.start", "status": _OK, "headers": headers})
        try:
            async for chunk in upstream.content.iter_any():
                await send(_part(chunk))
                self._answer.feed(chunk)
        except _FAULTS as error:
            _LOG.warning("ollama broke off in the middle: %s", type(error).__name__)
            await send(_part(self._broken_off()))
        await self._tell()
        await send(_part(b"", more=False))

    async def _pass_whole(
        self, upstream: aiohttp.ClientResponse, headers: list[tuple[bytes, bytes]], send: Send
    ) -> None:
        status = upstream.status
        try:
            body = await upstream.read()
        except _FAULTS as error:
            self._answer.error = type(error).__name__
            status, body = _BAD_GATEWAY, _error("ollama broke off; try again")
        if upstream.status == _OK:
            self._answer.feed(body)
        await self._tell()
        await _whole(send, status, headers, body)

    def _broken_off(self) -> bytes:
        """A last line in the form that Ollama itself uses when a model fails."""
        torn = self._answer.torn
        self._answer.error = "broke off"
        return (b"\n" if torn else b"") + _error("ollama broke off in the middle") + b"\n"

    def _all_headers(self, upstream: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
        passed = {name: upstream[name] for name in _PASSED_HEADERS if name in upstream}
        told = {"Content-Type": "application/json", **passed, **self._added}
        return [(name.lower().encode(), value.encode("latin-1")) for name, value in told.items()]

    async def _tell(self) -> None:
        if self._ending is None:
            self._answer.end()
            self._ending = asyncio.create_task(self._book.ended(self._answer))
        # Shielded: a client that leaves now does not undo what is being written down.
        await asyncio.shield(self._ending)


async def _gone(receive: Receive) -> None:
    """Return when the client has left."""
    message: Message = {"type": ""}
    while message["type"] != "http.disconnect":
        message = await receive()


async def _whole(send: Send, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [*headers, length]})
    await send(_part(body, more=False))


def _part(body: bytes, *, more: bool = True) -> Message:
    return {"type": "http.response.body", "body": body, "more_body": more}


def _error(why: str) -> bytes:
    return json.dumps({"error": why}).encode()
