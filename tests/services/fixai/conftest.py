"""What FixAI stands on, started once for all tests; where a program is missing they are skipped."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.fixai import migrate
from tests.services.fixai import processes, stacks
from tests.services.fixai.processes import Server
from tests.services.fixai.stacks import Stack

REDIS_PASSWORD = "redis-secret"  # noqa: S105 - of a server that lives for a session
ACCESS_KEY, SECRET_KEY = "fixai", "minio-secret"


def need(*programs: str) -> None:
    """Skip what needs a program that is not here."""
    if why := processes.lacking(*programs):
        pytest.skip(why)


@pytest.fixture(scope="session")
def zookeeper_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A ZooKeeper of one."""
    need("java", "mvn")
    with processes.zookeeper(place(tmp_path_factory, "zookeeper")) as server:
        yield server


@pytest.fixture(scope="session")
def kafka_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A broker of one that keeps its metadata itself; topics are the tests' own to make."""
    need("java", "mvn")
    with processes.kafka(place(tmp_path_factory, "kafka")) as server:
        yield server


@pytest.fixture(scope="session")
def cassandra_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A node of its own; `cassandra`/`cassandra` may do everything, keyspaces are the tests'."""
    need("java", "mvn")
    with processes.cassandra(place(tmp_path_factory, "cassandra")) as server:
        yield server


@pytest.fixture(scope="session")
def cache_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A Redis that asks for REDIS_PASSWORD."""
    need("redis-server")
    with processes.redis(place(tmp_path_factory, "redis"), REDIS_PASSWORD) as server:
        yield server


@pytest.fixture(scope="session")
def minio_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A MinIO whose root is ACCESS_KEY with SECRET_KEY; buckets are the tests' own to make."""
    need("minio")
    folder = place(tmp_path_factory, "minio")
    with processes.minio(folder, ACCESS_KEY, SECRET_KEY) as server:
        yield server


@pytest.fixture(scope="module")
def stack(
    tmp_path_factory: pytest.TempPathFactory,
    kafka_server: Server,
    cassandra_server: Server,
    cache_server: Server,
    minio_server: Server,
) -> Stack:
    """The real servers, with a keyspace of the module's own; topics and buckets are common."""
    folder = place(tmp_path_factory, "stack")
    settings = stacks.told(
        folder,
        kafka={"servers": kafka_server.address, "partitions": 4},
        cassandra={
            "hosts": ["127.0.0.1"],
            "port": cassandra_server.port,
            "keyspace": stacks.keyspace(),
        },
        redis={"host": "127.0.0.1", "port": cache_server.port},
        objects={"endpoint": f"http://{minio_server.address}"},
        consumers={
            "concurrency": 4,
            "retry_seconds": [0.3, 0.6],
            "drain_seconds": 5,
            "silent_seconds": 3,
        },
        outbox={"lease_seconds": 2, "poll_seconds": 0.05},
    )
    asyncio.run(migrate.role(settings, asyncio.Event()))
    return Stack(settings, folder)


def place(factory: pytest.TempPathFactory, name: str) -> Path:
    """A folder for a server."""
    return factory.mktemp(name)
