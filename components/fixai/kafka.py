"""Kafka 3.9: one broker, with ZooKeeper as drawn, or as its own controller (KRaft)."""

from __future__ import annotations

import base64
import uuid
from dataclasses import dataclass

import pulumi

from components.fixai.objects import Objects, Storage
from components.fixai.pods import (
    Container,
    Image,
    Pod,
    Probes,
    Where,
    configuration,
    connects,
    scratch,
)
from inventory.fixai import Kafka as Settings
from inventory.fixai import Pod as Size
from inventory.fixai_edges import STORE_METRICS
from inventory.units import MIB

NAME = "kafka"
PORT = 9092
_BROKERS, _CONTROLLER = 9091, 9093
_PROGRAMS = "/opt/kafka/bin"
_FILE = "/etc/kafka-settings/server.properties"
_LOGS = "/var/log/kafka"
_MOUNTS = {"/var/lib/kafka": "data", _LOGS: "logs", "/etc/kafka-settings": "settings"}
_NAMES = uuid.UUID("6f1f0a3e-6b0f-4a3c-9d53-3a6a7f3f7d10")


@dataclass(frozen=True, slots=True)
class KafkaArgs:
    """What a broker is made of.

    Attributes:
        where: one node, the one that its storage is on.
        image: the vendor's has its programs in /opt/kafka/bin.
        settings: profile, partitions, retention, memory.
        zookeeper: its `name:port`; of the profile `zookeeper` only.
        metrics: whether it tells its figures; Hearth's own image does.
    """

    where: Where
    image: Image
    settings: Settings
    storage: Storage
    zookeeper: pulumi.Input[str] | None = None
    metrics: bool = False


class Kafka(pulumi.ComponentResource):
    """One broker, at the same address whichever the profile.

    Raises:
        ValueError: The profile wants a ZooKeeper that is not given.
    """

    address: pulumi.Output[str]

    def __init__(
        self, name: str, args: KafkaArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("hearth:fixai:Kafka", name, None, opts)
        objects = Objects(self, name, NAME, args.where.namespace)
        kraft = args.settings.profile == "kraft"
        if not kraft and args.zookeeper is None:
            raise ValueError(f"{name}: the profile zookeeper needs `zookeeper`; give its address")
        text = pulumi.Output.from_input(args.zookeeper or "").apply(
            lambda zookeeper: properties(args.settings, zookeeper)
        )
        pod = Pod(
            NAME,
            args.where,
            [_broker(args)],
            begins=[_formatting(args)] if kraft and not args.image.own else [],
            volumes={"settings": configuration(NAME), "logs": scratch(256 * MIB)},
            settings=[text],
            # It closes its logs; what it cannot close it reads through at its next start.
            stop_seconds=60,
        )
        settings = objects.settings({"server.properties": text})
        made = objects.stateful_set(pod, args.storage, [objects.account(), settings])
        objects.service({"clients": PORT})
        objects.budget()
        self.address = made.id.apply(lambda _: f"{NAME}:{PORT}")
        self.register_outputs({"address": self.address})


def properties(settings: Settings, zookeeper: str) -> str:
    """The text of server.properties.

    Brokers and controllers speak to each other on the loopback: there is one, and a pod need not
    reach itself through its own service, which it would have to before it is ready.
    """
    kraft = settings.profile == "kraft"
    listeners = {"CLIENTS": f":{PORT}", "BROKERS": f"127.0.0.1:{_BROKERS}"}
    told = {"CLIENTS": f"{NAME}:{PORT}", "BROKERS": f"127.0.0.1:{_BROKERS}"}
    own: dict[str, object] = {"broker.id": 0, "zookeeper.connect": zookeeper}
    if kraft:
        listeners["CONTROLLER"] = f"127.0.0.1:{_CONTROLLER}"
        own = {
            "process.roles": "broker,controller",
            "node.id": 1,
            "controller.quorum.voters": f"1@127.0.0.1:{_CONTROLLER}",
            "controller.listener.names": "CONTROLLER",
        }
    found = {
        **own,
        "listeners": ",".join(f"{name}://{at}" for name, at in listeners.items()),
        "advertised.listeners": ",".join(f"{name}://{at}" for name, at in told.items()),
        "listener.security.protocol.map": ",".join(f"{name}:PLAINTEXT" for name in listeners),
        "inter.broker.listener.name": "BROKERS",
        # Each profile's folder: neither reads what the other wrote.
        "log.dirs": f"/var/lib/kafka/{settings.profile}",
        "num.partitions": settings.partitions,
        "default.replication.factor": 1,
        "offsets.topic.replication.factor": 1,
        "offsets.topic.num.partitions": 6,
        "transaction.state.log.replication.factor": 1,
        "transaction.state.log.min.isr": 1,
        "min.insync.replicas": 1,
        "auto.create.topics.enable": "false",
        "delete.topic.enable": "false",
        "log.retention.ms": int(settings.retention.total_seconds() * 1000),
        # Acknowledged is what the disk has, not what memory has: there is no second copy.
        "log.flush.interval.messages": 1,
        # A consumer that was killed gives its partitions up within a few seconds.
        "group.initial.rebalance.delay.ms": 500,
        "num.network.threads": 2,
        "num.io.threads": 4,
        "controlled.shutdown.enable": "true",
    }
    return "".join(f"{key}={value}\n" for key, value in found.items())


def cluster_id(name: str) -> str:
    """KRaft's name of a cluster: 22 characters, always the same for a name."""
    return base64.urlsafe_b64encode(uuid.uuid5(_NAMES, name).bytes).decode().rstrip("=")


def _broker(args: KafkaArgs) -> Container:
    heap = args.settings.memory // 2 // MIB
    return Container(
        NAME,
        args.image,
        args.settings,
        command=args.image.command([f"{_PROGRAMS}/kafka-server-start.sh", _FILE]),
        arguments=args.image.arguments(_FILE),
        ports={"clients": PORT, **({"metrics": STORE_METRICS} if args.metrics else {})},
        environment={
            "KAFKA_HEAP_OPTS": f"-Xms{heap}m -Xmx{heap}m",
            "LOG_DIR": _LOGS,
            "METRICS_PORT": str(STORE_METRICS) if args.metrics else "",
            # Hearth's image prepares KRaft's folder by itself.
            "CLUSTER_ID": cluster_id(NAME),
        },
        mounts=_MOUNTS,
        writable=["data", "logs"],
        probes=Probes(connects(PORT), connects(PORT), startup_seconds=180),
    )


def _formatting(args: KafkaArgs) -> Container:
    """Prepares an empty folder for KRaft; one that is prepared is left as it is."""
    size = Size(cpu=args.settings.cpu, cpu_limit=args.settings.cpu_limit, memory=256 * MIB)
    command = (
        f"{_PROGRAMS}/kafka-storage.sh",
        *("format", "--ignore-formatted", f"--cluster-id={cluster_id(NAME)}"),
        f"--config={_FILE}",
    )
    return Container(
        "format",
        args.image,
        size,
        command=command,
        environment={"KAFKA_HEAP_OPTS": "-Xmx128m", "LOG_DIR": _LOGS},
        mounts=_MOUNTS,
        writable=["data", "logs"],
    )
