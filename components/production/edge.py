"""How the world reaches the service: names, certificates, CloudFront, and what stands in for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

import pulumi
import pulumi_aws as aws

from components.production.balancer import HTTPS, Balancer, BalancerArgs
from components.production.firewall import Firewall, FirewallArgs
from components.production.standby import Standby, StandbyArgs, elsewhere
from inventory.cloud.model import Edge as EdgeSettings
from inventory.cloud.model import LogDays
from inventory.cloud.parts import CLOUDFRONT_REGION

CACHE_NOTHING = "4135ea2d-6df8-44a3-9df3-4b5a939abad8"
"""Amazon's cache policy CachingDisabled: answers of the API belong to who asked."""
FORWARD_ALL_BUT_HOST = "b689b0a8-53d0-40ab-baf2-68738e2966ac"
"""Amazon's origin request policy AllViewerExceptHostHeader."""
ORIGIN_GROUP = "CloudFront-VPCOrigins-Service-SG"
"""The security group that CloudFront makes in a VPC with its first origin there."""
READ_S = 60
"""Between two packets of an answer; the most that CloudFront grants without being asked."""
HSTS_S = 2 * 365 * 24 * 3600
SERVICE = "service"


@dataclass(frozen=True, slots=True)
class EdgeArgs:
    """What the edge is made of.

    Attributes:
        settings: names, price class, the firewall's limit, the TLS policy, failover.
        region: of the load balancer.
        account: number of the account.
        vpc_id: where the load balancer is; with an internet gateway, or CloudFront takes no origin
            in it.
        private_subnet_ids: of the load balancer, with eight free addresses each for it and some
            for CloudFront.
        cluster_security_group_id: of the pods.
        access_bucket: takes the load balancer's records: `Storage.access_bucket`.
        log_bucket_arn: takes CloudFront's: `Storage.logs_bucket_arn`.
        log_key_arn: encrypts the firewall's log, which is in us-east-1. Keys do not leave their
            region: elsewhere this one is not used and CloudWatch's own is.
        log_days: the firewall's log is kept.
        hosted_zone_id: in which the names are made.
        target_port: that the service's pods listen on.
        health_path: that the service answers with 200 while it can serve, without a login.
        protected: whether the load balancer can be deleted only deliberately.
    """

    settings: EdgeSettings
    region: str
    account: pulumi.Input[str]
    vpc_id: pulumi.Input[str]
    private_subnet_ids: pulumi.Input[Sequence[str]]
    cluster_security_group_id: pulumi.Input[str]
    access_bucket: pulumi.Input[str]
    log_bucket_arn: pulumi.Input[str]
    log_key_arn: pulumi.Input[str]
    hosted_zone_id: pulumi.Input[str]
    log_days: LogDays = 90
    target_port: int = 8000
    health_path: str = "/health"
    protected: bool = True


class Edge(pulumi.ComponentResource):
    """CloudFront, which reaches an internal load balancer through interfaces in the VPC.

    The load balancer admits CloudFront's own security group there. It exists only once the origin
    does and cannot be declared, so it is looked up then. The prefix list of all of CloudFront's
    addresses would take 55 of the 60 rules that a group may have, and admit more.

    CloudFront asks the balancer as `origin.DOMAIN`, for which that has a certificate. The name of
    the distribution itself then works too, which is what the health check asks: under the service's
    own name it would ask whoever stands in.

    CloudFront compresses only what it may cache. `compress` is on for answers that a behaviour
    added later lets it cache; the API compresses its own.
    """

    url: pulumi.Output[str]
    target_group_arn: pulumi.Output[str]
    target_group_suffix: pulumi.Output[str]
    balancer_arn: pulumi.Output[str]
    balancer_suffix: pulumi.Output[str]
    distribution_id: pulumi.Output[str]
    distribution_arn: pulumi.Output[str]
    firewall_metric: pulumi.Output[str]
    health_check_id: pulumi.Output[str] | None

    def __init__(
        self, name: str, args: EdgeArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("hearth:production:Edge", name, None, opts)
        self._name, self._args = name, args
        self._child = pulumi.ResourceOptions(parent=self)
        domain = args.settings.domain
        host = f"origin.{domain}"
        origin_certificate, _ = self._certificate("origin", host, args.region)
        certificate, proof = self._certificate("domain", domain, CLOUDFRONT_REGION)
        balancer = Balancer(
            f"{name}-alb",
            BalancerArgs(
                host=host,
                certificate_arn=origin_certificate,
                tls_policy=args.settings.tls_policy,
                vpc_id=args.vpc_id,
                subnet_ids=args.private_subnet_ids,
                cluster_security_group_id=args.cluster_security_group_id,
                access_bucket=args.access_bucket,
                target_port=args.target_port,
                health_path=args.health_path,
                protected=args.protected,
            ),
            opts=self._child,
        )
        firewall = Firewall(
            f"{name}-firewall",
            FirewallArgs(
                requests_per_5_minutes=args.settings.requests_per_5_minutes,
                account=args.account,
                log_key_arn=args.log_key_arn if args.region == CLOUDFRONT_REGION else None,
                log_days=args.log_days,
            ),
            opts=self._child,
        )
        origin = self._origin(balancer)
        self._alias("origin", host, (balancer.dns_name, balancer.zone_id), types=("A",))
        distribution = self._distribution(host, origin, certificate, firewall)
        self._records_of(distribution)
        self.health_check_id = self._names(distribution, proof)
        self.url = pulumi.Output.from_input(f"https://{domain}")
        self.target_group_arn = balancer.target_group_arn
        self.target_group_suffix = balancer.target_group_suffix
        self.balancer_arn, self.balancer_suffix = balancer.arn, balancer.suffix
        self.distribution_id, self.distribution_arn = distribution.id, distribution.arn
        self.firewall_metric = firewall.metric
        self.register_outputs(
            {
                "url": self.url,
                "target_group_arn": self.target_group_arn,
                "balancer_arn": self.balancer_arn,
                "distribution_id": self.distribution_id,
            }
        )

    def _certificate(
        self, subject: str, domain: str, region: str
    ) -> tuple[pulumi.Output[str], Any]:
        """A certificate for one name; its ARN once ACM has seen the proof, and the proof."""
        certificate = self._request(subject, domain, region)
        option = certificate.domain_validation_options[0]
        proof = aws.route53.Record(
            f"{self._name}-{subject}-proof",
            zone_id=self._args.hosted_zone_id,
            name=option.resource_record_name,
            type=option.resource_record_type,
            records=[option.resource_record_value],
            ttl=300,
            # ACM asks an account for the same proof of a name every time.
            allow_overwrite=True,
            opts=self._child,
        )
        return self._validated(subject, certificate, proof, region), proof

    def _request(self, subject: str, domain: str, region: str) -> Any:
        return aws.acm.Certificate(
            f"{self._name}-{subject}",
            domain_name=domain,
            validation_method="DNS",
            region=region,
            opts=self._child,
        )

    def _validated(
        self, subject: str, certificate: Any, proof: Any, region: str
    ) -> pulumi.Output[str]:
        validation = aws.acm.CertificateValidation(
            f"{self._name}-{subject}",
            certificate_arn=certificate.arn,
            validation_record_fqdns=[proof.fqdn],
            region=region,
            opts=self._child,
        )
        return pulumi.Output.concat(validation.certificate_arn)

    def _origin(self, balancer: Balancer) -> Any:
        """CloudFront's way into the VPC, and the rule that lets it in."""
        origin = aws.cloudfront.VpcOrigin(
            f"{self._name}-origin",
            vpc_origin_endpoint_config={
                "name": f"{self._name}-origin",
                "arn": balancer.arn,
                "http_port": 80,
                "https_port": HTTPS,
                "origin_protocol_policy": "https-only",
                "origin_ssl_protocols": {"items": ["TLSv1.2"], "quantity": 1},
            },
            opts=self._child,
        )
        visitors = aws.ec2.get_security_group_output(
            name=ORIGIN_GROUP,
            vpc_id=self._args.vpc_id,
            region=self._args.region,
            opts=pulumi.InvokeOutputOptions(parent=self, depends_on=[origin]),
        )
        aws.vpc.SecurityGroupIngressRule(
            f"{self._name}-from-cloudfront",
            description="From CloudFront's interfaces in this VPC",
            security_group_id=balancer.security_group_id,
            referenced_security_group_id=visitors.id,
            ip_protocol="tcp",
            from_port=HTTPS,
            to_port=HTTPS,
            opts=self._child,
        )
        return origin

    def _distribution(
        self, host: str, origin: Any, certificate: pulumi.Output[str], firewall: Firewall
    ) -> Any:
        settings = self._args.settings
        headers = aws.cloudfront.ResponseHeadersPolicy(
            f"{self._name}-headers",
            security_headers_config=security_headers(),
            remove_headers_config={"items": [{"header": "Server"}, {"header": "X-Powered-By"}]},
            opts=self._child,
        )
        return aws.cloudfront.Distribution(
            f"{self._name}-distribution",
            comment=settings.domain,
            enabled=True,
            aliases=[settings.domain],
            price_class=settings.price_class,
            http_version="http2and3",
            is_ipv6_enabled=True,
            web_acl_id=firewall.arn,
            origins=[
                {
                    "origin_id": SERVICE,
                    "domain_name": host,
                    "vpc_origin_config": {
                        "vpc_origin_id": origin.id,
                        "origin_read_timeout": READ_S,
                        "origin_keepalive_timeout": READ_S,
                    },
                    # The service is not told the Host that was asked for.
                    "custom_headers": [{"name": "X-Forwarded-Host", "value": settings.domain}],
                }
            ],
            default_cache_behavior={
                "target_origin_id": SERVICE,
                "viewer_protocol_policy": "redirect-to-https",
                "allowed_methods": ["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"],
                "cached_methods": ["GET", "HEAD"],
                "cache_policy_id": CACHE_NOTHING,
                "origin_request_policy_id": FORWARD_ALL_BUT_HOST,
                "response_headers_policy_id": headers.id,
                "compress": True,
            },
            viewer_certificate={
                "acm_certificate_arn": certificate,
                "minimum_protocol_version": "TLSv1.2_2021",
                "ssl_support_method": "sni-only",
            },
            restrictions={"geo_restriction": {"restriction_type": "none"}},
            opts=self._child,
        )

    def _records_of(self, distribution: Any) -> None:
        """Who asked CloudFront for what, into the logs bucket.

        By CloudWatch's delivery (standard logging v2): the older way needs a bucket with access
        control lists.
        """
        source = aws.cloudwatch.LogDeliverySource(
            f"{self._name}-requests",
            log_type="ACCESS_LOGS",
            resource_arn=distribution.arn,
            region=CLOUDFRONT_REGION,
            opts=self._child,
        )
        destination = aws.cloudwatch.LogDeliveryDestination(
            f"{self._name}-requests",
            output_format="json",
            delivery_destination_configuration={
                "destination_resource_arn": self._args.log_bucket_arn
            },
            region=CLOUDFRONT_REGION,
            opts=self._child,
        )
        aws.cloudwatch.LogDelivery(
            f"{self._name}-requests",
            delivery_source_name=source.name,
            delivery_destination_arn=destination.arn,
            s3_delivery_configurations=[{"suffix_path": "{yyyy}/{MM}/{dd}/{HH}"}],
            region=CLOUDFRONT_REGION,
            opts=self._child,
        )

    def _names(self, distribution: Any, proof: Any) -> pulumi.Output[str] | None:
        """The service's name, for CloudFront; or, with failover, for the page while that is ill.

        Returns:
            The health check that decides, if there is one.
        """
        domain = self._args.settings.domain
        target = (distribution.domain_name, distribution.hosted_zone_id)
        if not self._args.settings.failover:
            self._alias(SERVICE, domain, target)
            return None
        health = aws.route53.HealthCheck(
            f"{self._name}-health",
            type="HTTPS",
            fqdn=distribution.domain_name,
            port=HTTPS,
            resource_path=self._args.health_path,
            request_interval=30,
            failure_threshold=3,
            enable_sni=True,
            opts=self._child,
        )
        region = elsewhere(self._args.region)
        # A proof is of an account and a name: the certificate elsewhere needs no other.
        certificate = self._request("standby", domain, region)
        standby = Standby(
            f"{self._name}-standby",
            StandbyArgs(domain, region, self._validated("standby", certificate, proof, region)),
            opts=self._child,
        )
        self._alias(SERVICE, domain, target, failover("PRIMARY", health_check_id=health.id))
        page = (standby.target, standby.zone_id)
        self._alias("page", domain, page, failover("SECONDARY"))
        return pulumi.Output.concat(health.id)

    def _alias(
        self,
        subject: str,
        domain: str,
        target: tuple[pulumi.Input[str], pulumi.Input[str]],
        routing: Mapping[str, Any] = MappingProxyType({}),
        types: Sequence[Literal["A", "AAAA"]] = ("A", "AAAA"),
    ) -> None:
        """A name for something of AWS, given by its own name and its zone.

        The health of a CloudFront distribution cannot be evaluated by Route 53: where it matters
        the routing has a health check.
        """
        name, zone_id = target
        for kind in types:
            aws.route53.Record(
                f"{self._name}-{subject}-{kind.lower()}",
                zone_id=self._args.hosted_zone_id,
                name=domain,
                type=kind,
                aliases=[{"name": name, "zone_id": zone_id, "evaluate_target_health": False}],
                **routing,
                opts=self._child,
            )


def failover(role: Literal["PRIMARY", "SECONDARY"], **more: pulumi.Input[str]) -> dict[str, Any]:
    """Which of two records of a name this is; the second is given out while the first is ill."""
    return {
        "failover_routing_policies": [{"type": role}],
        "set_identifier": role.lower(),
        **more,
    }


def security_headers() -> dict[str, Any]:
    """What every answer tells browsers: TLS only, no guessing of types, no frames, no referrer.

    The content policy is for an API, which loads nothing; a page of the service may send its own.
    """
    return {
        "strict_transport_security": {
            "access_control_max_age_sec": HSTS_S,
            "include_subdomains": True,
            "override": True,
        },
        "content_type_options": {"override": True},
        "frame_options": {"frame_option": "DENY", "override": True},
        "referrer_policy": {"referrer_policy": "no-referrer", "override": True},
        "content_security_policy": {
            "content_security_policy": "default-src 'none'; frame-ancestors 'none'",
            "override": False,
        },
    }
