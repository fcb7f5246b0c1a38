"""Databases of the tests' own, made once; a fresh database a test."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from uuid import uuid4

import pytest

from services.assistant.migrate import migrate
from tests.services.assistants import Lab
from tests.services.servers import ROLE, Postgres, RedisServer, folder, programs


@pytest.fixture(scope="session")
def cluster() -> Iterator[Postgres]:
    if programs("postgres") is None or programs("initdb") is None:
        pytest.skip("PostgreSQL is not installed (postgres, initdb); the lab's own tests cover it")
    with folder() as place:
        postgres = Postgres(place / "data")
        postgres.make()
        try:
            asyncio.run(_template(postgres))
            yield postgres
        finally:
            postgres.kill()


async def _template(postgres: Postgres) -> None:
    await postgres.start()
    owner = await postgres.connect()
    await owner.execute(f"CREATE ROLE {ROLE} LOGIN; CREATE ROLE dashboards LOGIN")
    await owner.execute("CREATE DATABASE migrated")
    await owner.close()
    connection = await postgres.connect("migrated")
    await migrate(connection)
    await connection.close()


@pytest.fixture
def database(cluster: Postgres) -> str:
    """The name of a fresh database with the schema in it."""
    name = f"test_{uuid4().hex}"

    async def make() -> None:
        if cluster.process is None:
            await cluster.start()
        owner = await cluster.connect()
        await owner.execute(f"CREATE DATABASE {name} TEMPLATE migrated")
        await owner.close()

    asyncio.run(make())
    return name


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    if programs("redis-server") is None:
        pytest.skip("Redis is not installed (redis-server); the lab's own tests cover it")
    with folder() as home:
        server = RedisServer(home)
        try:
            yield server
        finally:
            server.kill()


@pytest.fixture
def cache(redis_server: RedisServer) -> RedisServer:
    """An empty Redis that runs."""

    async def make() -> None:
        if redis_server.process is None:
            await redis_server.start()
        client = redis_server.client()
        await client.flushall()
        await client.aclose()

    asyncio.run(make())
    return redis_server


@pytest.fixture
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """Nothing but Ollama; a test adds what it needs."""
    return Lab(tmp_path_factory.mktemp("lab"))
