"""What an environment comes to, in a few lines."""

from __future__ import annotations

from inventory.cloud.instances import INSTANCE_TYPES
from inventory.cloud.model import Cluster, Environment, OffPeak
from inventory.units import format_size


def summary(environment: Environment) -> dict[str, str]:
    """A line for each subject of a sound environment."""
    network, database, cache = environment.network, environment.database, environment.cache
    nats = 1 if network.nat == "single" else network.zones
    standby = "with a standby" if database.multi_az else "without a standby"
    traffic = environment.traffic
    return {
        "region": f"{environment.region}, {network.zones} zones, {network.cidr}, NAT {nats}",
        "cluster": _cluster(environment.cluster),
        "GPU": _gpu(environment.cluster),
        "quotas": ", ".join(f"{n} vCPUs of {what}" for what, n in quotas(environment).items() if n),
        "database": f"PostgreSQL {database.version}, {database.instance_class}, {standby}, "
        f"{format_size(database.storage)} to {format_size(database.most_storage)}",
        "cache": f"{cache.engine} {cache.version}, {cache.replicas + 1} of {cache.node_type}",
        "edge": f"https://{environment.edge.domain}",
        "traffic": f"{traffic.requests_per_day:,} requests a day, "
        f"{traffic.peak_requests_per_day:,} on {traffic.peak_days_a_month} days a month",
        "deletion": "protected" if environment.protected else "not protected",
    }


def quotas(environment: Environment) -> dict[str, int]:
    """How many virtual processors AWS has to grant at least, by EC2's kinds of instances.

    While a managed group is updated EKS starts up to twice as many nodes more as there are zones.
    Where there is no spot instance the pool takes one on demand.
    """
    cluster, more = environment.cluster, 2 * environment.network.zones
    system, gpu = cluster.system, cluster.gpu
    base = gpu.base and INSTANCE_TYPES[gpu.base_instance_type].cpus * (gpu.base + more)
    largest = max(INSTANCE_TYPES[name].cpus for name in gpu.instance_types)
    pool = largest * (gpu.most - gpu.base)
    return {
        "Standard on demand": INSTANCE_TYPES[system.instance_type].cpus * (system.count + more),
        "G and VT on demand": base + pool,
        "G and VT on spot": pool,
    }


def _cluster(cluster: Cluster) -> str:
    opened = ", ".join(map(str, cluster.public_from))
    return (
        f"EKS {cluster.version}, {cluster.system.count} of {cluster.system.instance_type}, "
        f"API {f'open to {opened}' if opened else 'private'}"
    )


def _gpu(cluster: Cluster) -> str:
    gpu, off_peak = cluster.gpu, cluster.off_peak
    return (
        f"{gpu.typical} nodes, {gpu.most} at peak, {gpu.base} of them on demand"
        f"{_less(off_peak) if off_peak else ''}; {', '.join(gpu.instance_types)}"
    )


def _less(off_peak: OffPeak) -> str:
    weekends = " and on weekends" if off_peak.weekends else ""
    return (
        f", {off_peak.gpu_nodes} from {off_peak.begins:%H:%M} to {off_peak.ends:%H:%M} "
        f"{off_peak.time_zone}{weekends}"
    )
