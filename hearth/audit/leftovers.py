"""What an environment leaves behind in its account, and would still be paid for.

The kinds are in the order in which they have to go, which docs/how-to/tear-down-production.md
tells: what pods asked AWS for, then what the stack made, then what is kept on purpose.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from hearth.audit.look import GLOBAL, Finding, Look, Report, unless_absent
from inventory.cloud.model import Environment

if TYPE_CHECKING:
    import boto3


class Found(NamedTuple):
    """Something that is there.

    Attributes:
        name: or id.
        what: it is like.
        billed: whether it is paid for while it is like that.
    """

    name: str
    what: str
    billed: bool = True


OWNED_BY = (
    "elbv2.k8s.aws/cluster",
    "cluster.k8s.amazonaws.com/name",
    "eks:cluster-name",
    "aws:eks:cluster-name",
    "eks:eks-cluster-name",
)
"""Tags in which Kubernetes' controllers name the cluster for which they made something."""
BY_PODS = "remove what asked for it in Kubernetes, or delete it: nothing else will"
BY_STACK = "`hearth down {}` again; delete it by hand where the stack is gone"
KEPT = "delete it once nobody needs what is in it"


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of thing that is paid for.

    Attributes:
        name: as the table shows it.
        look: finds those of the environment.
        remedy: what to do about one; `{}` stands for the environment.
    """

    name: str
    look: Callable[[Look], Iterator[Found]]
    remedy: str


def belongs(look: Look, tags: Any) -> bool:
    """Whether tags say that something is the environment's, or its cluster's."""
    if look.ours(tags):
        return True
    cluster = look.environment.cluster_name
    named = {
        entry.get("Key", entry.get("key")): entry.get("Value", entry.get("value"))
        for entry in ([] if isinstance(tags, Mapping) else tags or [])
    } or dict(tags or {})
    return f"kubernetes.io/cluster/{cluster}" in named or any(
        named.get(tag) == cluster for tag in OWNED_BY
    )


def _ec2(
    operation: str, key: str, id_: str, *, tags: str = "Tags"
) -> Callable[[Look], Iterator[Found]]:
    """What EC2 has of a kind."""

    def found(look: Look) -> Iterator[Found]:
        owners: Any = {"OwnerIds": ["self"]} if operation == "describe_snapshots" else {}
        for one in _flat(look.all("ec2", operation, key, **owners)):
            state = one.get("State", one.get("Status", ""))
            state = state["Name"] if isinstance(state, Mapping) else state
            if state not in _GONE and belongs(look, one.get(tags)):
                yield Found(one[id_], state or "there")

    return found


def _flat(found: Sequence[Any]) -> Iterator[Any]:
    """Instances come in the reservations with which they were started."""
    for one in found:
        yield from one.get("Instances", [one])


_GONE = {"terminated", "shutting-down", "deleted", "deleting"}


def _balancers(look: Look) -> Iterator[Found]:
    client = look.client("elbv2")
    for one in look.all("elbv2", "describe_load_balancers", "LoadBalancers"):
        arn = one["LoadBalancerArn"]
        (entry,) = client.describe_tags(ResourceArns=[arn])["TagDescriptions"]
        if belongs(look, entry["Tags"]):
            yield Found(one["LoadBalancerName"], one.get("Scheme", one["Type"]))


def _clusters(look: Look) -> Iterator[Found]:
    for name in look.all("eks", "list_clusters", "clusters"):
        cluster = look.client("eks").describe_cluster(name=name)["cluster"]
        if look.ours(cluster.get("tags", {})):
            yield Found(name, cluster["status"].lower())


def _databases(look: Look) -> Iterator[Found]:
    for one in look.all("rds", "describe_db_instances", "DBInstances"):
        if look.ours(one.get("TagList")):
            yield Found(one["DBInstanceIdentifier"], one["DBInstanceStatus"])


def _database_snapshots(look: Look) -> Iterator[Found]:
    for one in look.all("rds", "describe_db_snapshots", "DBSnapshots"):
        if look.ours(one.get("TagList")):
            what = f"{one['SnapshotType']}, {one['AllocatedStorage']} GiB"
            yield Found(one["DBSnapshotIdentifier"], what)


def _caches(look: Look) -> Iterator[Found]:
    client = look.client("elasticache")
    for one in look.all("elasticache", "describe_replication_groups", "ReplicationGroups"):
        if look.ours(client.list_tags_for_resource(ResourceName=one["ARN"])["TagList"]):
            yield Found(one["ReplicationGroupId"], one["Status"])


def _firewalls(look: Look) -> Iterator[Found]:
    client = look.client("wafv2", GLOBAL)
    for one in client.list_web_acls(Scope="CLOUDFRONT")["WebACLs"]:
        tags = client.list_tags_for_resource(ResourceARN=one["ARN"])["TagInfoForResource"]
        if look.ours(tags["TagList"]):
            yield Found(one["Name"], "with its rules")


def _buckets(look: Look) -> Iterator[Found]:
    client = look.client("s3")
    for one in look.all("s3", "list_buckets", "Buckets"):
        tags = unless_absent(
            client.get_bucket_tagging, "NoSuchTagSet", "NoSuchBucket", Bucket=one["Name"]
        )
        if look.ours(tags.get("TagSet")):
            versions = client.list_object_versions(Bucket=one["Name"], MaxKeys=1)
            holds = bool(versions.get("Versions"))
            yield Found(one["Name"], "holds objects" if holds else "empty", billed=holds)


def _vaults(look: Look) -> Iterator[Found]:
    client = look.client("backup")
    for one in look.all("backup", "list_backup_vaults", "BackupVaultList"):
        if look.ours(client.list_tags(ResourceArn=one["BackupVaultArn"])["Tags"]):
            number, locked = one["NumberOfRecoveryPoints"], ", locked" if one.get("Locked") else ""
            yield Found(one["BackupVaultName"], f"{number} backups{locked}", billed=number > 0)


def _repositories(look: Look) -> Iterator[Found]:
    client = look.client("ecr")
    for one in look.all("ecr", "describe_repositories", "repositories"):
        if look.ours(client.list_tags_for_resource(resourceArn=one["repositoryArn"])["tags"]):
            images = look.all(
                "ecr", "describe_images", "imageDetails", repositoryName=one["repositoryName"]
            )
            yield Found(one["repositoryName"], f"{len(images)} images", billed=bool(images))


def _log_groups(look: Look) -> Iterator[Found]:
    client = look.client("logs")
    for one in look.all("logs", "describe_log_groups", "logGroups"):
        arn = one["arn"].removesuffix(":*")
        if look.ours(client.list_tags_for_resource(resourceArn=arn)["tags"]):
            stored = one.get("storedBytes", 0)
            yield Found(one["logGroupName"], f"{stored} bytes", billed=stored > 0)


def _secrets(look: Look) -> Iterator[Found]:
    for one in look.all("secretsmanager", "list_secrets", "SecretList"):
        if look.ours(one.get("Tags")):
            yield Found(one["Name"], "there")


def _keys(look: Look) -> Iterator[Found]:
    client = look.client("kms")
    for entry in look.all("kms", "list_keys", "Keys"):
        key = client.describe_key(KeyId=entry["KeyId"])["KeyMetadata"]
        if key["KeyManager"] != "CUSTOMER":
            continue
        if look.ours(client.list_resource_tags(KeyId=key["KeyId"])["Tags"]):
            goes = key.get("DeletionDate")
            what = f"goes on {goes:%Y-%m-%d}" if goes else "enabled"
            yield Found(key["KeyId"], what, billed=not goes)


KINDS: Sequence[Kind] = (
    Kind("load balancer", _balancers, BY_PODS),
    Kind("instance", _ec2("describe_instances", "Reservations", "InstanceId"), BY_PODS),
    Kind("volume", _ec2("describe_volumes", "Volumes", "VolumeId"), BY_PODS),
    Kind(
        "network interface",
        _ec2(
            "describe_network_interfaces",
            "NetworkInterfaces",
            "NetworkInterfaceId",
            tags="TagSet",
        ),
        "delete it: until then its security group and subnet cannot go",
    ),
    Kind("cluster", _clusters, BY_STACK),
    Kind("database", _databases, BY_STACK),
    Kind("cache", _caches, BY_STACK),
    Kind("NAT gateway", _ec2("describe_nat_gateways", "NatGateways", "NatGatewayId"), BY_STACK),
    Kind("address", _ec2("describe_addresses", "Addresses", "AllocationId"), BY_STACK),
    Kind("endpoint", _ec2("describe_vpc_endpoints", "VpcEndpoints", "VpcEndpointId"), BY_STACK),
    Kind("firewall", _firewalls, BY_STACK),
    Kind("secret", _secrets, BY_STACK),
    Kind("volume snapshot", _ec2("describe_snapshots", "Snapshots", "SnapshotId"), KEPT),
    Kind("database snapshot", _database_snapshots, KEPT),
    Kind("backup vault", _vaults, f"{KEPT}; a locked vault waits until its backups expire"),
    Kind("bucket", _buckets, f"{KEPT}: all versions first, then the bucket"),
    Kind("image repository", _repositories, KEPT),
    Kind("log group", _log_groups, KEPT),
    Kind("key", _keys, "schedule its deletion, last: what it encrypted goes with it"),
)
FREE = "nothing: it is free of charge like that"


@dataclass(frozen=True, slots=True)
class Leftovers(Report):
    """What is still there."""

    @property
    def summary(self) -> str:
        """`2 would still be paid for, 1 are free, 0 kinds not seen`."""
        return (
            f"{self.count('error')} would still be paid for, {self.count('note')} are free, "
            f"{self.count('unjudged')} kinds not seen"
        )


def leftovers(
    session: boto3.Session, environment: Environment, progress: Callable[[str], None]
) -> Leftovers:
    """Looks for what a teardown left.

    Args:
        session: with the account's credentials and the environment's region.
        environment: that was torn down.
        progress: hears of what is looked for.
    """
    look = Look(session, environment)
    for kind in KINDS:
        progress(kind.name)
        with look.as_far_as_allowed(environment.name, kind.name):
            look.findings += [
                Finding(
                    found.name,
                    kind.name,
                    "error" if found.billed else "note",
                    f"is still there ({found.what})",
                    kind.remedy.format(environment.name) if found.billed else FREE,
                )
                for found in kind.look(look)
            ]
    return Leftovers(environment.name, tuple(look.findings))
