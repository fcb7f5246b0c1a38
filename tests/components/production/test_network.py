"""The VPC: what each tier reaches, and what reaches it."""

from __future__ import annotations

import json
from ipaddress import IPv4Network
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.production.network import subnets
from inventory.cloud.loading import load_environment
from tests.components.production.core import (
    ENVIRONMENTS,
    core,
    inputs,
    only,
    outputs,
    policies_of,
    statements,
)
from tests.components.recorder import Recording
from tools.aws_echo import ACCOUNT, REGION

WORLD = "0.0.0.0/0"
TIERS = ("public", "private", "isolated")


@pytest.fixture(params=ENVIRONMENTS)
def environment(request: pytest.FixtureRequest) -> str:
    """Each of the project's environments."""
    return str(request.param)


def ids(recording: Recording, prefix: str) -> list[str]:
    """The ids of the subnets of a tier, as the route tables' associations know them."""
    return [
        association["subnetId"]
        for name, association in sorted(inputs(recording, "RouteTableAssociation").items())
        if name.startswith(f"network-{prefix}-")
    ]


def table_of(recording: Recording, subnet: str) -> str:
    """The route table of a subnet."""
    (table,) = [
        association["routeTableId"]
        for association in inputs(recording, "RouteTableAssociation").values()
        if association["subnetId"] == subnet
    ]
    return str(table)


@given(
    st.integers(16, 20).flatmap(
        lambda length: st.integers(0, 2 ** (length - 8) - 1).map(
            lambda number: IPv4Network((10 * 2**24 + number * 2 ** (32 - length), length))
        )
    )
)
def test_subnets_of_any_network_lie_within_it_apart_and_the_private_are_largest(
    cidr: IPv4Network,
) -> None:
    cut = [subnets(cidr, zone) for zone in range(3)]
    every = [getattr(zone, tier) for zone in cut for tier in TIERS]
    assert all(subnet.subnet_of(cidr) for subnet in every)
    assert not any(a.overlaps(b) for a, b in combinations(every, 2))
    for zone in cut:
        assert zone.private.prefixlen == cidr.prefixlen + 2
        assert zone.public.prefixlen == zone.isolated.prefixlen == cidr.prefixlen + 5


def test_every_zone_has_a_subnet_of_each_tier(environment: str) -> None:
    recording, settings = core(environment), load_environment(environment).network
    made = inputs(recording, "Subnet")
    zones = [f"{REGION}{zone}" for zone in "abc"[: settings.zones]]
    assert len(made) == 3 * settings.zones
    for number, zone in enumerate(zones):
        for tier in TIERS:
            subnet = made[f"network-{tier}-{zone.rpartition('-')[2]}"]
            assert subnet["availabilityZone"] == zone
            assert subnet["cidrBlock"] == str(getattr(subnets(settings.cidr, number), tier))
    assert len(outputs(recording)["private_subnet_ids"]) == settings.zones


def test_nothing_gets_an_address_of_the_internet_by_itself(environment: str) -> None:
    made = inputs(core(environment), "Subnet").values()
    assert all(subnet["mapPublicIpOnLaunch"] is False for subnet in made)


def test_controllers_find_private_subnets_and_no_others(environment: str) -> None:
    for name, subnet in inputs(core(environment), "Subnet").items():
        found = {key: value for key, value in subnet["tags"].items() if key != "Name"}
        expected = {
            "kubernetes.io/role/internal-elb": "1",
            "karpenter.sh/discovery": f"hearth-{environment}",
        }
        assert found == (expected if "-private-" in name else {})


def test_each_zone_leaves_through_its_own_gateway_or_all_through_one() -> None:
    for environment, expected in (("production", 3), ("dev", 1)):
        recording = core(environment)
        routes = inputs(recording, "Route")
        used = [
            route["natGatewayId"]
            for name, route in sorted(routes.items())
            if name.startswith("network-private-")
        ]
        nats = outputs(recording)["nat_ids"]
        assert len(nats) == len(inputs(recording, "Eip")) == expected
        zones = load_environment(environment).network.zones
        assert used == (nats if expected == zones else nats * zones)


def test_each_gateway_is_in_the_public_subnet_of_its_zone() -> None:
    recording = core("production")
    for zone in ("1a", "1b", "1c"):
        nat = inputs(recording, "NatGateway")[f"network-nat-{zone}"]
        association = inputs(recording, "RouteTableAssociation")[f"network-public-{zone}"]
        assert nat["subnetId"] == association["subnetId"]


def test_each_private_subnet_has_the_route_of_its_zone(environment: str) -> None:
    recording = core(environment)
    for name, route in inputs(recording, "Route").items():
        if name.startswith("network-private-"):
            association = inputs(recording, "RouteTableAssociation")[name]
            assert association["routeTableId"] == route["routeTableId"]


def test_isolated_subnets_have_no_way_out(environment: str) -> None:
    recording = core(environment)
    (table,) = {table_of(recording, subnet) for subnet in ids(recording, "isolated")}
    routed = {route["routeTableId"] for route in inputs(recording, "Route").values()}
    assert table not in routed
    endpoints = inputs(recording, "VpcEndpoint").values()
    assert not any(table in endpoint.get("routeTableIds", []) for endpoint in endpoints)
    acl = inputs(recording, "NetworkAcl")["network-isolated"]
    cidr = str(load_environment(environment).network.cidr)
    assert {rule["cidrBlock"] for rule in acl["ingress"] + acl["egress"]} == {cidr}


def test_from_outside_access_lists_admit_answers_alone(environment: str) -> None:
    recording = core(environment)
    for tier in ("public", "private"):
        acl = inputs(recording, "NetworkAcl")[f"network-{tier}"]
        outside = [rule for rule in acl["ingress"] if rule["cidrBlock"] == WORLD]
        assert {rule["protocol"] for rule in outside} == {"tcp", "udp", "icmp"}
        for rule in outside:
            if rule["protocol"] == "icmp":
                assert (rule["icmpType"], rule["icmpCode"]) == (3, 4)
            else:
                assert (rule["fromPort"], rule["toPort"]) == (1024, 65535)


def test_every_subnet_has_an_access_list_of_its_tier(environment: str) -> None:
    recording = core(environment)
    for tier in TIERS:
        acl = inputs(recording, "NetworkAcl")[f"network-{tier}"]
        assert sorted(acl["subnetIds"]) == sorted(ids(recording, tier))


def test_what_aws_makes_with_a_vpc_admits_nothing(environment: str) -> None:
    recording = core(environment)
    for kind in ("DefaultSecurityGroup", "DefaultNetworkAcl"):
        assert only(recording, kind).inputs["ingress"] == []
        assert only(recording, kind).inputs["egress"] == []


def test_gateway_endpoints_serve_every_private_subnet(environment: str) -> None:
    recording = core(environment)
    gateways = [
        endpoint
        for endpoint in inputs(recording, "VpcEndpoint").values()
        if endpoint["vpcEndpointType"] == "Gateway"
    ]
    assert [g["serviceName"] for g in gateways] == [f"com.amazonaws.{REGION}.s3"]
    tables = {table_of(recording, subnet) for subnet in ids(recording, "private")}
    assert set(gateways[0]["routeTableIds"]) == tables


def test_what_leaves_by_the_s3_endpoint_stays_in_the_account() -> None:
    policy = statements(inputs(core("production"), "VpcEndpoint")["network-s3"]["policy"])
    assert policy["OwnAccount"]["Condition"]["StringEquals"] == {
        "aws:PrincipalAccount": ACCOUNT,
        "aws:ResourceAccount": ACCOUNT,
    }
    assert policy["ReadObjects"]["Action"] == ["s3:GetObject"]
    assert set(policy) == {"OwnAccount", "ReadObjects"}


def test_interface_endpoints_answer_by_the_services_own_names_in_each_zone() -> None:
    recording = core("production")
    made = {
        endpoint["serviceName"].removeprefix(f"com.amazonaws.{REGION}."): endpoint
        for endpoint in inputs(recording, "VpcEndpoint").values()
        if endpoint["vpcEndpointType"] == "Interface"
    }
    assert set(made) == set(load_environment("production").network.interface_endpoints)
    for service, endpoint in made.items():
        assert endpoint["privateDnsEnabled"] is True
        assert endpoint["subnetIds"] == outputs(recording)["private_subnet_ids"]
        assert len(endpoint["securityGroupIds"]) == 1
        (statement,) = statements(endpoint["policy"]).values()
        assert statement["Action"] == [f"{service.partition('.')[0]}:*"]
        assert statement["Condition"] == {"StringEquals": {"aws:PrincipalAccount": ACCOUNT}}


def test_endpoints_admit_https_from_the_vpc_and_nothing_else() -> None:
    rule = only(core("production"), "SecurityGroupIngressRule").inputs
    assert (rule["ipProtocol"], rule["fromPort"], rule["toPort"]) == ("tcp", 443, 443)
    assert rule["cidrIpv4"] == str(load_environment("production").network.cidr)
    assert not core("production").of_type("SecurityGroupEgressRule")


def test_an_environment_without_interface_endpoints_has_no_group_for_them() -> None:
    assert not load_environment("dev").network.interface_endpoints
    assert not core("dev").of_type("SecurityGroup")


def test_every_connection_is_logged_encrypted_and_for_a_time(environment: str) -> None:
    recording = core(environment)
    flow = only(recording, "FlowLog").inputs
    group = inputs(recording, "LogGroup")["network-flow-logs"]
    assert flow["trafficType"] == "ALL"
    assert group["retentionInDays"] == load_environment(environment).network.flow_log_days
    assert group["kmsKeyId"] == outputs(recording)["keys"][2]
    assert flow["logDestination"].startswith(f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:")


def test_the_flow_logs_role_writes_to_their_group_alone() -> None:
    recording = core("production")
    (statement,) = policies_of(recording, "network-flow-logs")
    group = only(recording, "FlowLog").inputs["logDestination"]
    assert statement["Resource"] == f"{group}:*"
    assert not any("*" in action for action in statement["Action"])
    trust = json.loads(inputs(recording, "Role")["network-flow-logs"]["assumeRolePolicy"])
    condition = trust["Statement"][0]["Condition"]
    assert condition["StringEquals"] == {"aws:SourceAccount": ACCOUNT}
