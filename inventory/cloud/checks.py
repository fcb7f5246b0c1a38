"""The rules that a sound environment keeps, beyond the types of its fields.

Each rule is a generator of (path, fault and remedy).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from zoneinfo import available_timezones

from inventory.cloud.instances import INSTANCE_TYPES
from inventory.cloud.model import Environment
from inventory.document import Document, Path_
from inventory.errors import SiteError
from inventory.units import format_size

Finding = tuple[Path_, str]
LARGEST, SMALLEST = 16, 20
"""Prefixes of a VPC: what AWS allows, and what three subnets in three zones need."""
OPEN = 8
"""A network with a shorter prefix than this is half of the world."""


def check(environment: Environment, source: Document) -> list[SiteError]:
    """Everything that is wrong with an environment whose fields are of the right types."""
    return [source.error(path, what) for rule in RULES for path, what in rule(environment)]


def _network(environment: Environment) -> Iterator[Finding]:
    """A private network that subnets fit into."""
    cidr = environment.network.cidr
    path = ("network", "cidr")
    if not LARGEST <= cidr.prefixlen <= SMALLEST:
        yield path, f"is a /{cidr.prefixlen}; give a /{LARGEST} to /{SMALLEST}"
    if not cidr.is_private:
        yield path, f"is no private network ({cidr}); take one of 10.0.0.0/8"


def _api(environment: Environment) -> Iterator[Finding]:
    """The cluster's API open to somebody, not to everybody."""
    for index, cidr in enumerate(environment.cluster.public_from):
        if cidr.prefixlen < OPEN:
            yield (
                ("cluster", "public_from", index),
                f"opens the cluster's API to the world ({cidr}); name your own networks",
            )


def _gpu(environment: Environment) -> Iterator[Finding]:
    """A pool that can hold the model, and numbers that go up."""
    gpu, path = environment.cluster.gpu, ("cluster", "gpu")
    if not gpu.instance_types:
        yield (
            (*path, "gpu_memory"),
            f"no instance type has {format_size(gpu.gpu_memory)} on one accelerator and "
            f"{gpu.most_cpus} processors at most; ask for less, or raise most_cpus",
        )
    base = INSTANCE_TYPES[gpu.base_instance_type].gpu
    if base is None or base.memory_bytes < gpu.gpu_memory:
        yield (
            (*path, "base_instance_type"),
            f"{gpu.base_instance_type} has {format_size(base.memory_bytes) if base else 'no GPU'}, "
            f"the model needs {format_size(gpu.gpu_memory)}; take one of "
            f"{', '.join(gpu.instance_types)}",
        )
    if not gpu.base <= gpu.typical <= gpu.most:
        yield (
            (*path, "typical"),
            f"is {gpu.typical}; it has to be between base ({gpu.base}) and most ({gpu.most})",
        )


def _off_peak(environment: Environment) -> Iterator[Finding]:
    """An off-peak time that exists, with fewer nodes."""
    off_peak, gpu = environment.cluster.off_peak, environment.cluster.gpu
    if off_peak is None:
        return
    path = ("cluster", "off_peak")
    if off_peak.time_zone not in available_timezones():
        yield (
            (*path, "time_zone"),
            f"unknown time zone {off_peak.time_zone}; write it as Europe/Berlin",
        )
    if off_peak.begins == off_peak.ends:
        yield (*path, "ends"), "ends when it begins; give it some hours, or remove `off_peak`"
    if not gpu.base <= off_peak.gpu_nodes <= gpu.typical:
        yield (
            (*path, "gpu_nodes"),
            f"is {off_peak.gpu_nodes}; it has to be between the pool's base ({gpu.base}) and "
            f"typical ({gpu.typical})",
        )


def _database(environment: Environment) -> Iterator[Finding]:
    """Room to grow."""
    database = environment.database
    if database.most_storage < database.storage:
        yield (
            ("database", "most_storage"),
            f"is less than storage ({format_size(database.most_storage)} of "
            f"{format_size(database.storage)}); raise it",
        )


def _cache(environment: Environment) -> Iterator[Finding]:
    """A failover needs somebody to fail over to."""
    if environment.cache.replicas == 0 and environment.database.multi_az:
        yield (
            ("cache", "replicas"),
            "is 0 where the database has a standby: nobody takes over; give it one, or set "
            "database.multi_az to false",
        )


def _buckets(environment: Environment) -> Iterator[Finding]:
    """Objects move to a colder class, then to a colder one, then go."""
    for name in ("logs", "backups", "checkpoints"):
        bucket = getattr(environment.storage, name)
        steps = {
            step: days
            for step in ("infrequent_after_days", "archive_after_days", "expires_after_days")
            if (days := getattr(bucket, step)) is not None
        }
        if list(steps.values()) != sorted(set(steps.values())):
            shown = ", ".join(f"{step} {days}" for step, days in steps.items())
            yield ("storage", name), f"its steps are out of order ({shown}); let each be later"
        if bucket.infrequent_after_days is not None and bucket.infrequent_after_days < COLD_DAYS:
            yield (
                ("storage", name, "infrequent_after_days"),
                f"is {bucket.infrequent_after_days}; S3 moves nothing before {COLD_DAYS} days",
            )


COLD_DAYS = 30


def _vault(environment: Environment) -> Iterator[Finding]:
    """A lock that lets backups expire; monthly ones that outlive the daily ones."""
    storage = environment.storage
    if storage.vault_monthly_days < storage.vault_days:
        yield (
            ("storage", "vault_monthly_days"),
            f"is {storage.vault_monthly_days}, less than a daily backup is kept "
            f"({storage.vault_days}); raise it",
        )
    if storage.vault_lock_days is not None and storage.vault_lock_days > storage.vault_days:
        yield (
            ("storage", "vault_lock_days"),
            f"is {storage.vault_lock_days}, longer than backups are kept ({storage.vault_days}); "
            "shorten it",
        )


def _domain(environment: Environment) -> Iterator[Finding]:
    """A name in the zone."""
    edge = environment.edge
    if edge.domain != edge.hosted_zone and not edge.domain.endswith(f".{edge.hosted_zone}"):
        yield (
            ("edge", "domain"),
            f"{edge.domain} is not in {edge.hosted_zone}; give a name within the hosted zone",
        )


def _traffic(environment: Environment) -> Iterator[Finding]:
    """A peak that is one."""
    traffic = environment.traffic
    if traffic.peak_requests_per_day < traffic.requests_per_day:
        yield (
            ("traffic", "peak_requests_per_day"),
            f"is {traffic.peak_requests_per_day}, less than an ordinary day's "
            f"{traffic.requests_per_day}; raise it",
        )


RULES: tuple[Callable[[Environment], Iterator[Finding]], ...] = (
    _network,
    _api,
    _gpu,
    _off_peak,
    _database,
    _cache,
    _buckets,
    _vault,
    _domain,
    _traffic,
)
