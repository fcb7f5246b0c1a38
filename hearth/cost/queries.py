"""How AWS's price list is asked for each price: which product it is, and of what unit.

Attributes as of 2026-11. A query that finds no product, or products of different prices, changes
nothing: `hearth cost refresh` says so.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from hearth.cost.figures import MILLION
from inventory.cloud.instances import CACHE_TYPES, DATABASE_CLASSES, INSTANCE_TYPES
from inventory.cloud.prices import Unit


@dataclass(frozen=True, slots=True)
class Query:
    """A product of the price list.

    Attributes:
        key: of the price.
        unit: of the price.
        service: code of the offer.
        usage: its usage type without the region's prefix; empty where attributes say enough.
        attributes: that it has.
        factor: of AWS's units in one of ours.
        worldwide: whether it has no region.
    """

    key: str
    unit: Unit
    service: str
    usage: str
    attributes: Mapping[str, str] = field(default_factory=dict)
    factor: float = 1
    worldwide: bool = False

    def fits(self, usage_type: str) -> bool:
        """Whether a product's usage type, such as `USE1-NatGateway-Hours`, is the one."""
        return (
            not self.usage
            or re.fullmatch(rf"([A-Z0-9]+-)?{re.escape(self.usage)}", usage_type) is not None
        )


def queries() -> list[Query]:
    """All prices that a bill may need."""
    return [*_OTHERS, *_nodes(), *_databases(), *_caches()]


def _nodes() -> Iterator[Query]:
    attributes = {
        "operatingSystem": "Linux",
        "tenancy": "Shared",
        "preInstalledSw": "NA",
        "capacitystatus": "Used",
    }
    for name in INSTANCE_TYPES:
        asked = {"instanceType": name, **attributes}
        yield Query(f"ec2.{name}", "hour", "AmazonEC2", f"BoxUsage:{name}", asked)


def _databases() -> Iterator[Query]:
    forms = {"single-az": ("Single-AZ", "InstanceUsage"), "multi-az": ("Multi-AZ", "Multi-AZUsage")}
    for name in DATABASE_CLASSES:
        for form, (option, usage) in forms.items():
            attributes = {
                "instanceType": name,
                "databaseEngine": "PostgreSQL",
                "deploymentOption": option,
            }
            yield Query(f"rds.{name}.{form}", "hour", "AmazonRDS", f"{usage}:{name}", attributes)


def _caches() -> Iterator[Query]:
    for engine, title in (("valkey", "Valkey"), ("redis", "Redis")):
        for name in CACHE_TYPES:
            key = f"elasticache.{engine}.{name.removeprefix('cache.')}"
            attributes = {"instanceType": name, "cacheEngine": title}
            yield Query(key, "hour", "AmazonElastiCache", f"NodeUsage:{name}", attributes)


_AMERICA = "United States"
"""Whose price of CloudFront stands for all: PriceClass_100's Europe costs the same."""

_FIREWALL = {"regionCode": "us-east-1"}
"""Where firewalls of CloudFront are made."""

_OTHERS = (
    Query("eks.cluster", "hour", "AmazonEKS", "AmazonEKS-Hours:perCluster"),
    Query("eks.extended-support", "hour", "AmazonEKS", "AmazonEKS-Hours:extendedSupport"),
    Query("ebs.gp3", "GB-month", "AmazonEC2", "EBS:VolumeUsage.gp3", {"volumeApiName": "gp3"}),
    Query("nat.gateway", "hour", "AmazonEC2", "NatGateway-Hours", {"productFamily": "NAT Gateway"}),
    Query("nat.data", "GB", "AmazonEC2", "NatGateway-Bytes", {"productFamily": "NAT Gateway"}),
    Query("address.public", "hour", "AmazonVPC", "PublicIPv4:InUseAddress"),
    Query("transfer.zone", "GB", "AWSDataTransfer", "DataTransfer-Regional-Bytes"),
    Query("endpoint.interface", "hour", "AmazonVPC", "VpcEndpoint-Hours"),
    Query("endpoint.data", "GB", "AmazonVPC", "VpcEndpoint-Bytes"),
    Query(
        "rds.storage.single-az",
        "GB-month",
        "AmazonRDS",
        "RDS:GP3-Storage",
        {"deploymentOption": "Single-AZ", "databaseEngine": "Any"},
    ),
    Query(
        "rds.storage.multi-az",
        "GB-month",
        "AmazonRDS",
        "RDS:Multi-AZ-GP3-Storage",
        {"deploymentOption": "Multi-AZ", "databaseEngine": "Any"},
    ),
    Query(
        "rds.backup",
        "GB-month",
        "AmazonRDS",
        "RDS:ChargedBackupUsage",
        {"databaseEngine": "PostgreSQL"},
    ),
    Query("s3.standard", "GB-month", "AmazonS3", "TimedStorage-ByteHrs"),
    Query("s3.infrequent", "GB-month", "AmazonS3", "TimedStorage-SIA-ByteHrs"),
    Query("s3.archive", "GB-month", "AmazonGlacier", "TimedStorage-ByteHrs"),
    Query("ecr.storage", "GB-month", "AmazonECR", "TimedStorage-ByteHrs"),
    Query(
        "alb.balancer",
        "hour",
        "AWSELB",
        "LoadBalancerUsage",
        {"productFamily": "Load Balancer-Application"},
    ),
    Query(
        "alb.capacity",
        "LCU-hour",
        "AWSELB",
        "LCUUsage",
        {"productFamily": "Load Balancer-Application"},
    ),
    Query("waf.acl", "month", "awswaf", "WebACLV2", _FIREWALL, worldwide=True),
    Query("waf.rule", "month", "awswaf", "RuleV2", _FIREWALL, worldwide=True),
    Query(
        "waf.requests",
        "million",
        "awswaf",
        "RequestV2-Tier1",
        _FIREWALL,
        factor=MILLION,
        worldwide=True,
    ),
    Query(
        "cloudfront.requests",
        "million",
        "AmazonCloudFront",
        "",
        {"requestType": "CloudFront-Request-HTTPS-Proxy", "location": _AMERICA},
        factor=MILLION,
        worldwide=True,
    ),
    Query(
        "cloudfront.data",
        "GB",
        "AmazonCloudFront",
        "",
        {"transferType": "CloudFront Outbound", "fromLocation": _AMERICA},
        worldwide=True,
    ),
    Query("route53.health-check", "month", "AmazonRoute53", "Health-Check-AWS", worldwide=True),
    Query("kms.key", "month", "awskms", "KMS-Keys", {"productFamily": "Encryption Key"}),
    Query(
        "secrets.secret",
        "month",
        "AWSSecretsManager",
        "",
        {"productFamily": "Secret"},
    ),
    Query("logs.ingest", "GB", "AmazonCloudWatch", "DataProcessing-Bytes"),
    Query("logs.storage", "GB-month", "AmazonCloudWatch", "TimedStorage-ByteHrs"),
)
