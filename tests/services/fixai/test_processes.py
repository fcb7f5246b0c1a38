"""The programs that FixAI stands on, started as their images start them."""

from __future__ import annotations

import asyncio
import os
import re
import socket
import subprocess
import urllib.request
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from cassandra.auth import PlainTextAuthProvider
from cassandra.cluster import Cluster
from cassandra.io.asyncioreactor import AsyncioConnection
from redis import Redis
from redis.exceptions import AuthenticationError

from inventory.errors import HearthError
from tests.services.fixai import processes
from tests.services.fixai.conftest import REDIS_PASSWORD, need
from tests.services.fixai.processes import Server


def tool(server: Server, kind: str, name: str, *arguments: str) -> str:
    """What a tool of the server's image says."""
    home = {f"{kind.upper()}_HOME": str(server.home / "opt" / kind)}
    return subprocess.run(
        [server.home / "usr/local/bin" / name, *arguments],
        env={**os.environ, **home},
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def make_topic(server: Server, name: str) -> None:
    """Make a topic of two partitions."""
    arguments = ("--create", "--topic", name, "--partitions", "2", "--replication-factor", "1")
    tool(server, "kafka", "kafka-topics", "--bootstrap-server", server.address, *arguments)


async def sent_and_read(server: Server, topic: str, text: bytes) -> bytes | None:
    """What a consumer reads of what a producer sent."""
    async with (
        AIOKafkaProducer(bootstrap_servers=server.address) as producer,
        AIOKafkaConsumer(
            topic, bootstrap_servers=server.address, group_id="g", auto_offset_reset="earliest"
        ) as consumer,
    ):
        await producer.send_and_wait(topic, text)
        async with asyncio.timeout(20):
            message = await consumer.getone()
        return message.value  # type: ignore[no-any-return]


def figures(server: Server) -> str:
    """What it tells Prometheus."""
    with urllib.request.urlopen(f"http://127.0.0.1:{server.metrics}/metrics", timeout=10) as answer:
        return str(answer.read().decode())


def test_a_broker_without_zookeeper_passes_messages_on(kafka_server: Server) -> None:
    make_topic(kafka_server, "alone")

    assert asyncio.run(sent_and_read(kafka_server, "alone", b"one")) == b"one"
    bootstrap = ("--bootstrap-server", kafka_server.address)
    groups = tool(kafka_server, "kafka", "kafka-consumer-groups", *bootstrap, "--list")
    assert "g" in groups.splitlines()
    told = figures(kafka_server)
    assert 'kafka_topic_messages_in_total{topic="alone"} 1.0' in told
    assert re.search(r'kafka_partition_end_offset\{partition="[01]",topic="alone"\} 1.0', told)
    assert "kafka_partitions_under_replicated 0.0" in told


def test_a_broker_keeps_its_topics_in_zookeeper(zookeeper_server: Server, tmp_path: Path) -> None:
    with processes.kafka(tmp_path, zookeeper_server.address) as broker:
        make_topic(broker, "kept")

        assert asyncio.run(sent_and_read(broker, "kept", b"two")) == b"two"
    with socket.create_connection(("127.0.0.1", zookeeper_server.port), 5) as connection:
        connection.sendall(b"dump")
        said = b"".join(iter(lambda: connection.recv(65536), b"")).decode()
    assert "/brokers/ids/1" in said


def test_cassandra_asks_for_a_password_and_knows_itself(cassandra_server: Server) -> None:
    with Cluster(
        ["127.0.0.1"],
        port=cassandra_server.port,
        auth_provider=PlainTextAuthProvider("cassandra", "cassandra"),
        connection_class=AsyncioConnection,
    ) as cluster:
        row = cluster.connect().execute("SELECT release_version FROM system.local").one()

    assert row.release_version.startswith("5.0.")
    assert re.search(r'cassandra_requests_total\{kind="Read"\} [1-9]', figures(cassandra_server))


def test_redis_asks_for_its_password(cache_server: Server) -> None:
    with pytest.raises(AuthenticationError):
        Redis(port=cache_server.port).ping()

    assert Redis(port=cache_server.port, password=REDIS_PASSWORD).ping()


def test_minio_answers(minio_server: Server) -> None:
    url = f"http://{minio_server.address}/minio/health/live"

    with urllib.request.urlopen(url, timeout=5) as answer:
        assert answer.status == 200


def test_a_server_that_does_not_start_tells_its_last_words(tmp_path: Path) -> None:
    need("java", "mvn")

    with (
        pytest.raises(HearthError, match=r"does not listen on \d+; it said:\n[\s\S]*not-a-number"),
        processes.kafka(tmp_path, settings={"node.id": "not-a-number"}),
    ):
        pass
