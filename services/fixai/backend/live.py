"""Live updates: who watches which report or place, and a socket's two directions.

A socket sends `{"type": "hello", "token": ...}` first, then as often as it likes
`{"type": "watch", "report": ID}` or `{"type": "watch", "latitude", "longitude", "radius"}`, and
`unwatch` with the same. It gets `{"type": "update", ...}` for each event of what it watches.
A socket that does not read is closed: nothing is kept for it, and it asks anew for what it missed.
"""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from prometheus_client import CollectorRegistry, Counter, Gauge
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from services.fixai import events, geo
from services.fixai.backend.accounts import Citizen, Tokens
from services.fixai.backend.problems import Problem

_QUEUE = 100
_WATCHED = 50
_HELLO_SECONDS = 10
_SEND_SECONDS = 10
_MESSAGE_CHARACTERS = 4096
_CELL = 5
UNAUTHORIZED, TOO_MANY, INVALID, SLOW, GOING_AWAY = 4401, 4429, 4400, 1013, 1001
RADIUS_METRES = 5000


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Hello(_Message):
    """Who connects."""

    type: Literal["hello"]
    token: str


class Watch(_Message):
    """What is to be told from now on, or no more."""

    type: Literal["watch", "unwatch"]
    report: UUID | None = None
    latitude: Annotated[float, Field(ge=-90, le=90)] | None = None
    longitude: Annotated[float, Field(ge=-180, le=180)] | None = None
    radius: Annotated[float, Field(gt=0, le=RADIUS_METRES)] = 500

    @property
    def what(self) -> UUID | tuple[float, float, float] | None:
        """A report or a circle."""
        if self.report is not None:
            return self.report
        if self.latitude is None or self.longitude is None:
            return None
        return self.latitude, self.longitude, self.radius


_MESSAGE: TypeAdapter[Hello | Watch] = TypeAdapter(
    Annotated[Hello | Watch, Field(discriminator="type")]
)
_What = UUID | tuple[float, float, float]


@dataclass(eq=False, slots=True)
class Watcher:
    """One socket: what it watches and what it has not been sent."""

    queue: asyncio.Queue[dict[str, Any]] = field(
        default_factory=lambda: asyncio.Queue(maxsize=_QUEUE)
    )
    watched: set[_What] = field(default_factory=set)
    slow: bool = False


class Hub:
    """Brings events to those who watch.

    Args:
        registry: of the process's figures.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._reports: dict[UUID, set[Watcher]] = defaultdict(set)
        self._cells: dict[str, set[tuple[Watcher, tuple[float, float, float]]]] = defaultdict(set)
        self._counts: dict[UUID, int] = defaultdict(int)
        self._sockets = Gauge("fixai_live_sockets", "Sockets connected", registry=registry)
        self._sent = Counter("fixai_live_updates", "Updates to sockets", registry=registry)
        self._slow = Counter(
            "fixai_live_slow", "Sockets closed because they did not read", registry=registry
        )

    @contextmanager
    def joined(self, account: UUID, limit: int) -> Iterator[Watcher | None]:
        """A watcher while the block runs; None where the account has too many."""
        if self._counts[account] >= limit:
            yield None
            return
        watcher = Watcher()
        self._counts[account] += 1
        self._sockets.inc()
        try:
            yield watcher
        finally:
            for what in list(watcher.watched):
                self.unwatch(watcher, what)
            self._counts[account] -= 1
            if not self._counts[account]:
                del self._counts[account]
            self._sockets.dec()

    def watch(self, watcher: Watcher, what: _What) -> None:
        """Tell the watcher of this from now on."""
        watcher.watched.add(what)
        if isinstance(what, UUID):
            self._reports[what].add(watcher)
        else:
            for cell in geo.cover(*what, _CELL):
                self._cells[cell].add((watcher, what))

    def unwatch(self, watcher: Watcher, what: _What) -> None:
        """Tell it no more."""
        watcher.watched.discard(what)
        if isinstance(what, UUID):
            _dropped(self._reports, what, watcher)
        else:
            for cell in geo.cover(*what, _CELL):
                _dropped(self._cells, cell, (watcher, what))

    def tell(self, event: events.Event) -> None:
        """Queue an event for all who watch its report or its place, once each."""
        told = set(self._reports.get(event.report_id, ()))
        if isinstance(event, events.Placed):
            for watcher, (latitude, longitude, radius) in self._cells.get(
                geo.encode(event.latitude, event.longitude, _CELL), ()
            ):
                if geo.distance(event.latitude, event.longitude, latitude, longitude) <= radius:
                    told.add(watcher)
        if not told:
            return
        update = describe(event)
        for watcher in told:
            try:
                watcher.queue.put_nowait(update)
                self._sent.inc()
            except asyncio.QueueFull:
                if not watcher.slow:
                    self._slow.inc()
                watcher.slow = True


def describe(event: events.Event) -> dict[str, Any]:
    """An event as sockets get it: no text that somebody wrote, no author."""
    told = event.model_dump(
        mode="json", exclude={"author", "text", "description", "embedding", "kind", "version"}
    )
    stage = event.kind.removeprefix("report-")
    return {"type": "update", "stage": stage, **told}


async def serve(hub: Hub, tokens: Tokens, socket: WebSocket, limit: int) -> None:
    """A socket, from its hello to its end."""
    await socket.accept()
    citizen = await _hello(tokens, socket)
    if citizen is None:
        await _close(socket, UNAUTHORIZED, "send a valid token in the first message")
        return
    with hub.joined(citizen.id, limit) as watcher:
        if watcher is None:
            await _close(socket, TOO_MANY, "too many sockets of this account; close one")
            return
        await _send(socket, {"type": "ready", "until": citizen.until.isoformat()})
        directions = [
            asyncio.create_task(_receiving(hub, watcher, socket)),
            asyncio.create_task(_sending(watcher, socket)),
            asyncio.create_task(_ending(citizen)),
        ]
        try:
            done, _ = await asyncio.wait(directions, return_when=asyncio.FIRST_COMPLETED)
            ended = next(iter(done))
            code, reason = (GOING_AWAY, "") if ended.exception() else ended.result()
            await _close(socket, code, reason)
        finally:
            for task in directions:
                task.cancel()


async def _hello(tokens: Tokens, socket: WebSocket) -> Citizen | None:
    scheme, _, token = socket.headers.get("Authorization", "").partition(" ")
    try:
        if scheme.lower() == "bearer":
            return tokens.read(token)
        async with asyncio.timeout(_HELLO_SECONDS):
            message = _MESSAGE.validate_json(await socket.receive_text())
        return tokens.read(message.token) if isinstance(message, Hello) else None
    except (Problem, ValidationError, TimeoutError, WebSocketDisconnect, KeyError):
        return None


async def _receiving(hub: Hub, watcher: Watcher, socket: WebSocket) -> tuple[int, str]:
    while True:
        try:
            text = await socket.receive_text()
        except (WebSocketDisconnect, KeyError):
            return INVALID, "send text"
        if len(text) > _MESSAGE_CHARACTERS:
            return INVALID, "the message is too long"
        try:
            message = _MESSAGE.validate_json(text)
        except ValidationError:
            return INVALID, "not a message that is known here; see the documentation"
        what = message.what if isinstance(message, Watch) else None
        if what is None:
            return INVALID, "name a report, or latitude and longitude"
        if message.type == "unwatch":
            if what in watcher.watched:
                hub.unwatch(watcher, what)
        elif len(watcher.watched) >= _WATCHED and what not in watcher.watched:
            return TOO_MANY, f"watch at most {_WATCHED} reports and places"
        else:
            hub.watch(watcher, what)
        await _send(socket, {"type": f"{message.type}ing", "count": len(watcher.watched)})


async def _sending(watcher: Watcher, socket: WebSocket) -> tuple[int, str]:
    while not watcher.slow:
        update = await watcher.queue.get()
        try:
            async with asyncio.timeout(_SEND_SECONDS):
                await _send(socket, update)
        except TimeoutError:
            break
    return SLOW, "updates were not read; connect again and ask for what was missed"


async def _ending(citizen: Citizen) -> tuple[int, str]:
    await asyncio.sleep(max((citizen.until - datetime.now(UTC)).total_seconds(), 0))
    return UNAUTHORIZED, "the token's time is over; connect with a new one"


async def _send(socket: WebSocket, message: dict[str, Any]) -> None:
    await socket.send_text(json.dumps(message))


async def _close(socket: WebSocket, code: int, reason: str) -> None:
    if socket.client_state == WebSocketState.CONNECTED:
        with suppress(RuntimeError, WebSocketDisconnect):
            await socket.close(code, reason)


def _dropped(sets: dict[Any, set[Any]], key: Any, value: Any) -> None:
    if key in sets:
        sets[key].discard(value)
        if not sets[key]:
            del sets[key]
