"""Karpenter: what it may do, what it is told, which nodes it starts."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from components.production.karpenter import node_pool
from inventory.cloud.instances import INSTANCE_TYPES
from inventory.cloud.loading import load_environment
from inventory.units import GIB, MIB
from tests.components.production.core import (
    ENVIRONMENTS,
    core,
    inputs,
    listed,
    only,
    outputs,
    policies_of,
    statements,
)
from tools.aws_echo import ACCOUNT, REGION

CONTROLLER = "cluster-karpenter-controller"
LARGEST_INLINE = 10_240
"""Characters of all inline policies of a role together, white space apart."""
LABELLED_MIB = {"t4": 16_384, "a10g": 22_888, "l4": 22_888, "l40s": 45_776}
"""What Karpenter labels nodes with: its reference of instance types, v1.14."""
OWNED = "kubernetes.io/cluster/hearth-production"


def documents(environment: str) -> dict[str, dict[str, Any]]:
    """The rendered documents, by kind."""
    text = outputs(core(environment))["node_pools"]
    return {document["kind"]: document for document in yaml.safe_load_all(text)}


def requirements(environment: str) -> dict[str, dict[str, Any]]:
    """The pool's requirements, by key."""
    spec = documents(environment)["NodePool"]["spec"]["template"]["spec"]
    return {requirement["key"]: requirement for requirement in spec["requirements"]}


def controller() -> dict[str, dict[str, Any]]:
    """All that the controller may do, by Sid."""
    return {s["Sid"]: s for s in policies_of(core("production"), CONTROLLER)}


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_spot_comes_first_and_on_demand_where_there_is_none(environment: str) -> None:
    capacity = requirements(environment)["karpenter.sh/capacity-type"]
    assert capacity["operator"] == "In"
    assert set(capacity["values"]) == {"spot", "on-demand"}


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_any_type_with_the_memory_will_do(environment: str) -> None:
    gpu = load_environment(environment).cluster.gpu
    types = requirements(environment)["node.kubernetes.io/instance-type"]["values"]
    assert types == gpu.instance_types
    assert len({name.partition(".")[0] for name in types}) > 1


@pytest.mark.parametrize("gibibytes", [8, 16, 24, 48])
def test_memory_is_asked_for_as_karpenter_labels_it(gibibytes: int) -> None:
    gpu = load_environment("production").cluster.gpu.model_copy(
        update={"gpu_memory": gibibytes * GIB}
    )
    (memory,) = [
        requirement
        for requirement in node_pool(gpu)["spec"]["template"]["spec"]["requirements"]
        if requirement["key"] == "karpenter.k8s.aws/instance-gpu-memory"
    ]
    assert memory["operator"] == "Gt"
    admitted = {model for model, mib in LABELLED_MIB.items() if mib > int(memory["values"][0])}
    sold = {
        kind.gpu.model
        for kind in INSTANCE_TYPES.values()
        if kind.gpu and kind.gpu.memory_bytes >= gibibytes * GIB
    }
    assert admitted == sold
    assert int(memory["values"][0]) < gibibytes * GIB // MIB


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_the_pool_ends_where_the_settings_say(environment: str) -> None:
    gpu = load_environment(environment).cluster.gpu
    limits = documents(environment)["NodePool"]["spec"]["limits"]
    assert limits == {"nodes": gpu.most - gpu.base, "nvidia.com/gpu": gpu.most - gpu.base}


def test_the_pools_nodes_have_the_taint_and_the_label_of_the_base() -> None:
    template = documents("production")["NodePool"]["spec"]["template"]
    base = inputs(core("production"), "NodeGroup")["cluster-nodes-gpu"]
    (taint,) = template["spec"]["taints"]
    assert taint == {"key": "nvidia.com/gpu", "value": "true", "effect": "NoSchedule"}
    assert {**base["taints"][0], "effect": "NoSchedule"} == taint
    assert template["metadata"]["labels"] == base["labels"]


def test_nodes_in_use_are_taken_away_one_at_a_time() -> None:
    disruption = documents("production")["NodePool"]["spec"]["disruption"]
    assert disruption["consolidationPolicy"] == "WhenEmptyOrUnderutilized"
    budgets = {reason: b["nodes"] for b in disruption["budgets"] for reason in b["reasons"]}
    assert budgets == {"Empty": "100%", "Drifted": "1", "Underutilized": "1"}


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_the_class_keeps_metadata_disks_and_addresses_as_managed_groups_do(
    environment: str,
) -> None:
    made, recording = documents(environment)["EC2NodeClass"]["spec"], core(environment)
    assert made["metadataOptions"]["httpTokens"] == "required"
    assert made["metadataOptions"]["httpPutResponseHopLimit"] == 1
    assert made["associatePublicIPAddress"] is False
    (device,) = made["blockDeviceMappings"]
    disk = load_environment(environment).cluster.gpu.disk
    assert device["ebs"]["encrypted"] is True
    assert device["ebs"]["volumeSize"] == f"{disk // GIB}Gi"
    assert device["ebs"]["kmsKeyID"] == outputs(recording)["keys"][0]
    assert made["role"] == outputs(recording)["node_role_name"]
    assert made["securityGroupSelectorTerms"] == [{"id": outputs(recording)["security_group_id"]}]
    assert made["tags"] == {"Owner": "platform"}


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_the_class_finds_the_private_subnets(environment: str) -> None:
    (term,) = documents(environment)["EC2NodeClass"]["spec"]["subnetSelectorTerms"]
    found = {
        name
        for name, subnet in inputs(core(environment), "Subnet").items()
        if term["tags"].items() <= subnet["tags"].items()
    }
    private = {name for name in inputs(core(environment), "Subnet") if "-private-" in name}
    assert found == private


def test_karpenter_is_told_of_every_kind_of_interruption() -> None:
    recording = core("production")
    kinds = {
        json.loads(rule["eventPattern"])["detail-type"][0]
        for rule in inputs(recording, "EventRule").values()
    }
    assert kinds == {
        "EC2 Spot Instance Interruption Warning",
        "EC2 Instance Rebalance Recommendation",
        "EC2 Instance State-change Notification",
        "AWS Health Event",
    }
    targets = inputs(recording, "EventTarget").values()
    assert len(targets) == len(kinds)
    assert len({target["arn"] for target in targets}) == 1


def test_only_its_rules_write_to_the_queue_and_nobody_in_the_clear() -> None:
    recording = core("production")
    queue = only(recording, "Queue").inputs
    assert queue["sqsManagedSseEnabled"] is True
    assert queue["messageRetentionSeconds"] == 300
    policy = statements(only(recording, "QueuePolicy").inputs["policy"])
    assert policy["Rules"]["Action"] == ["sqs:SendMessage"]
    assert len(policy["Rules"]["Condition"]["ArnEquals"]["aws:SourceArn"]) == 4
    assert policy["EncryptedOnly"]["Effect"] == "Deny"
    assert policy["EncryptedOnly"]["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_its_nodes_join_by_an_entry_of_their_own() -> None:
    entry = inputs(core("production"), "AccessEntry")["cluster-karpenter-node"]
    assert entry["type"] == "EC2_LINUX"
    assert entry["principalArn"].endswith(outputs(core("production"))["node_role_name"])


def test_the_controllers_pods_alone_have_its_role() -> None:
    recording = core("production")
    (trust,) = json.loads(inputs(recording, "Role")[CONTROLLER]["assumeRolePolicy"])["Statement"]
    assert trust["Condition"]["StringEquals"] == {
        "aws:RequestTag/eks-cluster-name": "hearth-production",
        "aws:RequestTag/kubernetes-namespace": "kube-system",
        "aws:RequestTag/kubernetes-service-account": "karpenter",
    }
    association = inputs(recording, "PodIdentityAssociation")[CONTROLLER]
    assert (association["namespace"], association["serviceAccount"]) == ("kube-system", "karpenter")
    assert association["clusterName"] == "hearth-production"
    cluster = next(r for r in recording.resources if r.type == "aws:eks/cluster:Cluster")
    assert cluster.urn in recording.of_type("PodIdentityAssociation")[CONTROLLER].depends_on


@pytest.mark.parametrize("sid", ["StartTagged", "TagAtCreation", "CreateProfile", "TagProfile"])
def test_what_it_makes_is_marked_as_the_clusters(sid: str) -> None:
    asked = controller()[sid]["Condition"]["StringEquals"]
    assert asked[f"aws:RequestTag/{OWNED}"] == "owned"
    assert asked["aws:RequestTag/eks:eks-cluster-name"] == "hearth-production"


@pytest.mark.parametrize(
    "sid", ["StartByOwnTemplate", "NameNodes", "EndOwn", "TagProfile", "ChangeOwnProfiles"]
)
def test_it_changes_and_ends_only_what_is_marked_as_the_clusters(sid: str) -> None:
    there = controller()[sid]["Condition"]["StringEquals"]
    assert there[f"aws:ResourceTag/{OWNED}"] == "owned"


def test_tags_are_given_at_creation_or_to_name_a_node() -> None:
    given = controller()
    tagging = [sid for sid, s in given.items() if "ec2:CreateTags" in s["Action"]]
    assert tagging == ["TagAtCreation", "NameNodes"]
    assert given["TagAtCreation"]["Condition"]["StringEquals"]["ec2:CreateAction"] == [
        *("RunInstances", "CreateFleet", "CreateLaunchTemplate")
    ]
    allowed = given["NameNodes"]["Condition"]["ForAllValues:StringEquals"]["aws:TagKeys"]
    assert not any(key.startswith("kubernetes.io/cluster") for key in allowed)


def test_it_passes_its_nodes_role_to_ec2_and_no_other() -> None:
    passing = controller()["PassNodeRole"]
    name = outputs(core("production"))["node_role_name"]
    assert passing["Resource"] == f"arn:aws:iam::{ACCOUNT}:role/{name}"
    assert passing["Condition"] == {"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}}


def test_without_a_resource_it_only_reads() -> None:
    unscoped = {
        action
        for statement in controller().values()
        if "*" in listed(statement["Resource"])
        for action in statement["Action"]
    }
    verbs = {action.partition(":")[2] for action in unscoped}
    assert all(verb.startswith(("Describe", "Get", "List")) for verb in verbs)
    assert not any("*" in action for s in controller().values() for action in s["Action"])
    assert controller()["Describe"]["Condition"] == {
        "StringEquals": {"aws:RequestedRegion": REGION},
    }


def test_its_policies_fit_into_a_role() -> None:
    policies = [
        policy["policy"]
        for name, policy in inputs(core("production"), "RolePolicy").items()
        if name.startswith(CONTROLLER)
    ]
    assert sum(len("".join(policy.split())) for policy in policies) < LARGEST_INLINE
