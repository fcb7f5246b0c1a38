"""The VPC: three tiers of subnets in each zone, and the ways between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network

import pulumi
import pulumi_aws as aws

from components.production.iam import Statement, allow, document, granted, service_trust
from inventory.cloud.model import VirtualNetwork

WORLD = "0.0.0.0/0"
HTTPS = 443
EPHEMERAL = (1024, 65535)
"""Ports that answers from outside come back to; a NAT gateway uses all of them."""

PRINCIPALS = {"ecr.api": "ecr", "ecr.dkr": "ecr"}
"""Prefixes of IAM actions where they are not the service's name."""


@dataclass(frozen=True, slots=True)
class Subnets:
    """How a zone's part of the VPC is cut.

    Attributes:
        public: for NAT gateways; nothing else has an address of the internet.
        private: for nodes, pods, endpoints and the load balancer.
        isolated: for the database and the cache; no way out.
    """

    public: IPv4Network
    private: IPv4Network
    isolated: IPv4Network


def subnets(cidr: IPv4Network, zone: int) -> Subnets:
    """The subnets of the zone with that number, from 0 to 2.

    A quarter of the VPC for each zone's private subnet, for every pod has an address of its own;
    of the last quarter an eighth for each public and isolated subnet. A /16 gives /18 (16,384
    addresses, of which AWS keeps five) and /21; a /20 gives /22 (1,024) and /25 (128).

    What a zone gets does not depend on how many there are: one more moves nothing.
    """
    *private, last = cidr.subnets(prefixlen_diff=2)
    small = list(last.subnets(prefixlen_diff=3))
    return Subnets(public=small[zone], private=private[zone], isolated=small[4 + zone])


@dataclass(frozen=True, slots=True)
class NetworkArgs:
    """What the network needs.

    Attributes:
        settings: of the environment.
        account: number of the account, whose principals alone may use the endpoints.
        region: of AWS.
        zone_names: in which there are subnets, `us-east-1a`; as many as the settings have zones.
        cluster_name: of the cluster whose nodes are to be in the private subnets.
        log_key_arn: of the key that encrypts the flow logs.
    """

    settings: VirtualNetwork
    account: pulumi.Input[str]
    region: pulumi.Input[str]
    zone_names: Sequence[str]
    cluster_name: str
    log_key_arn: pulumi.Input[str]


class Network(pulumi.ComponentResource):
    """A VPC, its subnets, the ways out, the ways to AWS that stay within, and who talked to whom.

    With `nat: single` every zone leaves through the first one's gateway: a third of the price, and
    no way out while that zone is down.

    Attributes:
        vpc_id: of the VPC.
        cidr_block: its addresses.
        public_subnet_ids: a zone each, in the order of the zones, as the next two.
        private_subnet_ids: the largest.
        isolated_subnet_ids: without a way out.
        nat_ids: of the NAT gateways: one, or a zone each.
    """

    vpc_id: pulumi.Output[str]
    cidr_block: pulumi.Output[str]
    public_subnet_ids: pulumi.Output[list[str]]
    private_subnet_ids: pulumi.Output[list[str]]
    isolated_subnet_ids: pulumi.Output[list[str]]
    nat_ids: pulumi.Output[list[str]]

    def __init__(
        self, name: str, args: NetworkArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("hearth:production:Network", name, None, opts)
        self._prefix = name
        self._args = args
        self._opts = pulumi.ResourceOptions(parent=self)
        self._zones = [zone.rpartition("-")[2] for zone in args.zone_names]
        self._vpc = aws.ec2.Vpc(
            name,
            cidr_block=str(args.settings.cidr),
            enable_dns_support=True,
            enable_dns_hostnames=True,
            tags={"Name": name},
            opts=self._opts,
        )
        self._close_defaults()
        public, private, isolated = (self._tier(tier) for tier in ("public", "private", "isolated"))
        self._admit(public, private, isolated)
        nats = self._way_out(public)
        private_tables = self._private_routes(private, nats)
        self._isolated_routes(isolated)
        self._gateway_endpoints(private_tables)
        self._interface_endpoints(private)
        self._flow_logs()
        self.vpc_id = self._vpc.id
        self.cidr_block = self._vpc.cidr_block
        self.public_subnet_ids = _ids(public)
        self.private_subnet_ids = _ids(private)
        self.isolated_subnet_ids = _ids(isolated)
        self.nat_ids = _ids(nats)
        self.register_outputs(
            {
                "vpc_id": self.vpc_id,
                "cidr_block": self.cidr_block,
                "public_subnet_ids": self.public_subnet_ids,
                "private_subnet_ids": self.private_subnet_ids,
                "isolated_subnet_ids": self.isolated_subnet_ids,
                "nat_ids": self.nat_ids,
            }
        )

    def _close_defaults(self) -> None:
        """What AWS makes with a VPC admits everything: both are taken over, and emptied.

        Each subnet is associated with an access control list of its own.
        """
        aws.ec2.DefaultSecurityGroup(
            f"{self._prefix}-default", vpc_id=self._vpc.id, ingress=[], egress=[], opts=self._opts
        )
        aws.ec2.DefaultNetworkAcl(
            f"{self._prefix}-default",
            default_network_acl_id=self._vpc.default_network_acl_id,
            ingress=[],
            egress=[],
            # Subnets leave it when they are associated with another.
            opts=pulumi.ResourceOptions(parent=self, ignore_changes=["subnetIds"]),
        )

    def _tier(self, tier: str) -> list[aws.ec2.Subnet]:
        """A subnet of a tier in each zone."""
        return [
            aws.ec2.Subnet(
                f"{self._prefix}-{tier}-{zone}",
                vpc_id=self._vpc.id,
                cidr_block=str(getattr(subnets(self._args.settings.cidr, number), tier)),
                availability_zone=self._args.zone_names[number],
                map_public_ip_on_launch=False,
                tags={"Name": f"{self._prefix}-{tier}-{zone}", **self._found_by(tier)},
                opts=self._opts,
            )
            for number, zone in enumerate(self._zones)
        ]

    def _found_by(self, tier: str) -> dict[str, str]:
        """Tags by which controllers in the cluster find subnets.

        Public subnets have no `role/elb`: no controller is to put a balancer on the internet.
        """
        if tier != "private":
            return {}
        return {
            "kubernetes.io/role/internal-elb": "1",
            "karpenter.sh/discovery": self._args.cluster_name,
        }

    def _admit(
        self,
        public: Sequence[aws.ec2.Subnet],
        private: Sequence[aws.ec2.Subnet],
        isolated: Sequence[aws.ec2.Subnet],
    ) -> None:
        """Access control lists: the VPC, and from outside nothing but answers.

        They keep no state, so answers are admitted by port. Isolated subnets know the VPC alone.
        """
        cidr = str(self._args.settings.cidr)
        within = _rule(100, cidr, "-1", (0, 0))
        answers = [_rule(200, WORLD, "tcp", EPHEMERAL), _rule(210, WORLD, "udp", EPHEMERAL)]
        # Fragmentation needed: without it large packets vanish behind some networks.
        answers.append(_rule(220, WORLD, "icmp", (0, 0)) | {"icmp_type": 3, "icmp_code": 4})
        out = _rule(100, WORLD, "-1", (0, 0))
        for tier, members, ingress, egress in (
            ("public", public, [within, *answers], [out]),
            ("private", private, [within, *answers], [out]),
            ("isolated", isolated, [within], [within]),
        ):
            aws.ec2.NetworkAcl(
                f"{self._prefix}-{tier}",
                vpc_id=self._vpc.id,
                subnet_ids=[subnet.id for subnet in members],
                ingress=ingress,
                egress=egress,
                tags={"Name": f"{self._prefix}-{tier}"},
                opts=self._opts,
            )

    def _table(self, suffix: str) -> aws.ec2.RouteTable:
        return aws.ec2.RouteTable(
            f"{self._prefix}-{suffix}",
            vpc_id=self._vpc.id,
            tags={"Name": f"{self._prefix}-{suffix}"},
            opts=self._opts,
        )

    def _associate(self, suffix: str, subnet: aws.ec2.Subnet, table: aws.ec2.RouteTable) -> None:
        aws.ec2.RouteTableAssociation(
            f"{self._prefix}-{suffix}",
            subnet_id=subnet.id,
            route_table_id=table.id,
            opts=self._opts,
        )

    def _way_out(self, public: Sequence[aws.ec2.Subnet]) -> list[aws.ec2.NatGateway]:
        """The internet gateway, and NAT gateways in the public subnets."""
        internet = aws.ec2.InternetGateway(
            self._prefix, vpc_id=self._vpc.id, tags={"Name": self._prefix}, opts=self._opts
        )
        table = self._table("public")
        aws.ec2.Route(
            f"{self._prefix}-public",
            route_table_id=table.id,
            destination_cidr_block=WORLD,
            gateway_id=internet.id,
            opts=self._opts,
        )
        for zone, subnet in zip(self._zones, public, strict=True):
            self._associate(f"public-{zone}", subnet, table)
        count = 1 if self._args.settings.nat == "single" else len(public)
        return [
            self._nat(zone, subnet, internet)
            for zone, subnet in zip(self._zones[:count], public[:count], strict=True)
        ]

    def _nat(
        self, zone: str, subnet: aws.ec2.Subnet, internet: aws.ec2.InternetGateway
    ) -> aws.ec2.NatGateway:
        name = f"{self._prefix}-nat-{zone}"
        address = aws.ec2.Eip(name, domain="vpc", tags={"Name": name}, opts=self._opts)
        return aws.ec2.NatGateway(
            name,
            allocation_id=address.id,
            subnet_id=subnet.id,
            tags={"Name": name},
            # AWS refuses one in a VPC that has no way out yet.
            opts=pulumi.ResourceOptions(parent=self, depends_on=[internet]),
        )

    def _private_routes(
        self, private: Sequence[aws.ec2.Subnet], nats: Sequence[aws.ec2.NatGateway]
    ) -> list[aws.ec2.RouteTable]:
        """A table for each zone, out through the zone's own gateway, or the only one."""
        tables = []
        for number, (zone, subnet) in enumerate(zip(self._zones, private, strict=True)):
            table = self._table(f"private-{zone}")
            aws.ec2.Route(
                f"{self._prefix}-private-{zone}",
                route_table_id=table.id,
                destination_cidr_block=WORLD,
                nat_gateway_id=nats[min(number, len(nats) - 1)].id,
                opts=self._opts,
            )
            self._associate(f"private-{zone}", subnet, table)
            tables.append(table)
        return tables

    def _isolated_routes(self, isolated: Sequence[aws.ec2.Subnet]) -> None:
        """A table that leads nowhere but to the VPC."""
        table = self._table("isolated")
        for zone, subnet in zip(self._zones, isolated, strict=True):
            self._associate(f"isolated-{zone}", subnet, table)

    def _gateway_endpoints(self, tables: Sequence[aws.ec2.RouteTable]) -> None:
        """For private subnets: nothing runs in public ones, and isolated ones have no way out."""
        for service in self._args.settings.gateway_endpoints:
            aws.ec2.VpcEndpoint(
                f"{self._prefix}-{service}",
                vpc_id=self._vpc.id,
                vpc_endpoint_type="Gateway",
                service_name=self._service(service),
                route_table_ids=[table.id for table in tables],
                policy=pulumi.Output.json_dumps(document(*gateway_statements(service, self._args))),
                tags={"Name": f"{self._prefix}-{service}"},
                opts=self._opts,
            )

    def _interface_endpoints(self, private: Sequence[aws.ec2.Subnet]) -> None:
        """In each private subnet, for https from the VPC."""
        if not self._args.settings.interface_endpoints:
            return
        group = aws.ec2.SecurityGroup(
            f"{self._prefix}-endpoints",
            description="Interface endpoints: https from the VPC",
            vpc_id=self._vpc.id,
            tags={"Name": f"{self._prefix}-endpoints"},
            opts=self._opts,
        )
        aws.vpc.SecurityGroupIngressRule(
            f"{self._prefix}-endpoints",
            description="https from the VPC",
            security_group_id=group.id,
            cidr_ipv4=str(self._args.settings.cidr),
            ip_protocol="tcp",
            from_port=HTTPS,
            to_port=HTTPS,
            opts=self._opts,
        )
        for service in self._args.settings.interface_endpoints:
            name = f"{self._prefix}-{service.replace('.', '-')}"
            aws.ec2.VpcEndpoint(
                name,
                vpc_id=self._vpc.id,
                vpc_endpoint_type="Interface",
                service_name=self._service(service),
                subnet_ids=[subnet.id for subnet in private],
                security_group_ids=[group.id],
                private_dns_enabled=True,
                policy=pulumi.Output.json_dumps(document(own_account(service, self._args))),
                tags={"Name": name},
                opts=self._opts,
            )

    def _service(self, service: str) -> pulumi.Output[str]:
        return pulumi.Output.format("com.amazonaws.{}.{}", self._args.region, service)

    def _flow_logs(self) -> None:
        """Every connection that was admitted or refused, kept for `flow_log_days`."""
        name = f"{self._prefix}-flow-logs"
        group = aws.cloudwatch.LogGroup(
            name,
            retention_in_days=self._args.settings.flow_log_days,
            kms_key_id=self._args.log_key_arn,
            opts=self._opts,
        )
        account, region = self._args.account, self._args.region
        source = pulumi.Output.format("arn:aws:ec2:{}:{}:vpc-flow-log/*", region, account)
        trust = service_trust(
            "vpc-flow-logs.amazonaws.com",
            # Any flow log of the account: its own id is known after the role.
            {"StringEquals": {"aws:SourceAccount": account}, "ArnLike": {"aws:SourceArn": source}},
        )
        role = aws.iam.Role(
            name, assume_role_policy=pulumi.Output.json_dumps(trust), opts=self._opts
        )
        # `:*` are the group's streams: each network interface gets one when it is made.
        streams = pulumi.Output.concat(group.arn, ":*")
        actions = ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"]
        writing = aws.iam.RolePolicy(
            name,
            role=role.name,
            policy=pulumi.Output.json_dumps(document(allow("WriteFlowLogs", actions, streams))),
            opts=self._opts,
        )
        aws.ec2.FlowLog(
            name,
            vpc_id=self._vpc.id,
            traffic_type="ALL",
            log_destination_type="cloud-watch-logs",
            log_destination=group.arn,
            iam_role_arn=role.arn,
            tags={"Name": name},
            opts=pulumi.ResourceOptions(parent=self, depends_on=[writing]),
        )


def _ids(resources: Sequence[pulumi.CustomResource]) -> pulumi.Output[list[str]]:
    return pulumi.Output.all(*(resource.id for resource in resources)).apply(list)


def _rule(
    number: int, cidr: str, protocol: str, ports: tuple[int, int]
) -> dict[str, pulumi.Input[str | int]]:
    """A rule of an access control list that admits; -1 is every protocol."""
    return {
        "rule_no": number,
        "action": "allow",
        "cidr_block": cidr,
        "protocol": protocol,
        "from_port": ports[0],
        "to_port": ports[1],
    }


def own_account(service: str, args: NetworkArgs) -> Statement:
    """Whoever is of the account does with a service what his own policies let him.

    Every action on everything: an endpoint's policy only takes away. What it takes away here is
    credentials of somebody else, with which data would leave by the endpoint.
    """
    actions = [f"{PRINCIPALS.get(service, service)}:*"]
    mine = {"StringEquals": {"aws:PrincipalAccount": args.account}}
    return granted("*", allow("OwnAccount", actions, "*", mine))


def gateway_statements(service: str, args: NetworkArgs) -> list[Statement]:
    """Buckets and tables of the account, and for S3 objects that anybody may read.

    Layers of images lie in buckets of their registries (Amazon's, Kubernetes', Quay's), which are
    read with the registries' signatures and change their names; reading carries nothing out.
    """
    own = own_account(service, args)
    own["Condition"]["StringEquals"]["aws:ResourceAccount"] = args.account
    if service != "s3":
        return [own]
    return [own, granted("*", allow("ReadObjects", ["s3:GetObject"], "*"))]
