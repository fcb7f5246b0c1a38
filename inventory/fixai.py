"""FixAI, where citizens report a city's problems: what its site file may say of it.

The application runs as pods of the site's cluster. Where which part of it runs is drawn: what
listens and what events pass through on the front nodes, the database and the consumers on the
others.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from inventory.units import GIB, MIB, Bytes, Duration, Name

NAMESPACE, EDGE_NAMESPACE = "fixai", "traefik"
"""Of the application, and of what the world talks to."""

VOLUMES = "/var/lib/fixai"
"""The folder of a node beneath which each claim of it has a folder of its own."""

TOPICS = (
    *("reports.submitted", "reports.described", "reports.clustered", "reports.checked"),
    "reports.commented",
)
"""In the order in which a report passes through them; then what is said about it."""

CONSUMED = {
    "description": ("reports.submitted",),
    "clustering": ("reports.described",),
    "incidents": ("reports.clustered", "reports.commented"),
}
"""By consumer: the topics that it reads. Its group has its own name."""

ASKING = ("description", "incidents")
"""The consumers that ask the language model; what clustering needs of it comes with the events."""

PICTURES, BACKUPS = "pictures", "backups"
BUCKETS = (PICTURES, BACKUPS)

IMAGES = {
    "kafka": "docker.io/apache/kafka:3.9.1",
    "zookeeper": "docker.io/library/zookeeper:3.9.4",
    "cassandra": "docker.io/library/cassandra:5.0.5",
    "redis": "docker.io/library/redis:8.2",
    "minio": "quay.io/minio/minio:RELEASE.2025-09-07T16-13-09Z",
    "traefik": "docker.io/library/traefik:v3.6.0",
    "prometheus": "docker.io/prom/prometheus:v3.7.3",
}
"""The public ones. FixAI's own, `fixai`, has to be named: it is built from this project."""
OWN_IMAGE = "fixai"

ACCOUNTS = {
    "redis": "fixai-redis",
    "cassandra": "fixai-cassandra",
    "minio-root": "fixai-minio-root",
    "minio": "fixai-minio",
    "minio-backup": "fixai-minio-backup",
    "backend": "fixai-token-key",
    "llm": "fixai-llm",
}
"""What each secret is called in the stack's configuration."""

Replicas = Annotated[int, Field(ge=1, le=50)]


class Part(BaseModel):
    """Frozen, and closed to unknown names."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Pod(Part):
    """What one pod of a workload gets.

    It is sure of `cpu` and of all of its memory, so that none is ever killed for another's sake.
    """

    cpu: float = Field(default=0.05, gt=0, description="cores that it is sure of")
    cpu_limit: float = Field(default=1.0, gt=0, description="cores that it gets at most")
    memory: Bytes = Field(default=192 * MIB, description="what it is sure of, and its limit")


class Zookeeper(Pod):
    """What tells Kafka who leads; the profile `kraft` does without."""

    cpu: float = 0.05
    memory: Bytes = 256 * MIB
    storage: Bytes = 1 * GIB


class Kafka(Pod):
    """The broker."""

    profile: Literal["zookeeper", "kraft"] = Field(
        default="zookeeper",
        description="as drawn, or `kraft`, the recommended one: Kafka 4 has no other",
    )
    partitions: Annotated[int, Field(ge=1, le=100)] = Field(
        default=6, description="of each topic: no more consumers work at once. Never lower it"
    )
    retention: Duration = Field(
        default=timedelta(days=7), description="how long events can be replayed"
    )
    cpu: float = 0.2
    cpu_limit: float = 2.0
    memory: Bytes = 768 * MIB
    storage: Bytes = 8 * GIB


class Cassandra(Pod):
    """The database."""

    cpu: float = 0.3
    cpu_limit: float = 2.0
    memory: Bytes = 1536 * MIB
    storage: Bytes = 16 * GIB


class Minio(Pod):
    """The store of pictures, and of Cassandra's backups."""

    memory: Bytes = 384 * MIB
    storage: Bytes = 16 * GIB


class Service(Pod):
    """A part that keeps nothing: pods beside each other."""

    replicas: Replicas = 1


class Prometheus(Pod):
    """What collects the figures, for as long as its pod lives."""

    memory: Bytes = 256 * MIB
    retention: Duration = timedelta(days=2)


class Consumer(Pod):
    """A consumer of events: as many pods as there is work, between two numbers."""

    replicas: Replicas = Field(default=1, description="at least")
    most: Replicas = Field(default=3, description="at most; partitions limit it, too")
    lag: Annotated[int, Field(ge=1)] = Field(
        default=50, description="events that wait for each pod before another one is started"
    )


class Consumers(Part):
    """The three of them."""

    description: Consumer = Consumer()
    clustering: Consumer = Consumer()
    incidents: Consumer = Consumer()

    def items(self) -> Iterator[tuple[str, Consumer]]:
        """By name, in the order in which a report passes through them."""
        return ((name, getattr(self, name)) for name in CONSUMED)


class Llm(Part):
    """The language model, by Gemini's API."""

    simulated: bool = Field(
        default=False, description="a stand-in in the cluster answers, by rules; it says so"
    )
    base_url: Annotated[str, Field(pattern=r"^https://[^/]+$")] = Field(
        default="https://generativelanguage.googleapis.com",
        description="of what speaks Gemini's API; the stand-in's where it is simulated",
    )
    model: str = "gemini-2.5-flash"
    embedding_model: str = "gemini-embedding-001"
    tokens_per_minute: Annotated[int, Field(ge=1)] = Field(
        default=1_000_000, description="the budget of each consumer's pod"
    )
    concurrency: Annotated[int, Field(ge=1)] = Field(
        default=8, description="requests at once of each pod"
    )

    @property
    def url(self) -> str:
        """Where it is asked."""
        return "http://gemini:8080" if self.simulated else self.base_url


class Limits(Part):
    """What is refused: at the edge for each address, behind it for each account."""

    requests_per_second: Annotated[int, Field(ge=1)] = Field(
        default=50, description="of an address, at the edge"
    )
    burst: Annotated[int, Field(ge=1)] = Field(default=100, description="of them at once")
    reports_per_hour: Annotated[int, Field(ge=1)] = Field(default=60, description="of an account")
    picture: Bytes = Field(default=5 * MIB, description="one picture at most")
    pictures: Annotated[int, Field(ge=0, le=20)] = Field(default=4, description="of one report")

    @property
    def body_bytes(self) -> int:
        """The largest request: all pictures of a report, in base64, and its text."""
        return self.picture * self.pictures * 4 // 3 + 1 * MIB


class ServiceLevel(Part):
    """What FixAI promises; the smoke suite holds it to this."""

    reports_per_minute: Annotated[int, Field(ge=1)] = 120
    accepted_p95: Duration = Field(
        default=timedelta(seconds=1), description="95 % of reports are acknowledged within it"
    )
    end_to_end_p95: Duration = Field(
        default=timedelta(seconds=15), description="95 % of them are checked within it"
    )


class Backups(Part):
    """Copies of what each node keeps on the other one."""

    at: str = Field(
        default="02:30",
        pattern=r"^([01]\d|2[0-3]):[0-5]\d$",
        description="each day, UTC; quoted, as YAML takes it for a number",
    )
    keep_days: Annotated[int, Field(ge=1)] = 14
    storage: Bytes = Field(default=16 * GIB, description="of the copies of pictures")


class Tunnel(Part):
    """How the citizens' app comes in where the cluster has no public address."""

    by: Literal["none", "ngrok", "simulated"] = Field(
        default="none",
        description="`ngrok` needs its operator in the cluster; `simulated` ends in the cluster",
    )
    url: str | None = Field(
        default=None, pattern=r"^https://[a-z0-9.-]+$", description="the public one, of ngrok"
    )


class Nodes(Part):
    """Hosts of the site: what runs on which."""

    front: tuple[Name, ...] = Field(
        min_length=1, description="Traefik, backend, outbox; the first: Kafka, ZooKeeper, MinIO"
    )
    work: tuple[Name, ...] = Field(
        min_length=1, description="the consumers, Redis; the first: Cassandra"
    )


@dataclass(frozen=True, slots=True)
class Claim:
    """A folder of a node that one workload keeps its data in."""

    name: str
    host: str
    size_bytes: int

    @property
    def path(self) -> str:
        """On the node."""
        return f"{VOLUMES}/{self.name}"


@dataclass(frozen=True, slots=True)
class Demand:
    """What a workload may take of its nodes.

    Attributes:
        pods: as many at most.
    """

    name: str
    hosts: tuple[str, ...]
    pod: Pod
    pods: int = 1


class FixAI(Part):
    """The application's settings."""

    nodes: Nodes
    domain: str = Field(
        default="fixai.lab",
        pattern=r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)+$",
        description="the name that citizens use; the certificate names it",
    )
    kafka: Kafka = Kafka()
    zookeeper: Zookeeper = Zookeeper()
    cassandra: Cassandra = Cassandra()
    redis: Pod = Pod(memory=128 * MIB)
    minio: Minio = Minio()
    traefik: Pod = Pod(cpu=0.1, memory=256 * MIB)
    backend: Service = Service(cpu=0.2, memory=256 * MIB, replicas=2)
    outbox: Service = Service(memory=192 * MIB)
    consumers: Consumers = Consumers()
    scaling: Literal["keda", "hpa", "none"] = Field(
        default="hpa",
        description="by lag where KEDA is in the cluster, else by CPU, which metrics-server tells",
    )
    gemini: Pod = Field(default=Pod(), description="the stand-in for the language model")
    prometheus: Prometheus = Prometheus()
    store_metrics: bool = Field(
        default=False,
        description="Kafka, ZooKeeper and Cassandra tell their figures; Hearth's own images can",
    )
    llm: Llm = Llm()
    limits: Limits = Limits()
    service_level: ServiceLevel = ServiceLevel()
    backups: Backups = Backups()
    tunnel: Tunnel = Tunnel()
    images: dict[Name, str] = Field(
        default_factory=dict, description="in place of the public ones; `fixai` is FixAI's own"
    )

    @property
    def uses_zookeeper(self) -> bool:
        """Whether the broker needs it."""
        return self.kafka.profile == "zookeeper"

    @property
    def accounts(self) -> list[str]:
        """Secrets that are generated, as the stack's configuration calls them.

        The key of a real language model is its owner's: it is set by hand.
        """
        return [key for name, key in ACCOUNTS.items() if name != "llm" or self.llm.simulated]

    @property
    def topics(self) -> list[str]:
        """Every topic: those that reports pass through, then each consumer's own."""
        own = [f"{topic}.{name}" for name, read in CONSUMED.items() for topic in read]
        return [*TOPICS, *(f"{topic}.{kind}" for topic in own for kind in ("retry", "dead"))]

    @property
    def claims(self) -> dict[str, Claim]:
        """The folders that hold data, by name."""
        front, work = self.nodes.front[0], self.nodes.work[0]
        found = [
            Claim("kafka", front, self.kafka.storage),
            Claim("minio", front, self.minio.storage),
            Claim("cassandra", work, self.cassandra.storage),
            Claim("pictures-copy", work, self.backups.storage),
        ]
        if self.uses_zookeeper:
            found.append(Claim("zookeeper", front, self.zookeeper.storage))
        return {claim.name: claim for claim in found}

    def most_of(self, consumer: Consumer) -> int:
        """How many pods of a consumer there can be."""
        if self.scaling == "none":
            return consumer.replicas
        return max(consumer.replicas, min(consumer.most, self.kafka.partitions))

    def demands(self) -> Iterator[Demand]:
        """What the workloads may take, backups and jobs aside, which come and go."""
        front, work = self.nodes.front, self.nodes.work
        yield Demand("traefik", front, self.traefik, len(front))
        yield Demand("backend", front, self.backend, self.backend.replicas)
        yield Demand("outbox", front, self.outbox, self.outbox.replicas)
        yield Demand("kafka", front[:1], self.kafka)
        if self.uses_zookeeper:
            yield Demand("zookeeper", front[:1], self.zookeeper)
        yield Demand("minio", front[:1], self.minio)
        yield Demand("cassandra", work[:1], self.cassandra)
        yield Demand("redis", work, self.redis)
        yield Demand("prometheus", work, self.prometheus)
        for name, consumer in self.consumers.items():
            yield Demand(name, work, consumer, self.most_of(consumer))
        if self.llm.simulated:
            yield Demand("gemini", work, self.gemini)
        if self.tunnel.by == "simulated":
            yield Demand("tunnel", front, self.traefik)
