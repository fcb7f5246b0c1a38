"""Settings for the servers of the tests, and events as the backend makes them."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
from aiokafka import AIOKafkaConsumer, ConsumerRecord

from services.fixai import events
from services.fixai.events import Category
from services.fixai.settings import ENVIRONMENT, Settings
from tests.ports import free_port

TOKEN_KEY = "a key of the tests that is long enough"  # noqa: S105 - it signs for tests alone
JPEG = b"\xff\xd8\xff\xe0" + b"0" * 64
READY_SECONDS = 60.0
PRAGUE = (50.0755, 14.4378)


def write_secrets(folder: Path, values: dict[str, dict[str, str]]) -> Path:
    """Secrets as the cluster mounts them."""
    for name, keys in values.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        for key, value in keys.items():
            (folder / name / key).write_text(value + "\n")
    return folder


def told(folder: Path, **parts: Any) -> Settings:
    """Settings with secrets in a folder; parts as the file has them."""
    kept = write_secrets(
        folder / "secrets",
        {
            "cassandra": {"user": "cassandra", "password": "cassandra"},
            "redis": {"password": "redis-secret"},
            "minio": {"access-key": "fixai", "secret-key": "minio-secret"},
            "backend": {"token-key": TOKEN_KEY},
        },
    )
    document = {
        "listen": {"host": "127.0.0.1", "port": free_port()},
        "secrets": {"folder": str(kept)},
    }
    return Settings.model_validate_json(json.dumps({**document, **parts}))


def keyspace() -> str:
    """A name that no other test has."""
    return f"t{secrets.token_hex(6)}"


def submitted(
    report_id: UUID | None = None,
    *,
    at: datetime | None = None,
    place: tuple[float, float] = PRAGUE,
    text: str = "a deep hole in the road",
) -> events.ReportSubmitted:
    """A report's event."""
    moment = at or events.now()
    return events.ReportSubmitted(
        report_id=report_id or uuid4(),
        at=moment,
        submitted_at=moment,
        author=uuid4(),
        latitude=place[0],
        longitude=place[1],
        text=text,
        category=Category.ROAD,
    )


@dataclass(frozen=True, slots=True)
class Stack:
    """Real servers with what `migrate` makes on them, for the tests of one module."""

    settings: Settings
    folder: Path

    def ported(self, **parts: Any) -> Stack:
        """The same for another process: a port of its own, and other settings in parts."""
        document = self.settings.model_dump(mode="json")
        document |= {"listen": {"host": "127.0.0.1", "port": free_port()}, **parts}
        return Stack(Settings.model_validate_json(json.dumps(document)), self.folder)

    @property
    def url(self) -> str:
        """Where a process with these settings answers."""
        return f"http://127.0.0.1:{self.settings.listen.port}"

    @contextmanager
    def process(self, role: str, step: str = "-") -> Iterator[subprocess.Popen[bytes]]:
        """A role as a process, which dies at a step; killed at the end of the block."""
        path = self.folder / f"{role}-{self.settings.listen.port}.json"
        path.write_text(self.settings.model_dump_json())
        with path.with_suffix(".log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.services.fixai.crashing", role, step],
                env={**os.environ, ENVIRONMENT: str(path)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    def ready(self, process: subprocess.Popen[bytes]) -> None:
        """Wait until a process of these settings is ready."""
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline:
            with suppress(httpx.HTTPError):
                if httpx.get(f"{self.url}/readyz").is_success:
                    return
            if process.poll() is not None:
                raise AssertionError(f"the process ended with {process.returncode}")
            time.sleep(0.05)
        raise AssertionError("the process is not ready")


async def until(true: Callable[[], bool], seconds: float = READY_SECONDS) -> None:
    """Wait until it is true.

    Raises:
        TimeoutError: it never was.
    """
    async with asyncio.timeout(seconds):
        while not true():  # noqa: ASYNC110 - whatever makes it true knows of no event
            await asyncio.sleep(0.02)


async def records(servers: str, topic: str) -> list[ConsumerRecord]:
    """Everything that a topic holds now."""
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=servers, auto_offset_reset="earliest")
    await consumer.start()
    try:
        places = consumer.assignment()
        ends = await consumer.end_offsets(places)
        found: list[ConsumerRecord] = []
        while [place for place in places if await consumer.position(place) < ends[place]]:
            for batch in (await consumer.getmany(timeout_ms=200)).values():
                found += batch
        return found
    finally:
        await consumer.stop()
