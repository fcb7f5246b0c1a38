"""The load balancer inside the network, which only CloudFront reaches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws

from components.production.storage import BALANCER_PREFIX

HTTPS = 443
IDLE_S, DRAIN_S = 120, 120
"""An answer of the model may take so long to come, and to be finished before its pod goes."""


@dataclass(frozen=True, slots=True)
class BalancerArgs:
    """What the load balancer is made of.

    Attributes:
        host: the name by which CloudFront asks it; others are answered 404.
        certificate_arn: for that name, of the balancer's own region.
        tls_policy: of Elastic Load Balancing, by name.
        vpc_id: where it is.
        subnet_ids: private ones, in two zones at least.
        cluster_security_group_id: of the pods that it sends requests to.
        access_bucket: takes a record of each request and connection; one that S3 encrypts with its
            own keys, and whose policy lets Elastic Load Balancing write below `balancer/`.
        target_port: that the pods listen on, TCP.
        health_path: that a pod answers with 200 while it can serve.
        protected: whether it can be deleted only deliberately.
    """

    host: str
    certificate_arn: pulumi.Input[str]
    tls_policy: str
    vpc_id: pulumi.Input[str]
    subnet_ids: pulumi.Input[Sequence[str]]
    cluster_security_group_id: pulumi.Input[str]
    access_bucket: pulumi.Input[str]
    target_port: int = 8000
    health_path: str = "/health"
    protected: bool = True


class Balancer(pulumi.ComponentResource):
    """An internal Application Load Balancer that speaks nothing but HTTPS.

    Its security group admits nobody yet: `Edge` adds CloudFront once that has interfaces here.
    Pods are put into the target group by the cluster's load balancer controller
    (TargetGroupBinding), and spoken to over HTTP: within the network EC2 encrypts between nodes.
    """

    arn: pulumi.Output[str]
    suffix: pulumi.Output[str]
    dns_name: pulumi.Output[str]
    zone_id: pulumi.Output[str]
    security_group_id: pulumi.Output[str]
    target_group_arn: pulumi.Output[str]
    target_group_suffix: pulumi.Output[str]

    def __init__(
        self, name: str, args: BalancerArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("hearth:production:Balancer", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        security_group = self._security_group(name, args)
        records = {"bucket": args.access_bucket, "prefix": BALANCER_PREFIX, "enabled": True}
        balancer = aws.lb.LoadBalancer(
            name,  # with the engine's suffix a name of theirs has 32 characters at most
            internal=True,
            load_balancer_type="application",
            subnets=args.subnet_ids,
            security_groups=[security_group.id],
            drop_invalid_header_fields=True,
            desync_mitigation_mode="defensive",
            idle_timeout=IDLE_S,
            enable_deletion_protection=args.protected,
            access_logs=records,
            connection_logs=records,
            opts=pulumi.ResourceOptions(parent=self, protect=args.protected),
        )
        targets = aws.lb.TargetGroup(
            f"{name}-pods",
            target_type="ip",
            vpc_id=args.vpc_id,
            port=args.target_port,
            protocol="HTTP",
            deregistration_delay=DRAIN_S,
            health_check={
                "path": args.health_path,
                "matcher": "200",
                "interval": 10,
                "timeout": 5,
                "healthy_threshold": 2,
                "unhealthy_threshold": 3,
            },
            opts=child,
        )
        listener = aws.lb.Listener(
            f"{name}-https",
            load_balancer_arn=balancer.arn,
            port=HTTPS,
            protocol="HTTPS",
            ssl_policy=args.tls_policy,
            certificate_arn=args.certificate_arn,
            default_actions=[
                {
                    "type": "fixed-response",
                    "fixed_response": {"content_type": "text/plain", "status_code": "404"},
                }
            ],
            opts=child,
        )
        aws.lb.ListenerRule(
            f"{name}-service",
            listener_arn=listener.arn,
            priority=100,
            conditions=[{"host_header": {"values": [args.host]}}],
            actions=[{"type": "forward", "target_group_arn": targets.arn}],
            opts=child,
        )
        self.arn, self.suffix = balancer.arn, balancer.arn_suffix
        self.dns_name, self.zone_id = balancer.dns_name, balancer.zone_id
        self.security_group_id = security_group.id
        self.target_group_arn, self.target_group_suffix = targets.arn, targets.arn_suffix
        self.register_outputs(
            {
                "arn": self.arn,
                "dns_name": self.dns_name,
                "security_group_id": self.security_group_id,
                "target_group_arn": self.target_group_arn,
            }
        )

    def _security_group(self, name: str, args: BalancerArgs) -> Any:
        """Out to the pods, on their port; what lets it in there stands beside it."""
        child = pulumi.ResourceOptions(parent=self)
        group = aws.ec2.SecurityGroup(
            f"{name}-access",
            description="CloudFront to the load balancer",
            vpc_id=args.vpc_id,
            opts=child,
        )
        port = {
            "ip_protocol": "tcp",
            "from_port": args.target_port,
            "to_port": args.target_port,
            "opts": child,
        }
        aws.vpc.SecurityGroupEgressRule(
            f"{name}-to-pods",
            description="To the pods",
            security_group_id=group.id,
            referenced_security_group_id=args.cluster_security_group_id,
            **port,
        )
        aws.vpc.SecurityGroupIngressRule(
            f"{name}-into-pods",
            description="From the load balancer",
            security_group_id=args.cluster_security_group_id,
            referenced_security_group_id=group.id,
            **port,
        )
        return group
