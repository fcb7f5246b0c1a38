"""Everything that takes tags has the environment's; nothing else is touched."""

from __future__ import annotations

from typing import Any

import pulumi
import pulumi_aws as aws
import pytest

from inventory.cloud.loading import load_environment
from stacks.tags import LAUNCHED, tag_everything, tagging, tags_of, takes_tags
from tests.components.recorder import Recording, record

TAGS = {"Environment": "dev", "Owner": "platform", "ManagedBy": "hearth"}


def transformed(type_: str, props: dict[str, Any], *, custom: bool = True) -> dict[str, Any] | None:
    args = pulumi.ResourceTransformArgs(custom, type_, "x", props, pulumi.ResourceOptions())
    result = tagging(TAGS)(args)
    return None if result is None else dict(result.props)


def test_an_environments_tags_say_which_whose_and_by_what() -> None:
    assert tags_of(load_environment("dev")) == TAGS


@pytest.mark.parametrize(
    "token",
    [
        "aws:ec2/vpc:Vpc",
        "aws:eks/cluster:Cluster",
        "aws:rds/instance:Instance",
        "aws:s3/bucket:Bucket",
        "aws:lb/loadBalancer:LoadBalancer",
        "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule",
    ],
)
def test_types_with_tags_are_known(token: str) -> None:
    assert takes_tags(token)


@pytest.mark.parametrize(
    "token",
    [
        "aws:s3/bucketVersioning:BucketVersioning",
        "aws:iam/rolePolicyAttachment:RolePolicyAttachment",
        "aws:kms/alias:Alias",
        "aws:autoscaling/group:Group",  # a list of another form
        "pulumi:providers:aws",
        "hearth:production:Network",
        "docker:index/container:Container",
    ],
)
def test_types_without_tags_are_known(token: str) -> None:
    assert not takes_tags(token)
    assert transformed(token, {}) is None


def test_a_component_is_left_alone() -> None:
    assert transformed("aws:ec2/vpc:Vpc", {}, custom=False) is None


def test_a_resources_own_tags_stay_and_those_of_the_environment_win() -> None:
    found = transformed("aws:ec2/vpc:Vpc", {"tags": {"Name": "a", "Owner": "somebody"}})
    assert found == {"tags": {"Name": "a", **TAGS}}


def test_what_a_launch_template_launches_is_tagged_too() -> None:
    own = {"resourceType": "volume", "tags": {"Name": "disk"}}
    found = transformed("aws:ec2/launchTemplate:LaunchTemplate", {"tagSpecifications": [own]})
    assert found is not None
    by_type = {entry["resourceType"]: entry["tags"] for entry in found["tagSpecifications"]}
    assert by_type.keys() == set(LAUNCHED)
    assert by_type["volume"] == {"Name": "disk", **TAGS}
    assert by_type["instance"] == TAGS


@pytest.fixture(scope="module")
def recording() -> Recording:
    def program() -> None:
        tag_everything(TAGS)
        vpc = aws.ec2.Vpc("net", cidr_block="10.0.0.0/16")
        # Known only once the VPC is there.
        late = vpc.id.apply(lambda id_: {"Network": id_})
        bucket = aws.s3.Bucket("logs", tags=late)
        aws.s3.BucketVersioning(
            "logs", bucket=bucket.id, versioning_configuration={"status": "Enabled"}
        )

    return record(program)


def test_a_program_is_tagged_as_it_declares(recording: Recording) -> None:
    assert recording.of_type("Vpc")["net"].inputs["tags"] == TAGS
    assert "tags" not in recording.of_type("BucketVersioning")["logs"].inputs


def test_tags_that_are_known_later_are_merged(recording: Recording) -> None:
    tags = recording.of_type("Bucket")["logs"].inputs["tags"]
    assert tags["Network"].startswith("vpc-")
    assert tags.items() >= TAGS.items()
