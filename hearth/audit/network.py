"""The VPC: subnets in all zones, gateways as promised, nothing open, flows on record."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

from hearth.audit.look import TAG, Look

WORLD = 8
"""A network with a shorter prefix than this is half of the world."""


def judge(look: Look) -> None:
    """VPCs with their subnets, gateways, flow logs and default security groups."""
    vpcs = tagged(look, "describe_vpcs", "Vpcs")
    look.found("VPC", [vpc["VpcId"] for vpc in vpcs])
    for vpc in vpcs:
        with look.as_far_as_allowed(vpc["VpcId"], "network"):
            _subnets(look, vpc["VpcId"])
            _gateways(look, vpc["VpcId"])
            _flows(look, vpc["VpcId"])
            _default_group(look, vpc["VpcId"])


def tagged(look: Look, operation: str, key: str) -> list[Any]:
    """What EC2 has of a kind with the environment's tag."""
    tag = {"Name": f"tag:{TAG}", "Values": [look.environment.name]}
    return look.all("ec2", operation, key, Filters=[tag])


def within(look: Look, operation: str, key: str, vpc: str, name: str = "vpc-id") -> list[Any]:
    """What EC2 has of a kind in a VPC."""
    return look.all("ec2", operation, key, Filters=[{"Name": name, "Values": [vpc]}])


def _subnets(look: Look, vpc: str) -> None:
    subnets = within(look, "describe_subnets", "Subnets", vpc)
    zones = {subnet["AvailabilityZone"] for subnet in subnets}
    promised = look.environment.network.zones
    look.expect(
        vpc,
        "zones",
        len(zones) >= promised,
        f"has subnets in {len(zones)} zones, {promised} are promised",
        "`pulumi up` makes those that are missing",
    )
    for subnet in subnets:
        look.expect(
            subnet["SubnetId"],
            "public addresses",
            not subnet["MapPublicIpOnLaunch"],
            "gives public addresses to what starts in it",
            "turn off auto-assign of public IPv4 addresses",
        )


def _gateways(look: Look, vpc: str) -> None:
    network = look.environment.network
    promised = network.zones if network.nat == "per-zone" else 1
    gateways = look.all(
        "ec2",
        "describe_nat_gateways",
        "NatGateways",
        Filter=[{"Name": "vpc-id", "Values": [vpc]}, {"Name": "state", "Values": ["available"]}],
    )
    look.expect(
        vpc,
        "NAT gateways",
        len(gateways) >= promised,
        f"has {len(gateways)} NAT gateways, {promised} are promised",
        "`pulumi up` makes those that are missing",
    )


def _flows(look: Look, vpc: str) -> None:
    logs = look.client("ec2").describe_flow_logs(
        Filters=[{"Name": "resource-id", "Values": [vpc]}]
    )["FlowLogs"]
    look.expect(
        vpc,
        "flow logs",
        any(log["FlowLogStatus"] == "ACTIVE" for log in logs),
        "has no active flow log",
        "`pulumi up` makes it again",
    )


def _default_group(look: Look, vpc: str) -> None:
    for group in within(look, "describe_security_groups", "SecurityGroups", vpc):
        if group["GroupName"] == "default":
            look.expect(
                group["GroupId"],
                "default security group",
                not group["IpPermissions"] and not group["IpPermissionsEgress"],
                "has rules",
                "remove them: what starts without a group of its own shall reach nobody",
            )


def judge_security_groups(look: Look) -> None:
    """Every group in the environment's VPCs, whoever made it."""
    for vpc in tagged(look, "describe_vpcs", "Vpcs"):
        for group in within(look, "describe_security_groups", "SecurityGroups", vpc["VpcId"]):
            if group["GroupName"] == "default":
                continue
            opened = [port for rule in group["IpPermissions"] for port in _open_ports(rule)]
            look.expect(
                group["GroupId"],
                "open security group",
                not opened,
                f"{group['GroupName']} is open to the world ({', '.join(opened)})",
                "name the security group or prefix list that may come in",
            )


def _open_ports(rule: dict[str, Any]) -> list[str]:
    networks = [one["CidrIp"] for one in rule.get("IpRanges", [])]
    networks += [one["CidrIpv6"] for one in rule.get("Ipv6Ranges", [])]
    port = f"port {rule['FromPort']}" if "FromPort" in rule else "every port"
    return [
        f"{port} from {network}" for network in networks if ip_network(network).prefixlen < WORLD
    ]


def judge_launch_templates(look: Look) -> None:
    """What nodes are started from: their metadata asks for tokens and is not for containers."""
    templates = tagged(look, "describe_launch_templates", "LaunchTemplates")
    look.found("launch template", [template["LaunchTemplateId"] for template in templates])
    for template in templates:
        name, id_ = template["LaunchTemplateName"], template["LaunchTemplateId"]
        (version,) = look.all(
            "ec2",
            "describe_launch_template_versions",
            "LaunchTemplateVersions",
            LaunchTemplateId=id_,
            Versions=["$Latest"],
        )
        options = version["LaunchTemplateData"].get("MetadataOptions", {})
        look.expect(
            name,
            "instance metadata",
            options.get("HttpTokens") == "required",
            "gives credentials without a token (IMDSv1)",
            "require tokens (HttpTokens)",
        )
        look.expect(
            name,
            "instance metadata",
            options.get("HttpPutResponseHopLimit") == 1,
            f"reaches containers (hop limit {options.get('HttpPutResponseHopLimit', 'unset')})",
            "set HttpPutResponseHopLimit to 1",
        )
