"""What an environment buys in a month: of what, how much, and whether use decides it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from hearth.cost.figures import DAYS, GB, HOURS, MILLION, Range, exactly
from hearth.cost.hours import hours, peak_days, requests_a_month
from hearth.cost.sizing import Pool
from inventory.cloud.model import Bucket, Database, Environment
from inventory.cloud.parts import FIREWALL_RULES, KEY_PURPOSES, SECRETS, key_regions
from inventory.cloud.prices import GLOBAL, Unit

Component = Literal[
    "network",
    "cluster",
    "gpu",
    "database",
    "cache",
    "storage",
    "registry",
    "edge",
    "keys",
    "observability",
]
Kind = Literal["fixed", "usage"]

FREE_INSIGHTS_DAYS = 7
ASSUMED_LIFE_DAYS = 365
"""Of objects that never expire, for their share in each storage class."""
LCU_CONNECTIONS_A_SECOND = 25
LCU_GB_AN_HOUR = 1
"""What one capacity unit of a balancer carries; the dimension that takes most is billed."""


@dataclass(frozen=True, slots=True)
class Item:
    """Something that is bought.

    Attributes:
        component: for which part of the environment.
        what: it is, for people.
        keys: of its price; of several any will do, as of a pool's instance types.
        unit: in which it is counted.
        amount: in a month; None where the settings do not tell.
        kind: whether it is paid for being there, or for being used.
        region: in which it is bought.
        uncounted: why the settings do not tell how much of it there is; empty where they do.
    """

    component: Component
    what: str
    keys: tuple[str, ...]
    unit: Unit
    amount: Range | None
    kind: Kind
    region: str
    uncounted: str = ""


@dataclass(frozen=True, slots=True)
class _Part:
    """Makes the items of one component."""

    component: Component
    region: str

    def fixed(self, what: str, key: str, unit: Unit, amount: float | Range) -> Item:
        """Something that is paid for being there."""
        return self._item(what, (key,), unit, amount, "fixed")

    def usage(self, what: str, key: str | tuple[str, ...], unit: Unit, amount: float) -> Item:
        """Something that is paid for being used."""
        return self._item(what, (key,) if isinstance(key, str) else key, unit, amount, "usage")

    def unknown(
        self, what: str, key: str, unit: Unit, why: str = "only its use tells how much"
    ) -> Item:
        """Something of which the settings do not tell how much."""
        return Item(self.component, what, (key,), unit, None, "usage", self.region, why)

    def _item(
        self, what: str, keys: tuple[str, ...], unit: Unit, amount: float | Range, kind: Kind
    ) -> Item:
        known = amount if isinstance(amount, Range) else exactly(amount)
        return Item(self.component, what, keys, unit, known, kind, self.region)


def quantities(environment: Environment, pool: Pool) -> list[Item]:
    """Everything that is bought, without what there is none of."""
    items = [
        *_network(environment, pool),
        *_cluster(environment),
        *_gpu(environment, pool),
        *_database(environment),
        *_cache(environment),
        *_storage(environment),
        *_registry(environment),
        *_edge(environment),
        *_keys(environment),
        *_observability(environment),
    ]
    return [item for item in items if item.amount is None or item.amount.high > 0]


def _network(environment: Environment, pool: Pool) -> Iterator[Item]:
    part, network = _Part("network", environment.region), environment.network
    gateways = network.nats
    logs, images = _log_gb(environment), _pulled_gb(environment, pool)
    through_endpoints = logs if "logs" in network.interface_endpoints else 0
    # Layers of images come from S3, whichever endpoint a registry has.
    through_nat = logs - through_endpoints + (0 if "s3" in network.gateway_endpoints else images)
    yield part.fixed(f"NAT gateways: {gateways}", "nat.gateway", "hour", gateways * HOURS)
    yield part.fixed(f"public addresses: {gateways}", "address.public", "hour", gateways * HOURS)
    yield part.usage("data through NAT", "nat.data", "GB", through_nat)
    if network.nat == "single":
        others = (network.zones - 1) / network.zones
        # It is billed on both sides.
        crossing = 2 * through_nat * others
        yield part.usage("data to NAT between zones", "transfer.zone", "GB", crossing)
    count = len(network.interface_endpoints) * network.zones
    if count:
        what = f"interface endpoints: {len(network.interface_endpoints)} in {network.zones} zones"
        yield part.fixed(what, "endpoint.interface", "hour", count * HOURS)
        yield part.usage("data through endpoints", "endpoint.data", "GB", through_endpoints)


def _log_gb(environment: Environment) -> float:
    return environment.observability.log_volume_per_day * DAYS / GB


def _pulled_gb(environment: Environment, pool: Pool) -> float:
    """What GPU nodes that start pull: one image of each repository, which weighs what they do."""
    off_peak, peaks = environment.cluster.off_peak, peak_days(environment.traffic)
    mornings = DAYS * (5 / 7 if off_peak and off_peak.weekends else 1)
    starts = max(0, mornings - peaks) * (pool.ordinary - pool.off_peak)
    starts += peaks * (pool.peak - pool.off_peak)
    return starts * environment.images.size / environment.images.kept / GB


def _cluster(environment: Environment) -> Iterator[Item]:
    part, cluster = _Part("cluster", environment.region), environment.cluster
    yield part.fixed("control plane", "eks.cluster", "hour", HOURS)
    if cluster.extended_support:
        # At worst: as long as the version is a supported one nothing is added.
        only_when_old = Range(0, 0, HOURS)
        what = "extended support, once the version is old"
        yield part.fixed(what, "eks.extended-support", "hour", only_when_old)
    system = cluster.system
    what = f"system nodes {system.instance_type}: {system.count}"
    yield part.fixed(what, f"ec2.{system.instance_type}", "hour", system.count * HOURS)
    yield part.fixed("their disks", "ebs.gp3", "GB-month", system.count * system.disk / GB)


def _gpu(environment: Environment, pool: Pool) -> Iterator[Item]:
    part, gpu = _Part("gpu", environment.region), environment.cluster.gpu
    month = hours(environment.cluster.off_peak, environment.traffic)
    by_kind = (
        ("off-peak", pool.off_peak, month.off_peak),
        ("ordinary", pool.ordinary, month.ordinary),
        ("peak", pool.peak, month.peak),
    )
    yield part.fixed(
        f"base nodes {gpu.base_instance_type}: {gpu.base}",
        f"ec2.{gpu.base_instance_type}",
        "hour",
        gpu.base * HOURS,
    )
    pool_keys = tuple(f"spot.{name}" for name in gpu.instance_types)
    for kind, nodes, long in by_kind:
        spot = max(0, nodes - gpu.base)
        what = f"spot nodes: {spot} in {long:.0f} {kind} hours"
        yield part.usage(what, pool_keys, "hour", spot * long)
    running = gpu.base * HOURS
    running += sum(max(0, nodes - gpu.base) * long for _, nodes, long in by_kind)
    disks = running / HOURS * gpu.disk / GB
    yield part.usage("their disks", "ebs.gp3", "GB-month", disks)


def _database(environment: Environment) -> Iterator[Item]:
    part, database = _Part("database", environment.region), environment.database
    form = "multi-az" if database.multi_az else "single-az"
    yield part.fixed(
        f"{database.instance_class}, {form}", f"rds.{database.instance_class}.{form}", "hour", HOURS
    )
    storage = _stored(database)
    yield part.fixed("storage, which grows", f"rds.storage.{form}", "GB-month", storage)
    yield part.unknown(
        "backups beyond the database's size",
        "rds.backup",
        "GB-month",
        "what changes a day tells how much",
    )
    if database.insights_days > FREE_INSIGHTS_DAYS:
        what = f"Performance Insights for {database.insights_days} days"
        yield part.unknown(what, "rds.insights", "month")


def _stored(database: Database) -> Range:
    """What it holds: as much as it begins with, or at worst as much as it may grow to."""
    return Range(database.storage / GB, database.storage / GB, database.most_storage / GB)


def _cache(environment: Environment) -> Iterator[Item]:
    part, cache = _Part("cache", environment.region), environment.cache
    nodes = cache.replicas + 1
    yield part.fixed(
        f"{cache.engine} nodes {cache.node_type}: {nodes}",
        f"elasticache.{cache.engine}.{cache.node_type.removeprefix('cache.')}",
        "hour",
        nodes * HOURS,
    )
    if cache.snapshot_days:
        yield part.unknown("snapshots", "elasticache.backup", "GB-month")


def _storage(environment: Environment) -> Iterator[Item]:
    part, storage = _Part("storage", environment.region), environment.storage
    for name in ("logs", "backups", "checkpoints"):
        bucket = getattr(storage, name)
        for key, what, share in _classes(bucket):
            amount = bucket.size / GB * share
            yield part.usage(f"{name}, {what}", key, "GB-month", amount)
    yield part.unknown("requests", "s3.request", "million")
    what = "backups in the vault: one whole copy, without changes"
    yield part.fixed(what, "rds.backup", "GB-month", _stored(environment.database))


def _classes(bucket: Bucket) -> Iterator[tuple[str, str, float]]:
    """The share of a bucket in each storage class, where objects of every age are as many."""
    life = bucket.expires_after_days or ASSUMED_LIFE_DAYS
    archived = min(life, bucket.archive_after_days or life)
    infrequent = min(archived, bucket.infrequent_after_days or archived)
    yield "s3.standard", "standard", infrequent / life
    yield "s3.infrequent", "infrequent access", (archived - infrequent) / life
    yield "s3.archive", "archive", (life - archived) / life


def _registry(environment: Environment) -> Iterator[Item]:
    part = _Part("registry", environment.region)
    yield part.usage("images", "ecr.storage", "GB-month", environment.images.size / GB)


def _edge(environment: Environment) -> Iterator[Item]:
    regional, worldwide = _Part("edge", environment.region), _Part("edge", GLOBAL)
    traffic = environment.traffic
    requests = requests_a_month(traffic)
    answers_gb = requests * traffic.response_size / GB
    both_ways_gb = requests * (traffic.request_size + traffic.response_size) / GB
    yield regional.fixed("load balancer", "alb.balancer", "hour", HOURS)
    connections = requests / (HOURS * 3600) / LCU_CONNECTIONS_A_SECOND
    units = max(connections, both_ways_gb / HOURS / LCU_GB_AN_HOUR) * HOURS
    yield regional.usage("its capacity units", "alb.capacity", "LCU-hour", units)
    yield worldwide.fixed("firewall", "waf.acl", "month", 1)
    yield worldwide.fixed(f"its rules: {FIREWALL_RULES}", "waf.rule", "month", FIREWALL_RULES)
    yield worldwide.usage("requests seen", "waf.requests", "million", requests / MILLION)
    yield worldwide.usage("requests", "cloudfront.requests", "million", requests / MILLION)
    yield worldwide.usage("data to clients", "cloudfront.data", "GB", answers_gb)
    if environment.edge.failover:
        yield worldwide.fixed("health check", "route53.health-check", "month", 1)


def _keys(environment: Environment) -> Iterator[Item]:
    part = _Part("keys", environment.region)
    for region in key_regions(environment.region):
        where = "" if region == environment.region else f" in {region}, for CloudFront's alarms"
        what = f"KMS keys: {len(KEY_PURPOSES)}{where}"
        yield _Part("keys", region).fixed(what, "kms.key", "month", len(KEY_PURPOSES))
    yield part.unknown("requests to them", "kms.requests", "million")
    yield part.fixed(f"secrets: {len(SECRETS)}", "secrets.secret", "month", len(SECRETS))


def _observability(environment: Environment) -> Iterator[Item]:
    part, days = _Part("observability", environment.region), environment.observability.log_days
    a_month = _log_gb(environment)
    yield part.usage("logs taken in", "logs.ingest", "GB", a_month)
    # AWS keeps them compressed: this is the most that it can be.
    yield part.usage(f"logs of {days} days", "logs.storage", "GB-month", a_month / DAYS * days)
    why = "the stack counts them, its settings do not"
    yield part.unknown("alarms", "cloudwatch.alarm", "month", why)
