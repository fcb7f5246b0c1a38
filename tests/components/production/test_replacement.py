"""No change of a setting replaces the cluster, short of the few listed here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import deepcopy
from functools import cache
from typing import Any

import pytest
from pydantic import ValidationError

from inventory.cloud.loading import load_environment
from inventory.cloud.model import Cluster, Environment, VirtualNetwork
from tests.components.production.core import core, declare_cluster
from tests.components.recorder import Recording, record

REPLACING: tuple[tuple[str, ...], ...] = (
    ("name",),
    ("region",),
    ("roleArn",),
    ("bootstrapSelfManagedAddons",),
    ("accessConfig", "bootstrapClusterCreatorAdminPermissions"),
    ("kubernetesNetworkConfig", "ipFamily"),
    ("kubernetesNetworkConfig", "serviceIpv4Cidr"),
    ("outpostConfig",),
    ("remoteNetworkConfig",),
    ("encryptionConfig",),
    ("vpcConfig", "subnetIds"),
)
"""Inputs of EKS' cluster of which the provider makes another one (ForceNew in its schema), and two
more: EKS exchanges no key, and takes no subnets of another VPC."""

REPLACED_BY = {"name", "network.cidr"}
"""The settings that do replace it. Another region or account is another deployment altogether."""

OTHERS: Mapping[str, Any] = {
    "name": "staging",
    "network.cidr": "10.99.0.0/18",
    "network.zones": 2,
    "network.nat": "single",
    "network.gateway_endpoints": ["s3", "dynamodb"],
    "network.interface_endpoints": ["kms"],
    "network.flow_log_days": 14,
    "cluster.version": "1.37",
    "cluster.extended_support": True,
    "cluster.public_from": ["198.51.100.0/24"],
    "cluster.logs": ["audit"],
    "cluster.log_days": 30,
    "cluster.administrators": {"other": {"role": "Other", "policy": "view"}},
    "cluster.system.instance_type": "m7i.large",
    "cluster.system.count": 5,
    "cluster.system.disk": "80GiB",
    "cluster.gpu.gpu_memory": "20GiB",
    "cluster.gpu.most_cpus": 16,
    "cluster.gpu.base": 2,
    "cluster.gpu.base_instance_type": "g5.xlarge",
    "cluster.gpu.typical": 3,
    "cluster.gpu.most": 9,
    "cluster.gpu.disk": "200GiB",
    "cluster.off_peak": None,
    "protected": False,
}
"""Another value for every setting of network and cluster, and for what else they are given."""


def leaves(settings: Mapping[str, Any], prefix: str) -> Iterator[str]:
    """The paths of all settings below one, but for the parts of those that are given as a whole."""
    for key, value in settings.items():
        path = f"{prefix}.{key}"
        if isinstance(value, dict) and path not in {"cluster.administrators", "cluster.off_peak"}:
            yield from leaves(value, path)
        else:
            yield path


def document() -> dict[str, Any]:
    """The production settings as data."""
    return load_environment("production").model_dump(mode="json")


def changed(path: str) -> Environment:
    """The production settings with one of them changed."""
    settings = deepcopy(document())
    *above, last = path.split(".")
    part = settings
    for key in above:
        part = part[key]
    assert part[last] != OTHERS[path], f"{path}: {OTHERS[path]} is no change"
    part[last] = OTHERS[path]
    return Environment.model_validate(settings)


def declare_settings(environment: Environment) -> None:
    """Declares its cluster, as a program."""
    declare_cluster(environment)


def replacing_inputs(recording: Recording) -> dict[tuple[str, ...], Any]:
    """The values that replace the cluster when they change, and of its subnets what replaces them.

    Ids are made up from names and would hide a replaced subnet: its zone, block and VPC's block
    stand for it.
    """
    (cluster,) = [r for r in recording.resources if r.type == "aws:eks/cluster:Cluster"]
    (vpc,) = [r for r in recording.resources if r.type == "aws:ec2/vpc:Vpc"]
    found: dict[tuple[str, ...], Any] = {}
    for path in REPLACING:
        value: Any = cluster.inputs
        for key in path:
            value = value.get(key) if isinstance(value, dict) else None
        found[path] = value
    (*_, subnet_ids) = found.values()
    private = [r for r in recording.resources if r.name.startswith("network-private-")]
    subnets = [r.inputs for r in private if r.type == "aws:ec2/subnet:Subnet"]
    found["subnets",] = [
        (subnet["availabilityZone"], subnet["cidrBlock"]) for subnet in subnets[: len(subnet_ids)]
    ]
    found["vpc",] = vpc.inputs["cidrBlock"]
    return found


@cache
def before() -> dict[tuple[str, ...], Any]:
    """The production cluster as it is."""
    return replacing_inputs(core("production"))


@pytest.mark.parametrize("path", OTHERS)
def test_a_changed_setting_replaces_the_cluster_only_where_it_is_listed(path: str) -> None:
    after = replacing_inputs(record(lambda: declare_settings(changed(path))))
    assert (after != before()) is (path in REPLACED_BY), path


def test_every_setting_of_network_and_cluster_is_tried() -> None:
    settings = document()
    every = {*leaves(settings["network"], "network"), *leaves(settings["cluster"], "cluster")}
    assert every | {"name", "protected"} == set(OTHERS)
    assert set(settings["network"]) == set(VirtualNetwork.model_fields)
    assert set(settings["cluster"]) == set(Cluster.model_fields)


def test_what_replaces_is_given_or_left_to_eks_for_good() -> None:
    given = {path for path, value in before().items() if value is not None}
    left = set(REPLACING) - given
    assert left == {
        ("region",),
        ("kubernetesNetworkConfig", "ipFamily"),
        ("kubernetesNetworkConfig", "serviceIpv4Cidr"),
        ("outpostConfig",),
        ("remoteNetworkConfig",),
    }


def test_there_are_two_zones_at_least_which_the_control_plane_needs() -> None:
    settings = document()
    settings["network"]["zones"] = 1
    with pytest.raises(ValidationError, match="greater than or equal to 2"):
        Environment.model_validate(settings)
