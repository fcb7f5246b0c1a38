"""An environment: everything about a production stack on AWS that costs money or keeps it safe.

Components are declared from it, its cost is computed from it, an account is audited against it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import time
from ipaddress import IPv4Network
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, WithJsonSchema

from inventory.cloud.instances import CACHE_TYPES, DATABASE_CLASSES, INSTANCE_TYPES, with_gpu_memory
from inventory.model import LABEL, Model, Percent, known
from inventory.units import GIB, Bytes, Name


def _like(pattern: str, fault: str) -> Callable[[str], str]:
    """A check that a text has a form; the fault names the form, as the pattern would not."""

    def check(value: str) -> str:
        if not re.fullmatch(pattern, value):
            raise ValueError(fault)
        return value

    return check


_REGION = r"^[a-z]{2}(-[a-z]+)+-\d$"
_ACCOUNT = r"^\d{12}$"
_DOMAIN = rf"^({LABEL}\.)+{LABEL}$"
_EMAIL = r"^[^@\s]+@[^@\s]+\.[^@\s]+$"
_REPOSITORY = r"^[\w.-]+/[\w.-]+$"
_ROLE = r"^[\w+=,.@/-]+$"
_KUBERNETES = r"^1\.\d{2}$"
_POSTGRESQL = r"^\d{2}\.\d{1,2}$"
_CACHE_VERSION = r"^\d\.\d$"
_TLS_POLICY = r"^ELBSecurityPolicy-TLS13-1-[23]-[\w-]+$"
_TIME = r"^([01]\d|2[0-3]):[0-5]\d$"


def _text(pattern: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": pattern})


Region = Annotated[
    str, AfterValidator(_like(_REGION, "is no region; write it as us-east-1")), _text(_REGION)
]
Account = Annotated[
    str,
    AfterValidator(_like(_ACCOUNT, "is no account; write its 12 digits in quotes")),
    _text(_ACCOUNT),
]
Domain = Annotated[
    str,
    Field(max_length=253),
    AfterValidator(_like(_DOMAIN, "is no domain; write it as llm.example.com, in lower case")),
    _text(_DOMAIN),
]
Email = Annotated[
    str, AfterValidator(_like(_EMAIL, "is no address; write it as me@example.com")), _text(_EMAIL)
]
Repository = Annotated[
    str,
    AfterValidator(_like(_REPOSITORY, "is no repository of GitHub; write owner/name")),
    _text(_REPOSITORY),
]
Role = Annotated[
    str,
    AfterValidator(_like(_ROLE, "is no role; write its name, with its path if it has one")),
    _text(_ROLE),
]
KubernetesVersion = Annotated[
    str,
    AfterValidator(_like(_KUBERNETES, "is no version of EKS; write it as 1.36")),
    _text(_KUBERNETES),
]
PostgresVersion = Annotated[
    str,
    AfterValidator(_like(_POSTGRESQL, "is no version of PostgreSQL; write it as 17.9")),
    _text(_POSTGRESQL),
]
CacheVersion = Annotated[
    str,
    AfterValidator(_like(_CACHE_VERSION, "is no version of a cache; write it as 8.2")),
    _text(_CACHE_VERSION),
]
TlsPolicy = Annotated[
    str,
    AfterValidator(
        _like(_TLS_POLICY, "admits TLS older than 1.2; take one of ELBSecurityPolicy-TLS13-1-2-*")
    ),
    _text(_TLS_POLICY),
]


def _quoted_time(value: Any) -> Any:
    """Refuses what YAML makes of a bare 20:00: a number of base 60."""
    if not isinstance(value, time) and not (isinstance(value, str) and re.fullmatch(_TIME, value)):
        raise ValueError('is no time of day; write it in quotes, as "20:00"')
    return value


TimeOfDay = Annotated[
    time,
    BeforeValidator(_quoted_time),
    PlainSerializer(lambda value: f"{value:%H:%M}", return_type=str, when_used="json"),
    _text(_TIME),
]
Days = Annotated[int, Field(ge=1)]
LogDays = Literal[1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 3653]
"""How long CloudWatch can be told to keep logs."""


def _instance_type(value: str) -> str:
    return known(value, INSTANCE_TYPES, "instance type")


def _database_class(value: str) -> str:
    return known(value, DATABASE_CLASSES, "database class")


def _cache_type(value: str) -> str:
    return known(value, CACHE_TYPES, "cache node type")


InstanceTypeName = Annotated[str, AfterValidator(_instance_type)]
DatabaseClass = Annotated[str, AfterValidator(_database_class)]
CacheType = Annotated[str, AfterValidator(_cache_type)]

GatewayEndpoint = Literal["s3", "dynamodb"]
InterfaceEndpoint = Literal[
    "ecr.api",
    "ecr.dkr",
    "ec2",
    "eks",
    "eks-auth",
    "kms",
    "logs",
    "secretsmanager",
    "sqs",
    "ssm",
    "sts",
]
ClusterLog = Literal["api", "audit", "authenticator", "controllerManager", "scheduler"]


class VirtualNetwork(Model):
    """The VPC: public, private and isolated subnets in each zone.

    Without a NAT gateway a zone reaches the internet through another zone's: cheaper, and gone with
    that zone.
    """

    cidr: IPv4Network = Field(description="a /16 to /20; each zone gets three subnets of it")
    zones: int = Field(default=3, ge=2, le=3)
    nat: Literal["single", "per-zone"] = Field(
        default="per-zone", description="a gateway for all zones, or one for each, which costs more"
    )
    gateway_endpoints: tuple[GatewayEndpoint, ...] = Field(("s3",), description="free of charge")
    interface_endpoints: tuple[InterfaceEndpoint, ...] = Field(
        (), description="an hourly price each, in each zone; they save NAT traffic"
    )
    flow_log_days: LogDays = 30

    @property
    def nats(self) -> int:
        """How many NAT gateways there are."""
        return 1 if self.nat == "single" else self.zones


class SystemNodes(Model):
    """Nodes for what runs the cluster and for the service's own processes."""

    instance_type: InstanceTypeName = "m7g.large"
    count: int = Field(default=3, ge=2, description="of them, spread over the zones")
    disk: Bytes = 50 * GIB


class GpuNodes(Model):
    """Nodes for the model: a base that stays, and spot instances as long as they are to be had."""

    gpu_memory: Bytes = Field(description="at least, of one accelerator: what the model needs")
    most_cpus: int = Field(default=8, ge=4, description="of a node: larger ones cost more a GPU")
    base: int = Field(default=1, ge=0, description="on demand, always there")
    base_instance_type: InstanceTypeName = "g6.xlarge"
    typical: int = Field(
        default=2, ge=0, description="nodes in an ordinary busy hour, base included"
    )
    most: int = Field(default=4, ge=1, description="nodes at peak, base included; a limit")
    disk: Bytes = 100 * GIB

    @property
    def instance_types(self) -> list[str]:
        """Any of these will do."""
        return with_gpu_memory(self.gpu_memory, self.most_cpus)


class OffPeak(Model):
    """When fewer nodes do: replicas are lowered then, and nodes follow.

    Both hours in the given time zone; a span over midnight is one.
    """

    begins: TimeOfDay
    ends: TimeOfDay
    time_zone: str = Field(default="UTC", description="of the IANA's data base")
    weekends: bool = Field(default=True, description="whether Saturday and Sunday are off-peak")
    gpu_nodes: int = Field(default=1, ge=0, description="nodes that are left, base included")


class Administrator(Model):
    """A role of the account that administers the cluster."""

    role: Role = Field(description="its name or path")
    policy: Literal["admin", "view"] = "admin"


class Cluster(Model):
    """The Kubernetes cluster.

    Its API is private; `public_from` opens it to the networks named there.
    """

    version: KubernetesVersion = "1.36"
    extended_support: bool = Field(
        default=False, description="whether to pay for an old version rather than be upgraded"
    )
    public_from: tuple[IPv4Network, ...] = ()
    logs: tuple[ClusterLog, ...] = (
        "api",
        "audit",
        "authenticator",
        "controllerManager",
        "scheduler",
    )
    log_days: LogDays = 90
    administrators: Annotated[dict[Name, Administrator], Field(min_length=1)]
    system: SystemNodes = SystemNodes()
    gpu: GpuNodes
    off_peak: OffPeak | None = None


class Database(Model):
    """PostgreSQL."""

    version: PostgresVersion = "17.9"
    instance_class: DatabaseClass = "db.m7g.large"
    multi_az: bool = True
    storage: Bytes = 50 * GIB
    most_storage: Bytes = Field(default=200 * GIB, description="to which it grows by itself")
    backup_days: int = Field(default=14, ge=1, le=35, description="of point-in-time recovery")
    insights_days: Literal[7, 31, 93, 186, 372, 731] = 7


class Cache(Model):
    """Answers that were given already, so that the model need not give them again."""

    engine: Literal["valkey", "redis"] = "valkey"
    version: CacheVersion = "8.2"
    node_type: CacheType = "cache.m7g.large"
    replicas: int = Field(default=1, ge=0, le=5, description="beside the primary, in other zones")
    snapshot_days: int = Field(default=7, ge=0, le=35)


class Bucket(Model):
    """A bucket's life cycle.

    Days count from when an object was made; None: never.
    """

    size: Bytes = Field(description="that it holds on average: what it costs is computed from this")
    infrequent_after_days: Days | None = 30
    archive_after_days: Days | None = None
    expires_after_days: Days | None = None
    versions_kept_days: Days = 30


class Storage(Model):
    """Buckets, and the vault of backups."""

    logs: Bucket
    backups: Bucket
    checkpoints: Bucket
    vault_days: Days = Field(default=35, description="a daily backup is kept in the vault")
    vault_monthly_days: Days = Field(default=365, description="the first backup of a month is kept")
    vault_lock_days: Days | None = Field(
        default=None,
        description="at least so long nobody may delete one; None leaves the vault unlocked",
    )


class Images(Model):
    """Repositories of container images."""

    repositories: Annotated[tuple[Name, ...], Field(min_length=1)] = ("api", "ollama")
    size: Bytes = Field(default=20 * GIB, description="of all images that are kept, for the cost")
    kept: int = Field(default=20, ge=1, description="tagged images in each")
    untagged_days: Days = 7


class Edge(Model):
    """How the world reaches the service: names, certificates, CloudFront, a firewall."""

    domain: Domain = Field(description="of the service")
    hosted_zone: Domain = Field(description="in Route 53, which the account owns")
    price_class: Literal["PriceClass_100", "PriceClass_200", "PriceClass_All"] = "PriceClass_100"
    requests_per_5_minutes: int = Field(
        default=2000, ge=10, description="of one address; more are refused by the firewall"
    )
    tls_policy: TlsPolicy = "ELBSecurityPolicy-TLS13-1-2-Res-PQ-2025-09"
    failover: bool = Field(
        default=True, description="whether a static page elsewhere answers while the service cannot"
    )


class Identity(Model):
    """Who may change the environment from a pipeline."""

    github_repository: Repository
    github_environment: Name = Field(description="of GitHub: only its jobs may deploy")
    makes_github_provider: bool = Field(
        default=True, description="an account has one at most; false where yours has it already"
    )


class Observability(Model):
    """Logs, alarms, and a limit of what it may cost."""

    log_days: LogDays = 90
    alarm_emails: Annotated[tuple[Email, ...], Field(min_length=1)]
    budget_usd: float = Field(
        gt=0, description="a month; told at 80 %, at 100 %, and when forecast"
    )
    log_volume_per_day: Bytes = Field(default=2 * GIB, description="ingested, for the cost")


class Traffic(Model):
    """What the service is asked, for the cost and for the pool's size."""

    requests_per_day: int = Field(ge=1, description="on an ordinary day")
    peak_requests_per_day: int = Field(ge=1)
    peak_days_a_month: int = Field(default=3, ge=0, le=31)
    peak_hour_share: Percent = Field(
        default=15, description="of a day's requests, in its busiest hour"
    )
    request_size: Bytes = 4 * 1024
    response_size: Bytes = 8 * 1024
    cached_share: int = Field(default=30, ge=0, le=100, description="per cent, without the model")
    chats_per_minute_per_node: float | None = Field(
        default=None, gt=0, description="measured by `hearth capacity`; sizes the pool where given"
    )


class Environment(Model):
    """A production stack on AWS.

    See docs/how-to/first-production-deployment.md.
    """

    name: Name
    region: Region
    account: Account | None = Field(
        default=None, description="the only one that it may be deployed to; None asks nobody"
    )
    owner: Name = Field(description="a tag on every resource")
    network: VirtualNetwork
    cluster: Cluster
    database: Database = Database()
    cache: Cache = Cache()
    storage: Storage
    images: Images = Images()
    edge: Edge
    identity: Identity
    observability: Observability
    traffic: Traffic
    protected: bool = Field(
        default=True,
        description="whether cluster, data and backups can be deleted only deliberately",
    )

    @property
    def cluster_name(self) -> str:
        """The cluster's own name, which its nodes, disks and load balancers are tagged with."""
        return f"hearth-{self.name}"
