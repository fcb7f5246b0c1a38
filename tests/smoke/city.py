"""A FixAI of known behaviour, behind TLS, on this computer."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from aiohttp import WSMsgType, web

from smoke.citizens import STAGES

if TYPE_CHECKING:
    from pathlib import Path


STAGE_S = 0.02


@dataclass
class Behaviour:
    """What is wrong with it; as it comes, nothing is.

    Attributes:
        forgets: of so many reports one is acknowledged and not kept.
        refuses: of so many one is answered with 503.
        stuck: this stage is never reached.
        silent: of this stage there are no live updates.
        twice: live updates come twice.
        joins: how a report's problem is told from its category and place.
        late_s: before a report is acknowledged.
    """

    forgets: int = 0
    refuses: int = 0
    stuck: str = ""
    silent: str = ""
    twice: bool = False
    joins: str = "by place"
    late_s: float = 0.0
    submitted: list[str] = field(default_factory=list)


class City:
    """The API, as far as the suite uses it."""

    def __init__(self, behaviour: Behaviour) -> None:
        self.behaviour = behaviour
        self.reports: dict[str, dict[str, Any]] = {}
        self.sockets: list[web.WebSocketResponse] = []
        self.running: set[asyncio.Task[None]] = set()
        self.count = 0

    def app(self) -> web.Application:
        """Its routes."""
        app = web.Application()
        app.router.add_post("/accounts", self.register)
        app.router.add_post("/tokens", self.sign_in)
        app.router.add_post("/reports", self.submit)
        app.router.add_get("/reports/{id}", self.show)
        app.router.add_get("/live", self.live)
        return app

    async def register(self, request: web.Request) -> web.Response:
        """An account."""
        told = await request.json()
        return web.json_response({"id": str(uuid4()), "name": told["name"]}, status=201)

    async def sign_in(self, _request: web.Request) -> web.Response:
        """A token."""
        return web.json_response({"token": "good", "until": "2030-01-01T00:00:00Z"})

    async def submit(self, request: web.Request) -> web.Response:
        """A report is acknowledged, as the behaviour has it."""
        if request.headers.get("Authorization") != "Bearer good":
            return web.json_response({"detail": "sign in"}, status=401)
        form = await request.post()
        self.count += 1
        if self.behaviour.refuses and self.count % self.behaviour.refuses == 0:
            return web.json_response({"detail": "try again"}, status=503)
        await asyncio.sleep(self.behaviour.late_s)
        report_id, place = (
            str(uuid4()),
            " ".join(str(form[axis]) for axis in ("latitude", "longitude")),
        )
        problem = {"by place": place, "all": "all", "none": report_id}[self.behaviour.joins]
        self.behaviour.submitted.append(report_id)
        if not self.behaviour.forgets or self.count % self.behaviour.forgets:
            self.reports[report_id] = {"id": report_id}
            task = asyncio.create_task(self.work(report_id, problem))
            self.running.add(task)
            task.add_done_callback(self.running.discard)
        return web.json_response({"id": report_id, "status": "submitted"}, status=201)

    async def show(self, request: web.Request) -> web.Response:
        """What is known of a report."""
        found = self.reports.get(request.match_info["id"])
        if found is None:
            return web.json_response({"detail": "no such report"}, status=404)
        return web.json_response(found)

    async def live(self, request: web.Request) -> web.WebSocketResponse:
        """A socket that is told of everything."""
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                await socket.send_json({"type": "watching", "count": 1})
                self.sockets.append(socket)
        return socket

    async def work(self, report_id: str, problem: str) -> None:
        """The pipeline."""
        for stage in STAGES:
            await asyncio.sleep(STAGE_S)
            if stage == self.behaviour.stuck:
                return
            self.reports[report_id][f"{stage}_at"] = "2026-01-01T00:00:00Z"
            if stage == "clustered":
                self.reports[report_id]["problem_id"] = problem
            if stage != self.behaviour.silent:
                update = {"type": "update", "stage": stage, "report_id": report_id}
                for socket in self.sockets:
                    for _ in range(2 if self.behaviour.twice else 1):
                        await socket.send_json(update)


@contextmanager
def serving(behaviour: Behaviour, certificate: Path, key: Path) -> Iterator[str]:
    """The URL of a city that behaves so."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    runner = web.AppRunner(City(behaviour).app(), shutdown_timeout=0)

    async def start() -> str:
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
        return f"https://127.0.0.1:{runner.addresses[0][1]}"

    try:
        yield asyncio.run_coroutine_threadsafe(start(), loop).result()
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
