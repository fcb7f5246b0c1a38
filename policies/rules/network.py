"""Networks: nothing is open to the world that does not have to be."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_network

from policies.graph import Fault, Graph, Policy, Resource

VPC = "aws:ec2/vpc:Vpc"
SUBNET = "aws:ec2/subnet:Subnet"
FLOW_LOG = "aws:ec2/flowLog:FlowLog"
GROUP = "aws:ec2/securityGroup:SecurityGroup"
DEFAULT_GROUP = "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup"
INGRESS = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
OLD_RULE = "aws:ec2/securityGroupRule:SecurityGroupRule"
WORLD = 8
"""A network with a shorter prefix than this is half of the world."""


def world(network: str | None) -> bool:
    """Whether a CIDR is everybody, or nearly."""
    return bool(network) and ip_network(str(network), strict=False).prefixlen < WORLD


def security_groups_are_closed(resource: Resource, _graph: Graph) -> Iterator[Fault]:
    """No security group lets the world in."""
    remedy = "name the security group or prefix list that may come in"
    if resource.type == OLD_RULE and resource.get("type") != "ingress":
        return
    paths = [""] if resource.type != GROUP else [f"{at}." for at in resource.each("ingress")]
    for path in paths:
        single = [resource.get(f"{path}cidrIpv4"), resource.get(f"{path}cidrIpv6")]
        several = [
            *resource.get(f"{path}cidrBlocks", ()),
            *resource.get(f"{path}ipv6CidrBlocks", ()),
        ]
        for network in (*single, *several):
            if world(network):
                port = resource.get(f"{path}fromPort", "every")
                yield Fault(f"is open to {network} on port {port}", remedy)


def vpcs_have_an_empty_default_group(vpc: Resource, graph: Graph) -> Iterator[Fault]:
    """What is started without a security group can talk to nobody."""
    remedy = "declare ec2.DefaultSecurityGroup of the VPC without ingress and egress"
    found = graph.about(vpc, DEFAULT_GROUP, "vpcId")
    if not found:
        yield Fault("its default security group lets its members talk to each other", remedy)
    for group in found:
        if group.has("ingress") or group.has("egress"):
            yield Fault(f"its default security group {group.name} has rules", remedy)


def vpcs_log_their_flows(vpc: Resource, graph: Graph) -> Iterator[Fault]:
    """Who talked to whom can be told afterwards."""
    if not graph.about(vpc, FLOW_LOG, "vpcId"):
        yield Fault("has no flow log", "add an ec2.FlowLog of all its traffic")


def subnets_give_no_public_addresses(subnet: Resource, _graph: Graph) -> Iterator[Fault]:
    """A machine is public on purpose or not at all."""
    if subnet.get("mapPublicIpOnLaunch", default=False):
        yield Fault(
            "gives public addresses to what starts in it", "set map_public_ip_on_launch=False"
        )


POLICIES = (
    Policy(security_groups_are_closed, (INGRESS, OLD_RULE, GROUP)),
    Policy(vpcs_have_an_empty_default_group, (VPC,), whole=True),
    Policy(vpcs_log_their_flows, (VPC,), whole=True),
    Policy(subnets_give_no_public_addresses, (SUBNET,)),
)
