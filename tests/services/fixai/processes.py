"""What FixAI stands on: the programs of the lab's images as processes, on loopback.

Each runs in a folder of its own while its `with` block does, and a failed start tells its last
words. Stops are kills: nothing is kept.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from inventory.errors import HearthError
from sandbox import rootfs
from sandbox.images import cluster
from sandbox.images.recipe import ENTRYPOINT
from sandbox.rootfs import File
from tests.ports import free_port
from tools import toolchain
from tools.jars import ensure_jars

START_SECONDS = 180.0
"""Cassandra takes ten on an idle computer, and many times that on a busy one."""
FILES: dict[str, Callable[[], tuple[File, ...]]] = {
    "cassandra": cluster.cassandra_files,
    "kafka": cluster.kafka_files,
    "zookeeper": cluster.zookeeper_files,
}
_LINES = 30


@dataclass(frozen=True)
class Server:
    """A server that runs.

    Attributes:
        port: where it listens on 127.0.0.1.
        home: its folder.
        log: what it said so far.
        pid: its process.
        metrics: the port of its figures for Prometheus; 0 where it has none.
    """

    port: int
    home: Path
    log: Path
    pid: int
    metrics: int = 0

    @property
    def address(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self.port}"

    @contextmanager
    def paused(self) -> Iterator[None]:
        """It answers nothing while this is entered, and goes on afterwards."""
        os.kill(self.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.pid, signal.SIGCONT)


def lacking(*programs: str) -> str:
    """Why these cannot run here; empty where they can.

    Args:
        programs: `java`, `mvn`, `redis-server` or `minio`, which is built where it is missing.
    """
    if missing := [name for name in programs if name != "minio" and not shutil.which(name)]:
        return f"no {', '.join(missing)} on PATH; .ci/packages has the Debian packages"
    try:
        if "minio" in programs:
            minio_program()
    except HearthError as error:
        return str(error)
    return ""


def minio_program() -> Path:
    """The MinIO that HEARTH_MINIO names or that is built for the lab's image.

    Raises:
        HearthError: It cannot be built.
    """
    if given := os.environ.get("HEARTH_MINIO"):
        return Path(given)
    return toolchain.ensure_programs(["minio"], lambda _: None)["minio"]


@contextmanager
def zookeeper(folder: Path) -> Iterator[Server]:
    """A ZooKeeper of one."""
    home, port = layout("zookeeper", folder), free_port()
    configuration = folder / "zoo.cfg"
    configuration.write_text(
        f"dataDir={folder}/data\nclientPort={port}\nclientPortAddress=127.0.0.1\n"
        "admin.enableServer=false\n4lw.commands.whitelist=*\n"
    )
    with running([entry(folder), configuration], folder, port, {"ZOOKEEPER_HOME": str(home)}) as s:
        yield s


@contextmanager
def kafka(
    folder: Path, zookeeper_address: str | None = None, settings: Mapping[str, object] | None = None
) -> Iterator[Server]:
    """A broker of one; topics are not made by asking for them.

    Args:
        folder: For its files.
        zookeeper_address: Where its metadata is; None keeps them itself (KRaft).
        settings: More of its properties.
    """
    home, port = layout("kafka", folder), free_port()
    properties = kafka_properties(folder, port, zookeeper_address) | dict(settings or {})
    configuration = folder / "server.properties"
    configuration.write_text("".join(f"{name}={value}\n" for name, value in properties.items()))
    environment = {
        "KAFKA_HOME": str(home),
        "CLUSTER_ID": cluster.OFFICIAL_CLUSTER_ID,
        "METRICS_PORT": str(free_port()),
    }
    with running([entry(folder), configuration], folder, port, environment) as server:
        yield server


def kafka_properties(folder: Path, port: int, zookeeper_address: str | None) -> dict[str, object]:
    """What a broker of one is told."""
    common = {
        "log.dirs": f"{folder}/data",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}",
        "auto.create.topics.enable": "false",
        "offsets.topic.replication.factor": 1,
        "offsets.topic.num.partitions": 4,
        "transaction.state.log.replication.factor": 1,
        "transaction.state.log.min.isr": 1,
        "transaction.state.log.num.partitions": 1,
        "group.initial.rebalance.delay.ms": 0,
        "group.min.session.timeout.ms": 1000,
        "log.flush.scheduler.interval.ms": 2**31 - 1,
    }
    if zookeeper_address:
        return common | {
            "broker.id": 1,
            "listeners": f"PLAINTEXT://127.0.0.1:{port}",
            "zookeeper.connect": zookeeper_address,
        }
    controller = free_port()
    return common | {
        "node.id": 1,
        "process.roles": "broker,controller",
        "listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "controller.listener.names": "CONTROLLER",
        "controller.quorum.voters": f"1@127.0.0.1:{controller}",
    }


@contextmanager
def cassandra(folder: Path) -> Iterator[Server]:
    """A node of its own that asks for a password: `cassandra`/`cassandra` may do everything."""
    home, port = layout("cassandra", folder), free_port()
    configuration = folder / "cassandra.yaml"
    configuration.write_text(yaml.safe_dump(cassandra_settings(folder, port)))
    environment = {
        "CASSANDRA_HOME": str(home),
        "JMX_PORT": str(free_port()),
        "METRICS_PORT": str(free_port()),
        "JVM_EXTRA_OPTS": f"{cluster.ALONE} -Dcassandra.storagedir={folder}/data",
    }
    with running([entry(folder), configuration], folder, port, environment) as server:
        # It listens a moment before it has the account.
        wait_until(lambda: "Created default superuser role" in said(server.log), server.log)
        yield server


def cassandra_settings(folder: Path, port: int) -> dict[str, object]:
    """What a node of its own is told."""
    seeds = {
        "class_name": "org.apache.cassandra.locator.SimpleSeedProvider",
        "parameters": [{"seeds": "127.0.0.1"}],
    }
    return {
        "cluster_name": "tests",
        "num_tokens": 1,
        "partitioner": "org.apache.cassandra.dht.Murmur3Partitioner",
        "endpoint_snitch": "SimpleSnitch",
        "seed_provider": [seeds],
        "listen_address": "127.0.0.1",
        "storage_port": free_port(),
        "rpc_address": "127.0.0.1",
        "native_transport_port": port,
        "authenticator": "PasswordAuthenticator",
        "authorizer": "CassandraAuthorizer",
        "paxos_variant": "v2",
        "commitlog_sync": "periodic",
        "commitlog_sync_period": "10000ms",
        "commitlog_segment_size": "8MiB",
        "memtable_heap_space": "64MiB",
        "memtable_offheap_space": "64MiB",
        "auto_snapshot": False,
        "data_file_directories": [f"{folder}/data/data"],
        "commitlog_directory": f"{folder}/data/commitlog",
        "hints_directory": f"{folder}/data/hints",
        "saved_caches_directory": f"{folder}/data/saved_caches",
        "cdc_raw_directory": f"{folder}/data/cdc_raw",
    }


@contextmanager
def redis(folder: Path, password: str) -> Iterator[Server]:
    """A Redis without persistence that asks for a password."""
    port = free_port()
    folder.mkdir(parents=True, exist_ok=True)
    configuration = folder / "redis.conf"
    configuration.write_text(
        f'port {port}\nbind 127.0.0.1\nsave ""\nappendonly no\ndir {folder}\n'
        f"requirepass {password}\n"
    )
    with running(["redis-server", configuration], folder, port, {}) as server:
        yield server


@contextmanager
def minio(folder: Path, access_key: str, secret_key: str) -> Iterator[Server]:
    """A MinIO without buckets."""
    program, port = minio_program(), free_port()
    (folder / "data").mkdir(parents=True)
    (folder / "access-key").write_text(access_key)
    (folder / "secret-key").write_text(secret_key)
    environment = {
        "MINIO_ROOT_USER_FILE": str(folder / "access-key"),
        "MINIO_ROOT_PASSWORD_FILE": str(folder / "secret-key"),
        "HOME": str(folder),
    }
    address = f"127.0.0.1:{port}"
    command: list[str | Path] = [program, "server", "--quiet", "--address", address]
    with running([*command, folder / "data"], folder, port, environment) as server:
        yield server


def layout(kind: str, folder: Path) -> Path:
    """A Java program as its image has it, under this folder; returns its home."""
    rootfs.write_files(folder, FILES[kind]())
    home = folder / "opt" / kind
    (home / "libs").symlink_to(ensure_jars([kind], lambda _: None)[kind])
    return home


def entry(folder: Path) -> Path:
    """The image's entrypoint under a folder."""
    return folder / ENTRYPOINT


@contextmanager
def running(
    command: list[str | Path], folder: Path, port: int, environment: Mapping[str, str]
) -> Iterator[Server]:
    """A process that listens on a port of loopback while this is entered."""
    log = folder / "log"
    with ExitStack() as stack:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=stack.enter_context(log.open("wb")),
            stderr=subprocess.STDOUT,
        )
        stack.callback(process.wait)
        stack.callback(process.kill)
        wait_for(process, port, log)
        metrics = int(environment.get("METRICS_PORT", 0))
        yield Server(port, folder, log, process.pid, metrics)


def wait_for(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    """Return once the port takes connections.

    Raises:
        HearthError: The process ended or takes too long, with its last words.
    """

    def listens() -> bool:
        if process.poll() is not None:
            raise HearthError(f"it ended; it said:\n{last_words(log)}")
        return accepts(port)

    wait_until(listens, log)


def wait_until(true: Callable[[], bool], log: Path) -> None:
    """Return once something is true.

    Raises:
        HearthError: It takes too long, with the last words of the server.
    """
    deadline = time.monotonic() + START_SECONDS
    while not true():
        if time.monotonic() > deadline:
            raise HearthError(f"it is not ready after {START_SECONDS} s: {last_words(log)}")
        time.sleep(0.05)


def said(log: Path) -> str:
    """Everything that a server said so far."""
    return log.read_text(errors="replace")


def last_words(log: Path) -> str:
    """The end of that."""
    return "\n".join(said(log).splitlines()[-_LINES:])


def accepts(port: int) -> bool:
    """Whether something listens there."""
    with socket.socket() as connection:
        connection.settimeout(1)
        return connection.connect_ex(("127.0.0.1", port)) == 0
