"""The cluster: who reaches it, in which order it comes up, what its nodes are."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from components.production.nodes import ami_type
from inventory.cloud.instances import INSTANCE_TYPES
from inventory.cloud.loading import load_environment
from inventory.cloud.model import Environment
from inventory.units import GIB
from tests.components.production.core import (
    ENVIRONMENTS,
    core,
    declare,
    inputs,
    only,
    outputs,
    policies_of,
)
from tests.components.recorder import Recorded, Recording, record
from tools.aws_echo import ACCOUNT

KMS_OF_CLUSTER = 0
"""Where the outputs have the cluster's key."""


@pytest.fixture(params=ENVIRONMENTS)
def environment(request: pytest.FixtureRequest) -> str:
    """Each of the project's environments."""
    return str(request.param)


def cluster(recording: Recording) -> Recorded:
    """EKS' own resource, not the component of the same name."""
    (found,) = [r for r in recording.resources if r.type == "aws:eks/cluster:Cluster"]
    return found


def changed(name: str, change: Callable[[dict[str, Any]], object]) -> Recording:
    """An environment as it is recorded when its settings are changed in place."""
    document = load_environment(name).model_dump(mode="json")
    change(document)
    return record(lambda: declare(Environment.model_validate(document)))


def waits_for(recording: Recording, resource: Recorded, other: Recorded) -> bool:
    """Whether a resource comes after another, directly or by what it depends on."""
    seen: set[str] = set()
    todo = [resource]
    while todo:
        for urn in todo.pop().depends_on - seen:
            if urn == other.urn:
                return True
            seen.add(urn)
            todo.append(recording.at(urn))
    return False


def test_access_is_by_entries_alone_and_who_made_the_cluster_has_none(environment: str) -> None:
    access = cluster(core(environment)).inputs["accessConfig"]
    assert access == {
        "authenticationMode": "API",
        "bootstrapClusterCreatorAdminPermissions": False,
    }


def test_administrators_get_the_policy_that_the_settings_name() -> None:
    def add(document: dict[str, Any]) -> None:
        document["cluster"]["administrators"]["audit"] = {"role": "Auditor", "policy": "view"}

    recording = changed("production", add)
    given = {
        association["principalArn"]: association["policyArn"].rpartition("/")[2]
        for name, association in inputs(recording, "AccessPolicyAssociation").items()
        if name.startswith("cluster-")
    }
    assert given == {
        f"arn:aws:iam::{ACCOUNT}:role/PlatformEngineer": "AmazonEKSClusterAdminPolicy",
        f"arn:aws:iam::{ACCOUNT}:role/Auditor": "AmazonEKSViewPolicy",
    }
    entries = inputs(recording, "AccessEntry")
    assert set(given) <= {entry["principalArn"] for entry in entries.values()}


def test_the_api_is_private(environment: str) -> None:
    network = cluster(core(environment)).inputs["vpcConfig"]
    assert network["endpointPrivateAccess"] is True
    assert network["endpointPublicAccess"] is False
    assert "publicAccessCidrs" not in network


def test_the_api_is_open_to_the_networks_named_and_no_others() -> None:
    recording = changed(
        "production", lambda d: d["cluster"].update(public_from=["198.51.100.0/24"])
    )
    network = cluster(recording).inputs["vpcConfig"]
    assert network["endpointPublicAccess"] is True
    assert network["publicAccessCidrs"] == ["198.51.100.0/24"]
    assert network["endpointPrivateAccess"] is True


def test_secrets_are_encrypted_with_the_clusters_key(environment: str) -> None:
    recording = core(environment)
    encryption = cluster(recording).inputs["encryptionConfig"]
    assert encryption["resources"] == ["secrets"]
    assert encryption["provider"]["keyArn"] == outputs(recording)["keys"][KMS_OF_CLUSTER]


def test_all_logs_go_to_a_group_that_is_there_before(environment: str) -> None:
    recording, settings = core(environment), load_environment(environment).cluster
    made = cluster(recording)
    assert set(made.inputs["enabledClusterLogTypes"]) == {
        *("api", "audit", "authenticator", "controllerManager", "scheduler")
    }
    group = recording.of_type("LogGroup")["cluster-logs"]
    assert group.inputs["name"] == f"/aws/eks/{made.inputs['name']}/cluster"
    assert group.inputs["retentionInDays"] == settings.log_days
    assert group.inputs["kmsKeyId"] == outputs(recording)["keys"][2]
    assert group.urn in made.depends_on


@pytest.mark.parametrize(("name", "protected"), [("production", True), ("dev", False)])
def test_the_cluster_is_protected_where_the_environment_is(name: str, *, protected: bool) -> None:
    made = cluster(core(name))
    assert made.protect is protected
    assert made.inputs["deletionProtection"] is protected


@pytest.mark.parametrize(("extended", "support"), [(False, "STANDARD"), (True, "EXTENDED")])
def test_an_old_version_is_paid_for_only_where_the_settings_say_so(
    support: str, *, extended: bool
) -> None:
    recording = changed("dev", lambda d: d["cluster"].update(extended_support=extended))
    assert cluster(recording).inputs["upgradePolicy"] == {"supportType": support}


def test_a_zone_that_fails_can_be_shifted_away_from(environment: str) -> None:
    assert cluster(core(environment)).inputs["zonalShiftConfig"] == {"enabled": True}


def test_the_control_plane_serves_this_cluster_alone() -> None:
    role = inputs(core("production"), "Role")["cluster-control-plane"]
    (trust,) = json.loads(role["assumeRolePolicy"])["Statement"]
    assert trust["Condition"]["StringEquals"] == {"aws:SourceAccount": ACCOUNT}
    source = trust["Condition"]["ArnEquals"]["aws:SourceArn"]
    assert source.endswith(f":{ACCOUNT}:cluster/hearth-production")


def test_addons_that_nodes_need_come_before_them_and_the_others_after(environment: str) -> None:
    recording = core(environment)
    system = recording.of_type("NodeGroup")["cluster-nodes-system"]
    addons = {r.inputs["addonName"]: r for r in recording.of_type("Addon").values()}
    before = {name for name, addon in addons.items() if waits_for(recording, system, addon)}
    after = {name for name, addon in addons.items() if waits_for(recording, addon, system)}
    assert before == {"vpc-cni", "kube-proxy", "eks-pod-identity-agent"}
    assert after == {"coredns", "aws-ebs-csi-driver", "metrics-server"}
    assert before | after == set(addons)


def test_eks_installs_no_addons_of_its_own_and_mends_what_others_change(environment: str) -> None:
    recording = core(environment)
    assert cluster(recording).inputs["bootstrapSelfManagedAddons"] is False
    for addon in inputs(recording, "Addon").values():
        assert addon["resolveConflictsOnCreate"] == "OVERWRITE"
        assert addon["resolveConflictsOnUpdate"] == "OVERWRITE"


def test_the_network_and_the_disks_have_identities_of_their_own() -> None:
    recording = core("production")
    accounts = {
        addon["addonName"]: addon["podIdentityAssociations"][0]["serviceAccount"]
        for addon in inputs(recording, "Addon").values()
        if "podIdentityAssociations" in addon
    }
    assert accounts == {
        "vpc-cni": "aws-node",
        "aws-ebs-csi-driver": "ebs-csi-controller-sa",
    }
    for addon, account in accounts.items():
        role = inputs(recording, "Role")[f"cluster-{addon}"]
        (trust,) = json.loads(role["assumeRolePolicy"])["Statement"]
        assert trust["Principal"] == {"Service": "pods.eks.amazonaws.com"}
        assert trust["Action"] == ["sts:AssumeRole", "sts:TagSession"]
        assert trust["Condition"]["StringEquals"] == {
            "aws:RequestTag/eks-cluster-name": "hearth-production",
            "aws:RequestTag/kubernetes-namespace": "kube-system",
            "aws:RequestTag/kubernetes-service-account": account,
        }


def test_nodes_may_join_and_pull_and_nothing_else(environment: str) -> None:
    recording = core(environment)
    for role in ("cluster-nodes-node", "cluster-karpenter-node"):
        attached = {
            attachment["policyArn"].rpartition("/")[2]
            for name, attachment in inputs(recording, "RolePolicyAttachment").items()
            if name.startswith(f"{role}-")
        }
        assert attached == {"AmazonEKSWorkerNodePolicy", "AmazonEC2ContainerRegistryPullOnly"}
        assert not policies_of(recording, role)


def test_system_nodes_are_as_many_and_as_large_as_the_settings_say(environment: str) -> None:
    settings = load_environment(environment).cluster
    recording = core(environment)
    group = inputs(recording, "NodeGroup")["cluster-nodes-system"]
    count = settings.system.count
    assert group["scalingConfig"] == {"minSize": count, "desiredSize": count, "maxSize": count}
    assert group["instanceTypes"] == [settings.system.instance_type]
    assert group["amiType"] == "AL2023_ARM_64_STANDARD"
    assert group["version"] == settings.version
    assert group["subnetIds"] == outputs(recording)["private_subnet_ids"]
    assert not group["taints"]
    assert not recording.of_type("NodeGroup")["cluster-nodes-system"].ignore_changes


@pytest.mark.parametrize(
    ("instance_type", "image"),
    [
        ("m7g.large", "AL2023_ARM_64_STANDARD"),
        ("m7i.large", "AL2023_x86_64_STANDARD"),
        ("g6.xlarge", "AL2023_x86_64_NVIDIA"),
    ],
)
def test_the_image_follows_from_the_instance_type(instance_type: str, image: str) -> None:
    assert instance_type in INSTANCE_TYPES
    assert ami_type(instance_type) == image


def test_the_gpu_base_is_on_demand_tainted_and_labelled() -> None:
    recording = core("production")
    group = inputs(recording, "NodeGroup")["cluster-nodes-gpu"]
    assert group["capacityType"] == "ON_DEMAND"
    assert group["amiType"] == "AL2023_x86_64_NVIDIA"
    assert group["taints"] == [
        {"key": "nvidia.com/gpu", "value": "true", "effect": "NO_SCHEDULE"},
    ]
    assert group["labels"] == {"hearth/pool": "gpu"}
    assert group["scalingConfig"]["minSize"] == load_environment("production").cluster.gpu.base


def test_without_a_base_there_is_no_group_for_it() -> None:
    assert load_environment("dev").cluster.gpu.base == 0
    assert set(inputs(core("dev"), "NodeGroup")) == {"cluster-nodes-system"}


def test_nodes_are_replaced_one_at_a_time_and_repaired(environment: str) -> None:
    for group in inputs(core(environment), "NodeGroup").values():
        assert group["updateConfig"] == {"maxUnavailable": 1}
        assert group["nodeRepairConfig"] == {"enabled": True}


def test_nodes_keep_their_metadata_their_disks_and_their_addresses_to_themselves(
    environment: str,
) -> None:
    recording, settings = core(environment), load_environment(environment).cluster
    disks = {"system": settings.system.disk, "gpu": settings.gpu.disk}
    for name, template in inputs(recording, "LaunchTemplate").items():
        assert template["metadataOptions"] == {
            "httpEndpoint": "enabled",
            "httpTokens": "required",
            "httpPutResponseHopLimit": 1,
        }
        (device,) = template["blockDeviceMappings"]
        assert device["ebs"]["encrypted"] == "true"
        assert device["ebs"]["kmsKeyId"] == outputs(recording)["keys"][KMS_OF_CLUSTER]
        assert device["ebs"]["volumeType"] == "gp3"
        assert device["ebs"]["volumeSize"] * GIB == disks[name.rpartition("-")[2]]
        (interface,) = template["networkInterfaces"]
        assert interface["associatePublicIpAddress"] == "false"
        assert interface["securityGroups"] == [outputs(recording)["security_group_id"]]
        tagged = {s["resourceType"]: s["tags"]["Owner"] for s in template["tagSpecifications"]}
        assert tagged == dict.fromkeys(("instance", "volume", "network-interface"), "platform")


def test_the_group_runs_the_newest_version_of_its_template(environment: str) -> None:
    for group in inputs(core(environment), "NodeGroup").values():
        assert group["launchTemplate"]["version"] == "1"
        assert group["launchTemplate"]["id"].startswith("lt-")


def test_the_cluster_waits_for_its_roles_policies() -> None:
    recording = core("production")
    made = cluster(recording)
    attachments = recording.of_type("RolePolicyAttachment")
    attached = [r for n, r in attachments.items() if n.startswith("cluster-control-plane-")]
    assert attached
    assert {r.urn for r in attached} <= made.depends_on
    assert recording.of_type("RolePolicy")["cluster-control-plane-secrets"].urn in made.depends_on
    assert only(recording, "Vpc").urn not in made.depends_on
