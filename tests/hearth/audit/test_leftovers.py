"""What a teardown leaves is listed in the order in which it has to go, and what it costs."""

from __future__ import annotations

from typing import Any

import pytest

from hearth.audit.leftovers import KINDS, Leftovers, leftovers
from inventory.paths import PROJECT
from tests.hearth.audit.deployed import Deployed

PAGE = PROJECT / "docs" / "how-to" / "tear-down-production.md"
CLUSTER = [{"Key": "kubernetes.io/cluster/hearth-production", "Value": "owned"}]


def looked(account: Deployed) -> Leftovers:
    """What is left in an account."""
    return leftovers(account.session, account.environment, lambda _: None)


def left(account: Deployed) -> set[tuple[str, str, str]]:
    """The same, as (kind, name, level)."""
    return {(one.subject, one.resource, one.level) for one in looked(account).findings}


def test_an_account_that_is_clean_is_told_to_be(empty: Deployed) -> None:
    found = looked(empty)
    assert (found.findings, found.exit_code) == ((), 0)
    assert found.summary == "0 would still be paid for, 0 are free, 0 kinds not seen"


def test_what_pods_asked_for_is_found_by_the_clusters_tag(empty: Deployed) -> None:
    ec2 = empty.client("ec2")
    subnet = ec2.describe_subnets()["Subnets"][0]["SubnetId"]
    volume = ec2.create_volume(
        AvailabilityZone="us-east-1a",
        Size=8,
        TagSpecifications=[{"ResourceType": "volume", "Tags": CLUSTER}],
    )["VolumeId"]
    snapshot = ec2.create_snapshot(
        VolumeId=volume, TagSpecifications=[{"ResourceType": "snapshot", "Tags": CLUSTER}]
    )["SnapshotId"]
    interface = ec2.create_network_interface(
        SubnetId=subnet,
        TagSpecifications=[
            {
                "ResourceType": "network-interface",
                "Tags": [{"Key": "eks:eks-cluster-name", "Value": "hearth-production"}],
            }
        ],
    )["NetworkInterface"]["NetworkInterfaceId"]
    subnets = [one["SubnetId"] for one in ec2.describe_subnets()["Subnets"][:2]]
    empty.client("elbv2").create_load_balancer(
        Name="ingress",
        Subnets=subnets,
        Tags=[{"Key": "elbv2.k8s.aws/cluster", "Value": "hearth-production"}],
    )
    assert left(empty) == {
        ("volume", volume, "error"),
        ("volume snapshot", snapshot, "error"),
        ("network interface", interface, "error"),
        ("load balancer", "ingress", "error"),
    }


def test_instances_that_karpenter_started_are_found_until_they_end(empty: Deployed) -> None:
    ec2 = empty.client("ec2")
    image = ec2.describe_images()["Images"][0]["ImageId"]
    tags = [{"ResourceType": "instance", "Tags": [*CLUSTER, *empty.tag]}]
    started = ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1, TagSpecifications=tags)
    instance = started["Instances"][0]["InstanceId"]
    assert ("instance", instance, "error") in left(empty)
    ec2.terminate_instances(InstanceIds=[instance])
    assert ("instance", instance, "error") not in left(empty)


def test_a_bucket_costs_once_it_holds_something(empty: Deployed) -> None:
    s3 = empty.client("s3")
    s3.create_bucket(Bucket="kept-logs")
    s3.put_bucket_tagging(Bucket="kept-logs", Tagging={"TagSet": empty.tag})
    assert left(empty) == {("bucket", "kept-logs", "note")}
    s3.put_object(Bucket="kept-logs", Key="a", Body=b"a line")
    assert left(empty) == {("bucket", "kept-logs", "error")}


def test_a_key_that_waits_for_its_deletion_is_free(empty: Deployed) -> None:
    kms = empty.client("kms")
    tags = [{"TagKey": "Environment", "TagValue": "production"}]
    key = kms.create_key(Tags=tags)["KeyMetadata"]["KeyId"]
    assert left(empty) == {("key", key, "error")}
    kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=30)
    assert left(empty) == {("key", key, "note")}
    assert looked(empty).exit_code == 0


@pytest.mark.parametrize(
    "tags",
    [
        [{"Key": "Environment", "Value": "dev"}],
        [{"Key": "kubernetes.io/cluster/hearth-dev", "Value": "owned"}],
        [],
    ],
    ids=["another environment", "another cluster", "nobody"],
)
def test_what_is_anothers_is_left_alone(empty: Deployed, tags: list[dict[str, str]]) -> None:
    given: dict[str, Any] = {"AvailabilityZone": "us-east-1a", "Size": 8}
    if tags:
        given["TagSpecifications"] = [{"ResourceType": "volume", "Tags": tags}]
    empty.client("ec2").create_volume(**given)
    assert left(empty) == set()


def test_the_page_on_tearing_down_names_every_kind_in_that_order() -> None:
    text = PAGE.read_text()
    at = [text.find(f"| {kind.name} ") for kind in KINDS]
    assert -1 not in at
    assert at == sorted(at)
