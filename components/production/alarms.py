"""Which figures of CloudWatch call somebody, and what that somebody does then."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import pulumi

from components.production.database import MAX_CONNECTIONS
from inventory.cloud.parts import CLOUDFRONT_REGION
from inventory.units import GIB

Comparison = Literal["GreaterThanThreshold", "LessThanThreshold"]


@dataclass(frozen=True, slots=True)
class Alarm:
    """One figure and its limit.

    Attributes:
        name: of the alarm, after its component's.
        metric: namespace and name, as `AWS/RDS CPUUtilization`.
        of: the dimensions that name what is watched.
        limit: in the metric's own unit.
        then: what it means and what to do: the text of the message.
        statistic: `Average`, `Sum`, `Maximum`, `Minimum`, or a percentile as `p95`.
        below: whether less than the limit is wrong, rather than more.
        minutes: of one figure.
        figures: that have to be wrong, one after the other.
        silence_is_wrong: whether to alarm where there are no figures.
        region: of the metric, None for the stack's.
        each: the dimensions of several of one kind, instead of `of`; the figure is `formula`.
        formula: over the metric of each, `m0`, `m1` and so on, in CloudWatch's metric math.
    """

    name: str
    metric: str
    of: Mapping[str, pulumi.Input[str]]
    limit: float
    then: str
    statistic: str = "Average"
    below: bool = False
    minutes: int = 5
    figures: int = 3
    silence_is_wrong: bool = False
    region: str | None = None
    each: Sequence[Mapping[str, pulumi.Input[str]]] = ()
    formula: str = ""

    @property
    def comparison(self) -> Comparison:
        """In CloudWatch's words."""
        return "LessThanThreshold" if self.below else "GreaterThanThreshold"


@dataclass(frozen=True, slots=True)
class Watched:
    """What the alarms are about; what is None or empty is not watched.

    Attributes:
        database_id: identifier of the instance.
        database_storage: bytes that it began with.
        cache_id: of the replication group.
        cache_nodes: of it, primary included.
        balancer_suffix: as metrics name the load balancer, `app/...`.
        target_group_suffix: as metrics name its target group, `targetgroup/...`.
        distribution_id: of CloudFront.
        firewall_metric: the web ACL's.
        health_check_id: of Route 53.
        nat_ids: of the gateways.
        nats: how many they are: their ids are known only once they are made.
    """

    database_id: pulumi.Input[str] | None = None
    database_storage: int = 20 * GIB
    cache_id: pulumi.Input[str] | None = None
    cache_nodes: int = 1
    balancer_suffix: pulumi.Input[str] | None = None
    target_group_suffix: pulumi.Input[str] | None = None
    distribution_id: pulumi.Input[str] | None = None
    firewall_metric: pulumi.Input[str] | None = None
    health_check_id: pulumi.Input[str] | None = None
    nat_ids: pulumi.Input[Sequence[str]] = field(default_factory=list)
    nats: int = 0


def alarms(watched: Watched) -> list[Alarm]:
    """All of them."""
    return [
        *database_alarms(watched),
        *cache_alarms(watched),
        *balancer_alarms(watched),
        *edge_alarms(watched),
        *nat_alarms(watched),
    ]


def database_alarms(watched: Watched) -> Iterator[Alarm]:
    """PostgreSQL: busy, full, crowded. Its failovers are events, not figures."""
    if watched.database_id is None:
        return
    of = {"DBInstanceIdentifier": watched.database_id}
    yield Alarm(
        "database-cpu",
        "AWS/RDS CPUUtilization",
        of,
        80,
        "The database's processor has been over 80 % for 15 minutes. Look in Database Insights for "
        "the statements that take it; take a larger database.instance_class if they are as meant.",
    )
    yield Alarm(
        "database-storage",
        "AWS/RDS FreeStorageSpace",
        of,
        watched.database_storage / 10,
        "The database has less than a tenth of its first storage free, and has not grown. See "
        "whether it reached database.most_storage and raise that; then look for what grows.",
        statistic="Minimum",
        below=True,
        figures=2,
    )
    yield Alarm(
        "database-connections",
        "AWS/RDS DatabaseConnections",
        of,
        MAX_CONNECTIONS * 0.8,
        f"More than 80 % of the database's {MAX_CONNECTIONS} connections are taken. Look in "
        "pg_stat_activity for whose they are; make clients' pools smaller, or end idle ones.",
        statistic="Maximum",
    )
    yield Alarm(
        "database-memory",
        "AWS/RDS FreeableMemory",
        of,
        GIB / 4,
        "The database has less than 256 MiB of memory left and may be restarted by its system. "
        "Look for large sorts in Database Insights; take a larger database.instance_class.",
        below=True,
    )


def cache_alarms(watched: Watched) -> Iterator[Alarm]:
    """Each node of the cache: full, busy, behind; and that another is the primary now.

    A failover of ElastiCache's is no event of EventBridge's: it is seen by which node says that it
    is the primary.
    """
    if watched.cache_id is None:
        return
    nodes = {
        f"{number:03d}": {
            "CacheClusterId": pulumi.Output.concat(watched.cache_id, f"-{number:03d}")
        }
        for number in range(1, watched.cache_nodes + 1)
    }
    for node, of in nodes.items():
        yield Alarm(
            f"cache-{node}-memory",
            "AWS/ElastiCache DatabaseMemoryUsagePercentage",
            of,
            85,
            "The cache's memory is over 85 % full, and it soon throws answers away. Shorten how "
            "long answers are kept, or take a larger cache.node_type.",
        )
        yield Alarm(
            f"cache-{node}-evictions",
            "AWS/ElastiCache Evictions",
            of,
            1000,
            "The cache threw away more than 1000 answers in each of three times 5 minutes: the "
            "model is asked again for them. Take a larger cache.node_type.",
            statistic="Sum",
        )
        yield Alarm(
            f"cache-{node}-cpu",
            "AWS/ElastiCache EngineCPUUtilization",
            of,
            80,
            "The cache's one working thread has been over 80 % for 15 minutes. Look in its slow "
            "log for commands that read whole keys; then take a faster cache.node_type.",
        )
        if watched.cache_nodes > 1:
            yield Alarm(
                f"cache-{node}-lag",
                "AWS/ElastiCache ReplicationLag",
                of,
                10,
                "A replica of the cache is more than 10 s behind: a failover now would lose that. "
                "See whether it is being replaced (its events); otherwise take a larger node type.",
                statistic="Maximum",
            )
    if watched.cache_nodes > 1:
        became_primary = ", ".join(f"DIFF(m{number})" for number in range(len(nodes)))
        yield Alarm(
            "cache-failover",
            "AWS/ElastiCache IsMaster",
            {},
            0,
            "Another node of the cache is its primary now: it failed over, or was maintained. What "
            "was written in the last seconds may be lost. See that clients have reconnected, and "
            "in ElastiCache's events that the old primary comes back as a replica.",
            statistic="Maximum",
            minutes=1,
            figures=1,
            each=tuple(nodes.values()),
            formula=f"MAX([{became_primary}])",
        )


def balancer_alarms(watched: Watched) -> Iterator[Alarm]:
    """Requests that fail or wait, and pods that answer no checks."""
    if watched.balancer_suffix is None or watched.target_group_suffix is None:
        return
    balancer = {"LoadBalancer": watched.balancer_suffix}
    of = {**balancer, "TargetGroup": watched.target_group_suffix}
    yield Alarm(
        "balancer-5xx",
        "AWS/ApplicationELB HTTPCode_ELB_5XX_Count",
        balancer,
        10,
        "The load balancer itself answered more than 10 requests in 5 minutes with 5xx: it found "
        "no pod, or none in time. See the target group's health, then the pods' events.",
        statistic="Sum",
        figures=1,
    )
    yield Alarm(
        "service-5xx",
        "AWS/ApplicationELB HTTPCode_Target_5XX_Count",
        of,
        10,
        "The service answered more than 10 requests in 5 minutes with 5xx. Read its log of that "
        "time; if a release is new, roll it back.",
        statistic="Sum",
        figures=1,
    )
    yield Alarm(
        "service-latency",
        "AWS/ApplicationELB TargetResponseTime",
        of,
        20,
        "One of 20 requests waits more than 20 s for its answer to begin. See whether GPU nodes "
        "are there (spot capacity) and requests queue; raise cluster.gpu.base or typical.",
        statistic="p95",
    )
    yield Alarm(
        "service-unhealthy",
        "AWS/ApplicationELB UnHealthyHostCount",
        of,
        0,
        "A pod has failed its health check for 5 minutes. Read its log and events; if it is on a "
        "node that goes, wait for its replacement.",
        statistic="Minimum",
        minutes=1,
        figures=5,
    )
    yield Alarm(
        "service-gone",
        "AWS/ApplicationELB HealthyHostCount",
        of,
        1,
        "No pod is healthy: the service is down, and its name soon leads to the static page. See "
        "the cluster's nodes, then the service's deployment; roll back if it is new.",
        statistic="Maximum",
        below=True,
        minutes=1,
        silence_is_wrong=True,
    )


def edge_alarms(watched: Watched) -> Iterator[Alarm]:
    """What CloudFront, its firewall and the health check saw; their figures are in us-east-1."""
    if watched.distribution_id is not None:
        yield Alarm(
            "edge-5xx",
            "AWS/CloudFront 5xxErrorRate",
            {"DistributionId": watched.distribution_id, "Region": "Global"},
            5,
            "More than 5 % of what CloudFront was asked ended in 5xx. If the load balancer's own "
            "alarms are quiet, the way to it is broken: see the VPC origin and its security group.",
            region=CLOUDFRONT_REGION,
        )
    if watched.firewall_metric is not None:
        yield Alarm(
            "firewall-blocked",
            "AWS/WAFV2 BlockedRequests",
            {"WebACL": watched.firewall_metric, "Rule": "ALL"},
            1000,
            "The firewall refused more than 1000 requests in each of three times 5 minutes. Read "
            "its log for rule and address: an attack, or users that a rule mistakes for one.",
            statistic="Sum",
            region=CLOUDFRONT_REGION,
        )
    if watched.health_check_id is not None:
        yield Alarm(
            "edge-failover",
            "AWS/Route53 HealthCheckStatus",
            {"HealthCheckId": watched.health_check_id},
            1,
            "The service does not answer its health check from outside: its name now leads to the "
            "static page. The other alarms say why; it comes back by itself within minutes.",
            statistic="Minimum",
            below=True,
            minutes=1,
            figures=1,
            silence_is_wrong=True,
            region=CLOUDFRONT_REGION,
        )


def nat_alarms(watched: Watched) -> Iterator[Alarm]:
    """Gateways that have no port left for a connection, or drop packets."""
    for number in range(watched.nats):
        gateway = pulumi.Output.from_input(watched.nat_ids)[number]
        of = {"NatGatewayId": gateway}
        yield Alarm(
            f"nat-{number}-ports",
            "AWS/NATGateway ErrorPortAllocation",
            of,
            0,
            "The NAT gateway had no port left: connections to one address outside fail. Look in "
            "the flow log for it; reuse connections, or give the gateway more addresses.",
            statistic="Sum",
            figures=1,
        )
        yield Alarm(
            f"nat-{number}-drops",
            "AWS/NATGateway PacketsDropCount",
            of,
            100,
            "The NAT gateway dropped packets for 15 minutes. See Amazon's health dashboard for the "
            "zone; if it lasts, replace the gateway.",
            statistic="Sum",
        )
