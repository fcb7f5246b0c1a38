"""Health and figures of a role without an API: `/healthz`, `/readyz`, `/metrics`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, ProcessCollector
from prometheus_client import generate_latest as exposition

from services.fixai.settings import Listen

_REQUEST_SECONDS = 5
_REASONS = {200: "OK", 404: "Not Found", 405: "Method Not Allowed", 503: "Service Unavailable"}


def registry() -> CollectorRegistry:
    """A process's own, with its memory and processor time."""
    made = CollectorRegistry()
    ProcessCollector(registry=made)
    return made


@dataclass(slots=True)
class Health:
    """What a process tells of itself.

    Attributes:
        registry: its figures.
        parts: by name, whether each part that it needs is there; ready is when all are.
    """

    registry: CollectorRegistry = field(default_factory=registry)
    parts: dict[str, Callable[[], bool]] = field(default_factory=dict)

    def state(self) -> dict[str, bool]:
        """Every part and whether it is there."""
        return {name: told() for name, told in self.parts.items()}

    def answer(self, path: str) -> tuple[int, str, bytes]:
        """Status, content type and body for a path."""
        if path == "/metrics":
            return 200, CONTENT_TYPE_LATEST, exposition(self.registry)
        if path == "/healthz":
            return 200, "application/json", b'{"status": "alive"}\n'
        if path == "/readyz":
            state = self.state()
            ready = bool(state) and all(state.values())
            told = {"status": "ready" if ready else "not ready", "parts": state}
            return 200 if ready else 503, "application/json", json.dumps(told).encode() + b"\n"
        return 404, "text/plain", b"ask for /healthz, /readyz or /metrics\n"


@asynccontextmanager
async def serving(listen: Listen, health: Health) -> AsyncIterator[int]:
    """Answer while the block runs; its value is the port."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_REQUEST_SECONDS):
                head = await reader.readuntil(b"\r\n\r\n")
                method, path = (*head.split(b" ", 2), b"", b"")[:2]
                status, kind, body = health.answer(path.partition(b"?")[0].decode("latin-1"))
                if method not in {b"GET", b"HEAD"}:
                    status, kind, body = 405, "text/plain", b"GET only\n"
                lines = (
                    f"HTTP/1.1 {status} {_REASONS[status]}\r\nContent-Type: {kind}\r\n"
                    f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
                )
                writer.write(lines.encode() + (b"" if method == b"HEAD" else body))
                await writer.drain()
        except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(answer, listen.host, listen.port)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
