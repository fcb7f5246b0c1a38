"""A PostgreSQL and a Redis of the tests' own, on loopback, as an unprivileged user."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg
import redis.asyncio as redis

from tests.ports import free_port

OWNER = "postgres"
PASSWORD = "database-secret"  # noqa: S105 - of a server that lives for a test
ROLE = "assistant"
_START_SECONDS = 20.0


def programs(name: str) -> Path | None:
    """A program, on PATH or where Debian puts PostgreSQL's."""
    found = shutil.which(name)
    places = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), reverse=True)
    return places[0] if places else Path(found) if found else None


@contextmanager
def folder() -> Iterator[Path]:
    """A folder that the unprivileged user owns."""
    path = Path(tempfile.mkdtemp(prefix="hearth-test-"))
    try:
        if os.geteuid() == 0:
            shutil.chown(path, "nobody")
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def spawn(*command: str | Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command,
        user="nobody" if os.geteuid() == 0 else None,
        cwd="/",
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


async def answers(ask: Callable[[], Awaitable[object]]) -> None:
    """Return once it no longer raises."""
    async with asyncio.timeout(_START_SECONDS):
        while True:
            try:
                await ask()
            except (OSError, asyncpg.PostgresError, redis.RedisError):
                await asyncio.sleep(0.05)
            else:
                return


@dataclass
class Postgres:
    """A cluster in a folder."""

    data: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    def make(self) -> None:
        """Make the cluster."""
        initdb = programs("initdb")
        assert initdb is not None
        options = ("--auth=trust", "--no-sync", "-E", "UTF8", "--no-locale", "-U", OWNER)
        assert spawn(initdb, "-D", self.data, *options).wait(60) == 0

    async def start(self) -> None:
        """Return once it answers."""
        postgres = programs("postgres")
        assert postgres is not None
        told = {"port": self.port, "listen_addresses": "127.0.0.1", "fsync": "off"}
        told |= {"unix_socket_directories": "", "max_connections": 40, "shared_buffers": "16MB"}
        options = [part for name, value in told.items() for part in ("-c", f"{name}={value}")]
        self.process = spawn(postgres, "-D", self.data, *options)
        await answers(self.connects)

    async def connects(self) -> None:
        """Fail where it does not answer."""
        await (await self.connect()).close()

    async def connect(self, database: str = "postgres") -> asyncpg.Connection[asyncpg.Record]:
        """A connection as the owner."""
        return await asyncpg.connect(
            host="127.0.0.1", port=self.port, user=OWNER, database=database, timeout=5
        )

    def kill(self) -> None:
        """End it at once, as a power cut would end its sessions."""
        if self.process is not None:
            self.process.send_signal(signal.SIGQUIT)
            self.process.wait(20)
            self.process = None


@dataclass
class RedisServer:
    """A server without persistence."""

    home: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        """Return once it answers."""
        program = programs("redis-server")
        assert program is not None
        options = ("--port", str(self.port), "--bind", "127.0.0.1", "--save", "")
        self.process = spawn(program, *options, "--dir", self.home)

        async def ping() -> None:
            client = self.client()
            try:
                await client.ping()
            finally:
                await client.aclose()

        await answers(ping)

    def client(self) -> redis.Redis:
        """A client of it."""
        return redis.Redis(host="127.0.0.1", port=self.port)

    def kill(self) -> None:
        """End it at once."""
        if self.process is not None:
            with suppress(ProcessLookupError):
                self.process.kill()
            self.process.wait(20)
            self.process = None
