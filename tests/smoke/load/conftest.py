"""A PostgreSQL and a Redis, where they are installed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from tests.services.servers import Postgres, RedisServer, folder, programs


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    if programs("postgres") is None or programs("initdb") is None:
        pytest.skip("PostgreSQL is not installed (postgres, initdb); the lab's own tests cover it")
    with folder() as place:
        server = Postgres(place / "data")
        server.make()
        try:
            asyncio.run(server.start())
            yield server
        finally:
            server.kill()


@pytest.fixture
def redis_server() -> Iterator[RedisServer]:
    if programs("redis-server") is None:
        pytest.skip("Redis is not installed (redis-server); the lab's own tests cover it")
    with folder() as place:
        server = RedisServer(place)
        try:
            asyncio.run(server.start())
            yield server
        finally:
            server.kill()
