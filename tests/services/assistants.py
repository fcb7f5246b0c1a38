"""Assistants on real sockets, in this process or in one of their own."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import uvicorn

from services.assistant.app import Assistant
from services.assistant.parts import Parts
from services.assistant.settings import Settings
from tests.ports import free_port
from tests.services.fakes import FakeOllama
from tests.services.servers import PASSWORD, ROLE, Postgres, RedisServer

_WAIT_SECONDS = 20.0


@dataclass
class Lab:
    """What the assistants of a test are told."""

    home: Path
    told: dict[str, Any] = field(default_factory=dict)

    def with_database(self, postgres: Postgres, name: str) -> Lab:
        """These assistants have a database."""
        place = {"host": "127.0.0.1", "port": postgres.port, "name": name}
        self.told["database"] = {**place, "user": ROLE, "password": PASSWORD}
        return self

    def with_cache(self, server: RedisServer) -> Lab:
        """These assistants have a cache."""
        self.told["redis"] = {"host": "127.0.0.1", "port": server.port, "password": None}
        return self

    def document(self, ollama: FakeOllama, name: str = "agx0.assistant") -> dict[str, Any]:
        """The settings of one assistant, as its file says them."""
        absent = dict.fromkeys(("database", "redis", "objects", "images", "analysis"))
        return {
            "name": name,
            "listen": {"host": "127.0.0.1", "port": 8200},
            "ollama": {"url": ollama.url},
            "models": {"chat": "llama3.2", "code": "codellama:34b"},
            **absent,
            **self.told,
            "spool": str(self.home / name),
        }

    @asynccontextmanager
    async def assistant(
        self, ollama: FakeOllama, name: str = "agx0.assistant"
    ) -> AsyncIterator[Node]:
        """One assistant in this process."""
        program = Assistant(Settings.model_validate(self.document(ollama, name)))
        config = uvicorn.Config(
            program, host="127.0.0.1", port=0, log_config=None, access_log=False, lifespan="on"
        )
        server = uvicorn.Server(config)
        # Without serve(), which takes this process' signals.
        serving = asyncio.create_task(server._serve())
        await eventually(lambda: server.started or serving.done())
        port = server.servers[0].sockets[0].getsockname()[1]
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
            try:
                yield Node(session, program.parts)
            finally:
                await session.close()
                server.should_exit = True
                await serving

    @asynccontextmanager
    async def process(self, ollama: FakeOllama, name: str = "agx0.assistant") -> AsyncIterator[Own]:
        """One assistant as a process of its own, run as it is in the lab."""
        document = self.document(ollama, name)
        document["listen"]["port"] = port = free_port()
        path = self.home / f"{name}.json"
        path.write_text(json.dumps(document))
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "services.assistant",
            env={**os.environ, "ASSISTANT_CONFIG": str(path)},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
            own = Own(session, process)
            try:
                await eventually(own.alive)
                yield own
            finally:
                if process.returncode is None:
                    process.kill()
                await process.communicate()


@dataclass
class Client:
    """Asks one assistant."""

    session: aiohttp.ClientSession

    async def chat(self, text: str = "Hi", *, consumer: str = "ada", **body: Any) -> Reply:
        """Ask one question."""
        return await self.post(
            "/api/v1/chat",
            {"model": "llama3.2", "messages": [{"role": "user", "content": text}], **body},
            consumer=consumer,
        )

    async def post(self, path: str, body: Any, *, consumer: str = "ada") -> Reply:
        """Post a JSON body."""
        headers = {"X-Consumer-Username": consumer}
        async with self.session.post(path, json=body, headers=headers) as response:
            return Reply(response.status, response.headers, await response.read())

    async def get(self, path: str, *, consumer: str = "ada") -> Reply:
        """Get something."""
        headers = {"X-Consumer-Username": consumer}
        async with self.session.get(path, headers=headers) as response:
            return Reply(response.status, response.headers, await response.read())

    async def figure(self, name: str) -> float | None:
        """A line of the metrics, by all that stands before its value."""
        for line in (await self.get("/metrics")).body.decode().splitlines():
            if line.startswith(f"{name} "):
                return float(line.rpartition(" ")[2])
        return None


@dataclass
class Node(Client):
    """An assistant in this process."""

    parts: Parts


@dataclass
class Own(Client):
    """An assistant in its own process."""

    process: asyncio.subprocess.Process

    async def alive(self) -> bool:
        """Whether it answers; fails where it has ended."""
        assert self.process.returncode is None, await self.log()
        try:
            return (await self.get("/health")).status == 200
        except aiohttp.ClientError:
            return False

    def kill(self) -> None:
        """End it at once, as a power cut would."""
        self.process.kill()

    async def stop(self) -> str:
        """Ask it to stop; all that it logged."""
        self.process.send_signal(signal.SIGTERM)
        return await self.log()

    async def log(self) -> str:
        """Wait for its end; all that it logged."""
        return (await self.process.communicate())[0].decode()


@dataclass(frozen=True)
class Reply:
    """What came back."""

    status: int
    headers: Any
    body: bytes

    @property
    def json(self) -> Any:
        """The body, read."""
        return json.loads(self.body)


async def eventually(
    claim: Callable[[], bool | Awaitable[bool]], seconds: float = _WAIT_SECONDS
) -> None:
    """Return once it holds; fail if it does not in time."""
    async with asyncio.timeout(seconds):
        while True:
            held = claim()
            if held if isinstance(held, bool) else await held:
                return
            await asyncio.sleep(0.02)
