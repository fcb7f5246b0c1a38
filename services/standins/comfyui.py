"""ComfyUI without a GPU: its queue, its history, its messages; run as its `main.py` is.

Takes its graphs of text-to-image nodes, one at a time, and draws a pattern in place of an image:
the same for the same texts and seed, and each file says that it is simulated.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import sys
from collections.abc import Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from aiohttp import WSMsgType, web

from services.standins import graph as graphs
from services.standins.picture import png

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

VERSION = "simulated"
STEP_SECONDS = "STANDIN_STEP_SECONDS"
_DEFAULT_STEP_SECONDS = "0.02"
_KEPT = 200
_NAME = re.compile(r"[\w-]{1,64}")


@dataclass
class Ticket:
    """A graph in the queue."""

    number: float
    prompt_id: str
    graph: dict[str, Any]
    extra: dict[str, Any]
    jobs: list[graphs.Job]
    client: str

    @property
    def listed(self) -> list[Any]:
        """As ComfyUI lists it."""
        saves = [job.saves for job in self.jobs]
        return [self.number, self.prompt_id, self.graph, self.extra, saves]


@dataclass
class Studio:
    """The queue, and who listens to it.

    Args:
        output: the folder of the images.
        step_seconds: how long one step of one image takes.
    """

    output: Path
    step_seconds: float
    pending: list[Ticket] = field(default_factory=list)
    running: Ticket | None = None
    history: dict[str, dict[str, Any]] = field(default_factory=dict)
    listeners: dict[str, web.WebSocketResponse] = field(default_factory=dict)
    _count: int = 0
    _more: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def remaining(self) -> int:
        """How many graphs wait or are being drawn."""
        return len(self.pending) + (self.running is not None)

    @property
    def state(self) -> dict[str, Any]:
        """What every listener is told when it changes."""
        return {"status": {"exec_info": {"queue_remaining": self.remaining}}}

    async def take(self, body: dict[str, Any]) -> Ticket:
        """Put a graph into the queue.

        Raises:
            graphs.Refused: it cannot be drawn.
        """
        asked = body.get("prompt")
        jobs = graphs.read(asked)
        self._count += 1
        extra, client = dict(body.get("extra_data") or {}), str(body.get("client_id", ""))
        ticket = Ticket(self._count, uuid4().hex, dict(asked or {}), extra, jobs, client)
        self.pending.append(ticket)
        self._more.set()
        await self.broadcast()
        return ticket

    async def work(self) -> None:
        """Draw what is asked for, one graph at a time."""
        while True:
            await self._more.wait()
            self._more.clear()
            while self.pending:
                self.running = self.pending.pop(0)
                await self._draw(self.running)
                self.running = None
                await self.broadcast()

    async def _draw(self, ticket: Ticket) -> None:
        told: list[list[Any]] = []
        named = {"prompt_id": ticket.prompt_id}
        await self._tell(ticket, "execution_start", named, told)
        await self._tell(ticket, "execution_cached", {"nodes": [], **named}, told)
        outputs: dict[str, Any] = {}
        try:
            for job in ticket.jobs:
                outputs[job.saves] = await self._image(ticket, job)
            await self._tell(ticket, "execution_success", named, told)
        except OSError as error:
            fault = {"exception_message": f"{error.strerror} ({error.filename})", **named}
            await self._tell(ticket, "execution_error", fault, told)
        done = told[-1][0] == "execution_success"
        await self._tell(ticket, "executing", {"node": None, **named})
        self.history[ticket.prompt_id] = {
            "prompt": ticket.listed,
            "outputs": outputs,
            "status": {
                "status_str": "success" if done else "error",
                "completed": done,
                "messages": told,
            },
        }
        while len(self.history) > _KEPT:
            del self.history[next(iter(self.history))]

    async def _image(self, ticket: Ticket, job: graphs.Job) -> dict[str, Any]:
        """Draw one image and keep it; where it is."""
        named = {"prompt_id": ticket.prompt_id}
        for node in ticket.graph:
            if node != job.saves:
                await self._tell(ticket, "executing", {"node": node, "display_node": node, **named})
            if node == job.samples:
                for step in range(job.steps):
                    await asyncio.sleep(self.step_seconds)
                    ahead = {"value": step + 1, "max": job.steps, "node": node, **named}
                    await self._tell(ticket, "progress", ahead)
        texts = {"Software": "Hearth's stand-in for ComfyUI", "prompt": json.dumps(ticket.graph)}
        content = await asyncio.to_thread(png, job.wish, texts)
        kept = {"images": [self._keep(job.prefix, content)]}
        done = {"node": job.saves, "display_node": job.saves, "output": kept, **named}
        await self._tell(ticket, "executed", done)
        return kept

    def _keep(self, prefix: str, content: bytes) -> dict[str, str]:
        """Write an image under the next number of its prefix."""
        stem = prefix if _NAME.fullmatch(prefix) else "ComfyUI"
        taken = [int(path.stem.split("_")[-2]) for path in self.output.glob(f"{stem}_[0-9]*_.png")]
        path = self.output / f"{stem}_{max(taken, default=0) + 1:05}_.png"
        path.write_bytes(content)
        return {"filename": path.name, "subfolder": "", "type": "output"}

    async def _tell(
        self, ticket: Ticket, kind: str, data: dict[str, Any], kept: list[list[Any]] | None = None
    ) -> None:
        """Tell who asked for it; what is `kept` is in its history as well."""
        if kept is not None:
            kept.append([kind, data])
        listener = self.listeners.get(ticket.client)
        if listener is not None:
            with suppress(ConnectionError):
                await listener.send_json({"type": kind, "data": data})

    async def broadcast(self) -> None:
        """Tell everybody how long the queue is."""
        for listener in list(self.listeners.values()):
            with suppress(ConnectionError):
                await listener.send_json({"type": "status", "data": self.state})


def application(studio: Studio) -> web.Application:
    """ComfyUI's API."""
    app = web.Application()
    for prefix in ("", "/api"):  # each path is there twice, as in ComfyUI
        _queue_routes(app, studio, prefix)
        _state_routes(app, studio, prefix)

    async def worker(_app: web.Application) -> AsyncIterator[None]:
        async with _working(studio):
            yield

    app.cleanup_ctx.append(worker)
    return app


@asynccontextmanager
async def _working(studio: Studio) -> AsyncIterator[None]:
    working = asyncio.create_task(studio.work())
    try:
        yield
    finally:
        working.cancel()
        with suppress(asyncio.CancelledError):
            await working


def _queue_routes(app: web.Application, studio: Studio, prefix: str) -> None:
    async def prompt(request: web.Request) -> web.Response:
        """Take a graph."""
        try:
            body = await request.json()
        except ValueError:
            body = None
        try:
            ticket = await studio.take(body if isinstance(body, dict) else {})
        except graphs.Refused as refused:
            return web.json_response(refused.document, status=400)
        named = {"prompt_id": ticket.prompt_id, "number": ticket.number}
        return web.json_response({**named, "node_errors": {}})

    async def queue(_request: web.Request) -> web.Response:
        """What is drawn, and what waits."""
        running = [studio.running.listed] if studio.running else []
        pending = [ticket.listed for ticket in studio.pending]
        return web.json_response({"queue_running": running, "queue_pending": pending})

    async def length(_request: web.Request) -> web.Response:
        """How much there is to do."""
        return web.json_response(studio.state["status"])

    async def history(request: web.Request) -> web.Response:
        """What was drawn; of one ticket, nothing while it is not done."""
        wanted = request.match_info.get("ticket")
        if wanted is None:
            return web.json_response(studio.history)
        found = studio.history.get(wanted)
        return web.json_response({} if found is None else {wanted: found})

    app.router.add_post(f"{prefix}/prompt", prompt)
    app.router.add_get(f"{prefix}/prompt", length)
    app.router.add_get(f"{prefix}/queue", queue)
    app.router.add_get(f"{prefix}/history", history)
    app.router.add_get(f"{prefix}/history/{{ticket}}", history)


def _state_routes(app: web.Application, studio: Studio, prefix: str) -> None:
    async def view(request: web.Request) -> web.StreamResponse:
        """An image."""
        name = request.query.get("filename", "")
        if not name or name != Path(name).name or request.query.get("subfolder", ""):
            return web.Response(status=400)
        path = studio.output / name
        if request.query.get("type", "output") != "output" or not path.is_file():
            return web.Response(status=404)
        disposition = f'filename="{path.name}"'
        return web.FileResponse(path, headers={"Content-Disposition": disposition})

    async def info(request: web.Request) -> web.Response:
        """What nodes there are, or one of them."""
        name = request.match_info.get("node")
        return web.json_response(graphs.nodes() if name is None else graphs.object_info(name))

    async def listen(request: web.Request) -> web.WebSocketResponse:
        """Tell a client how its graphs get on."""
        listener = web.WebSocketResponse(heartbeat=30)
        await listener.prepare(request)
        client = request.query.get("clientId") or uuid4().hex
        studio.listeners[client] = listener
        try:
            greeting = {"type": "status", "data": {**studio.state, "sid": client}}
            await listener.send_json(greeting)
            async for message in listener:
                if message.type is WSMsgType.ERROR:
                    break
        finally:
            if studio.listeners.get(client) is listener:
                del studio.listeners[client]
        return listener

    app.router.add_get(f"{prefix}/view", view)
    app.router.add_get(f"{prefix}/object_info", info)
    app.router.add_get(f"{prefix}/object_info/{{node}}", info)
    app.router.add_get(f"{prefix}/system_stats", _system_stats)
    app.router.add_get(f"{prefix}/ws", listen)


async def _system_stats(_request: web.Request) -> web.Response:
    """What it runs on: no device."""
    system = {
        "os": os.name,
        "comfyui_version": VERSION,
        "python_version": sys.version,
        "argv": sys.argv,
    }
    return web.json_response({"system": system, "devices": []})


def options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The options of ComfyUI's `main.py` that change anything here."""
    parser = argparse.ArgumentParser(prog="main.py", description=__doc__)
    parser.add_argument("--listen", default="127.0.0.1", help="address")
    parser.add_argument("--port", type=int, default=8188)
    parser.add_argument(
        "--output-directory", type=Path, default=Path("output"), help="where images are kept"
    )
    parser.add_argument("--disable-all-custom-nodes", action="store_true", help="there are none")
    return parser.parse_args(arguments)


def main() -> int:
    """Serve until told to stop; the exit code."""
    told = options()
    seconds = float(os.environ.get(STEP_SECONDS, _DEFAULT_STEP_SECONDS))
    told.output_directory.mkdir(parents=True, exist_ok=True)
    studio = Studio(told.output_directory, seconds)
    sys.stdout.write(f"simulated ComfyUI on {told.listen}:{told.port}\n")
    web.run_app(application(studio), host=told.listen, port=told.port, print=None, access_log=None)
    return 0


if __name__ == "__main__":
    sys.exit(main())
