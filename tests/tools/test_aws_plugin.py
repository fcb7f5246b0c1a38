"""AWS's stand-in: what a program gets from it, what it takes for a change, whom it serves."""

from __future__ import annotations

import asyncio
import inspect
from importlib import import_module
from typing import Any

import pytest
from pulumi.provider.experimental.property_value import PropertyValue
from pulumi.provider.experimental.provider import (
    CheckRequest,
    ConfigureRequest,
    CreateRequest,
    DiffRequest,
    DiffResponse,
    InvokeRequest,
    PropertyDiffKind,
    UpdateRequest,
)
from pulumi.runtime.rpc import UNKNOWN

from tools.aws_echo import BACKEND, OFFLINE
from tools.aws_immutable import IMMUTABLE, is_immutable
from tools.aws_plugin import NAMED, NOTICE, EchoProvider, _plain, _wrapped, refusal

CLUSTER = "eks/cluster:Cluster"
DATABASE = "rds/instance:Instance"
VPC = "ec2/vpc:Vpc"


def urn(kind: str, name: str = "main") -> str:
    return f"urn:pulumi:dev::hearth::hearth:production:X$aws:{kind}::{name}"


def wrapped(values: dict[str, Any]) -> dict[str, PropertyValue]:
    return {key: _wrapped(value) for key, value in values.items()}


class Aws:
    """The stand-in, asked as the engine asks it."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.provider = EchoProvider(self.told.append)

    def check(self, kind: str, inputs: dict[str, Any], name: str = "main") -> dict[str, Any]:
        """The inputs with what it adds."""
        request = CheckRequest(urn(kind, name), {}, wrapped(inputs), b"")
        found = asyncio.run(self.provider.check(request)).inputs
        return {key: _plain(value) for key, value in (found or {}).items()}

    def create(
        self, kind: str, inputs: dict[str, Any], *, preview: bool = False
    ) -> tuple[str, dict[str, PropertyValue]]:
        """The id and the state."""
        request = CreateRequest(urn(kind), wrapped(inputs), 0, preview)
        made = asyncio.run(self.provider.create(request))
        return made.resource_id or "", made.properties

    def diff(self, kind: str, old: dict[str, Any], new: dict[str, Any]) -> DiffResponse:
        """What it takes for a change of a resource that is there."""
        id_, state = self.create(kind, old)
        request = DiffRequest(urn(kind), id_, state, wrapped(new), [])
        return asyncio.run(self.provider.diff(request))

    def update(self, kind: str, old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
        """The state after an update."""
        id_, state = self.create(kind, old)
        request = UpdateRequest(urn(kind), id_, state, wrapped(new), 0, [], preview=False)
        found = asyncio.run(self.provider.update(request)).properties
        return {key: _plain(value) for key, value in found.items()}


@pytest.fixture
def aws() -> Aws:
    return Aws()


def test_it_says_what_it_is_once(aws: Aws) -> None:
    for _ in range(2):
        asyncio.run(aws.provider.configure(ConfigureRequest({}, {}, True, True)))
    assert aws.told == [NOTICE]


def test_it_serves_the_backend_for_made_up_resources_alone() -> None:
    offline = {OFFLINE: "file:///offline", BACKEND: "file:///offline"}
    assert refusal(offline) == ""
    for other in ({}, {BACKEND: "s3://real"}, {**offline, BACKEND: "s3://real"}, {OFFLINE: ""}):
        assert ".hearth/offline" in refusal(other)


def test_a_name_is_made_where_the_official_plugin_makes_one(aws: Aws) -> None:
    first, again = (aws.check("s3/bucket:Bucket", {}, "logs")["bucket"] for _ in range(2))
    assert first == again
    assert first.startswith("logs-")
    assert aws.check(CLUSTER, {"name": "mine"})["name"] == "mine"
    assert "name" not in aws.check("iam/role:Role", {"namePrefix": "mine-"})
    assert aws.check(VPC, {}) == {}


def test_what_is_made_has_an_id_and_what_aws_adds(aws: Aws) -> None:
    id_, state = aws.create(VPC, {"cidrBlock": "10.0.0.0/16", "tags": {"Name": "a"}})
    assert id_.startswith("vpc-")
    assert _plain(state["arn"]).endswith(id_)
    assert _plain(state["cidrBlock"]) == "10.0.0.0/16"
    assert _plain(state["tagsAll"]) == {"Name": "a"}


def test_what_aws_adds_within_an_input_is_there(aws: Aws) -> None:
    _, state = aws.create(CLUSTER, {"vpcConfig": {"subnetIds": ["a"]}})
    found = _plain(state["vpcConfig"])
    assert found["subnetIds"] == ["a"]
    assert found["clusterSecurityGroupId"].startswith("sg-")


def test_a_plan_knows_what_was_asked_for_and_nothing_that_aws_adds(aws: Aws) -> None:
    id_, state = aws.create(CLUSTER, {"vpcConfig": {"subnetIds": [UNKNOWN]}}, preview=True)
    assert id_ == ""
    assert _plain(state["endpoint"]) == UNKNOWN
    assert _plain(state["vpcConfig"])["clusterSecurityGroupId"] == UNKNOWN


def test_a_database_is_known_by_an_id_that_its_name_is_not(aws: Aws) -> None:
    id_, state = aws.create(DATABASE, {"identifier": "main"})
    assert id_.startswith("db-")
    assert _plain(state["resourceId"]) == id_
    assert _plain(state["address"]).startswith("main.")


def test_secrets_stay_secret(aws: Aws) -> None:
    request = CreateRequest(
        urn(DATABASE), {"password": PropertyValue("p", is_secret=True)}, 0, False
    )
    state = asyncio.run(aws.provider.create(request)).properties
    assert state["password"].is_secret
    assert state["__inputs"].contains_secret()


def test_the_same_is_no_change(aws: Aws) -> None:
    inputs = {"cidrBlock": "10.0.0.0/16", "tags": {"a": "b"}, "enableDnsSupport": True}
    assert aws.diff(VPC, inputs, inputs).changes is False


@pytest.mark.parametrize(
    ("old", "new", "path", "kind"),
    [
        ({"tags": {"a": "b"}}, {"tags": {"a": "c"}}, "tags.a", PropertyDiffKind.UPDATE),
        ({"tags": {"a-b": "c"}}, {"tags": {}}, 'tags["a-b"]', PropertyDiffKind.DELETE),
        ({}, {"enableDnsSupport": True}, "enableDnsSupport", PropertyDiffKind.ADD),
        ({"enableDnsSupport": True}, {}, "enableDnsSupport", PropertyDiffKind.DELETE),
        ({"x": ["a", "b"]}, {"x": ["a", "c"]}, "x[1]", PropertyDiffKind.UPDATE),
        ({"x": ["a"]}, {"x": ["a", "c"]}, "x", PropertyDiffKind.UPDATE),
        (
            {"cidrBlock": "10.0.0.0/16"},
            {"cidrBlock": "10.1.0.0/16"},
            "cidrBlock",
            PropertyDiffKind.UPDATE_REPLACE,
        ),
    ],
)
def test_a_change_is_told_by_its_path(
    aws: Aws, old: dict[str, Any], new: dict[str, Any], path: str, kind: PropertyDiffKind
) -> None:
    found = aws.diff(VPC, old, new)
    assert {where: how.kind for where, how in found.detailed_diff.items()} == {path: kind}
    assert bool(found.replaces) == kind.name.endswith("_REPLACE")


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        (VPC, "cidrBlock"),
        ("ec2/subnet:Subnet", "availabilityZone"),
        (CLUSTER, "name"),
        (CLUSTER, "roleArn"),
        (CLUSTER, "encryptionConfig.provider.keyArn"),
        (CLUSTER, "accessConfig.bootstrapClusterCreatorAdminPermissions"),
        (DATABASE, "engine"),
        (DATABASE, "kmsKeyId"),
        (DATABASE, "storageEncrypted"),
        ("elasticache/replicationGroup:ReplicationGroup", "subnetGroupName"),
        ("s3/bucket:Bucket", "bucket"),
        ("ec2/flowLog:FlowLog", "logDestination"),
    ],
)
def test_what_aws_cannot_change_makes_another_resource(kind: str, path: str) -> None:
    assert is_immutable(kind, path)


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        (VPC, "enableDnsSupport"),
        (CLUSTER, "vpcConfig.subnetIds[0]"),
        (CLUSTER, "version"),
        (CLUSTER, "accessConfig.authenticationMode"),
        (DATABASE, "identifier"),
        (DATABASE, "instanceClass"),
        (DATABASE, "multiAz"),
        ("kms/key:Key", "policy"),
        ("ec2/flowLog:FlowLog", "tags.Owner"),
        ("budgets/budget:Budget", "name"),
    ],
)
def test_what_aws_can_change_is_changed_in_place(kind: str, path: str) -> None:
    assert not is_immutable(kind, path)


@pytest.mark.parametrize("kind", sorted({*IMMUTABLE, *NAMED}))
def test_the_tables_name_types_and_properties_that_there_are(kind: str) -> None:
    module, _, rest = kind.partition("/")
    sdk = getattr(import_module(f"pulumi_aws.{module}"), rest.partition(":")[2])
    words = [name.split("_") for name in inspect.signature(sdk._internal_init).parameters]
    known = {first + "".join(word.capitalize() for word in others) for first, *others in words}
    named = {row.partition(".")[0] for row in IMMUTABLE.get(kind, ()) if row != "*"}
    assert named | ({NAMED[kind]} if kind in NAMED else set()) <= known


def test_an_update_keeps_what_aws_has_added(aws: Aws) -> None:
    before = {"identifier": "main", "instanceClass": "db.m7g.large", "port": 5432}
    id_, state = aws.create(DATABASE, before)
    after = aws.update(DATABASE, before, {"identifier": "main", "instanceClass": "db.m7g.xlarge"})
    assert after["instanceClass"] == "db.m7g.xlarge"
    assert after["resourceId"] == id_
    assert after["address"] == _plain(state["address"])
    assert after["__inputs"] == {"identifier": "main", "instanceClass": "db.m7g.xlarge"}


def test_questions_about_an_account_are_answered_or_refused(aws: Aws) -> None:
    who = "aws:index/getCallerIdentity:getCallerIdentity"
    known = asyncio.run(aws.provider.invoke(InvokeRequest(who, {})))
    assert known.return_value is not None
    assert _plain(known.return_value["accountId"]) == "123456789012"
    unknown = asyncio.run(aws.provider.invoke(InvokeRequest("aws:ec2/getAmi:getAmi", {})))
    assert "aws:ec2/getAmi:getAmi: there is no account" in unknown.failures[0].reason
