"""What AWS would have answered: made-up ids, names, addresses of resources that nobody makes.

The engine's plan and the tests see from it what a program does with them. Nothing here is asked of
AWS, and no account is needed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

ACCOUNT, REGION = "123456789012", "us-east-1"
"""The account is the one that Amazon's documentation uses."""

OFFLINE = "HEARTH_OFFLINE"
"""Variable with the URL of the one backend whose state may hold what is made up."""

BACKEND = "PULUMI_BACKEND_URL"
"""Pulumi's variable for the backend that it uses."""

Properties = Mapping[str, Any]


def digest(urn: str) -> str:
    """Seventeen hexadecimal digits, as AWS numbers things, the same for the same resource."""
    return hashlib.sha256(urn.encode()).hexdigest()[:17]


_ID_PREFIXES = {
    "ec2/vpc:Vpc": "vpc",
    "ec2/subnet:Subnet": "subnet",
    "ec2/routeTable:RouteTable": "rtb",
    "ec2/internetGateway:InternetGateway": "igw",
    "ec2/natGateway:NatGateway": "nat",
    "ec2/eip:Eip": "eipalloc",
    "ec2/securityGroup:SecurityGroup": "sg",
    "vpc/securityGroupIngressRule:SecurityGroupIngressRule": "sgr",
    "vpc/securityGroupEgressRule:SecurityGroupEgressRule": "sgr",
    "ec2/vpcEndpoint:VpcEndpoint": "vpce",
    "ec2/flowLog:FlowLog": "fl",
    "ec2/launchTemplate:LaunchTemplate": "lt",
}

_NAMED_BY = ("name", "bucket", "clusterName", "identifier", "replicationGroupId", "roleName")


def made_id(kind: str, name: str, urn: str, inputs: Properties) -> str:
    """The id of a new resource.

    Args:
        kind: its type without the package, `ec2/vpc:Vpc`.
        name: its logical name.
        urn: its URN.
        inputs: what it was asked to be.
    """
    if prefix := _ID_PREFIXES.get(kind):
        return f"{prefix}-{digest(urn)}"
    if kind == "kms/key:Key":
        return _uuid(urn)
    if kind == "rds/instance:Instance":  # its name may change, so it is known by another
        return f"db-{digest(urn).upper()}"
    given = next((inputs[key] for key in _NAMED_BY if isinstance(inputs.get(key), str)), None)
    return given or f"{name}-{digest(urn)[:7]}"


def made_outputs(kind: str, name: str, urn: str, inputs: Properties) -> dict[str, Any]:
    """What a new resource has beyond what it was asked to be; inputs take precedence."""
    id_ = made_id(kind, name, urn, inputs)
    service = kind.partition("/")[0]
    tail = kind.rpartition(":")[2].lower()
    common = {
        "id": id_,
        "arn": f"arn:aws:{service}:{REGION}:{ACCOUNT}:{tail}/{id_}",
        "region": REGION,
    }
    if kind.startswith(("iam/", "cloudfront/", "route53/")):
        common["arn"] = f"arn:aws:{service}::{ACCOUNT}:{tail}/{id_}"
    make = _MADE.get(kind)
    made = {"name": id_, **common, **(make(id_, inputs) if make else {})}
    if isinstance(inputs.get("tags"), Mapping):
        made["tagsAll"] = inputs["tags"]
    return {**made, **{key: _completed(made.get(key), value) for key, value in inputs.items()}}


def _completed(made: Any, given: Any) -> Any:
    """What was given, with what AWS adds within it."""
    return {**made, **given} if isinstance(made, Mapping) and isinstance(given, Mapping) else given


def looked_up(token: str, asked: Properties) -> dict[str, Any]:
    """What AWS would say of something that is there already.

    Args:
        token: of the function, `aws:ec2/getSecurityGroup:getSecurityGroup`.
        asked: its arguments.
    """
    if token == "aws:ec2/getSecurityGroup:getSecurityGroup":  # noqa: S105 - a function's name
        return {**asked, "id": f"sg-{digest(str(sorted(asked.items())))}"}
    return dict(asked)


def _uuid(urn: str) -> str:
    text = hashlib.sha256(urn.encode()).hexdigest()
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-8{text[17:20]}-{text[20:32]}"


def _cluster(id_: str, _inputs: Properties) -> dict[str, Any]:
    return {
        "endpoint": f"https://{digest(id_).upper()}.gr7.{REGION}.eks.amazonaws.com",
        "certificateAuthority": {"data": "bWFkZSB1cA=="},
        "certificateAuthorities": [{"data": "bWFkZSB1cA=="}],
        "vpcConfig": {"clusterSecurityGroupId": f"sg-{digest(id_)}"},
        "identities": [
            {"oidcs": [{"issuer": f"https://oidc.eks.{REGION}.amazonaws.com/id/{id_}"}]}
        ],
        "status": "ACTIVE",
    }


def _database(id_: str, inputs: Properties) -> dict[str, Any]:
    name = inputs.get("identifier", id_.lower())
    address = f"{name}.{digest(id_)[:12]}.{REGION}.rds.amazonaws.com"
    secret = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:rds!db-{digest(id_)}"
    return {
        "address": address,
        "endpoint": f"{address}:5432",
        "port": 5432,
        "arn": f"arn:aws:rds:{REGION}:{ACCOUNT}:db:{name}",
        "identifier": name,
        "resourceId": id_,
        "masterUserSecrets": [{"secretArn": secret, "secretStatus": "active", "kmsKeyId": ""}],
    }


def _cache(id_: str, _inputs: Properties) -> dict[str, Any]:
    at = f"{id_}.{digest(id_)[:6]}.use1.cache.amazonaws.com"
    return {"primaryEndpointAddress": f"master.{at}", "readerEndpointAddress": f"replica.{at}"}


def _bucket(id_: str, _inputs: Properties) -> dict[str, Any]:
    return {
        "arn": f"arn:aws:s3:::{id_}",
        "bucket": id_,
        "bucketDomainName": f"{id_}.s3.amazonaws.com",
        "bucketRegionalDomainName": f"{id_}.s3.{REGION}.amazonaws.com",
    }


def _balancer(id_: str, _inputs: Properties) -> dict[str, Any]:
    suffix = f"app/{id_}/{digest(id_)[:16]}"
    return {
        "arn": f"arn:aws:elasticloadbalancing:{REGION}:{ACCOUNT}:loadbalancer/{suffix}",
        "arnSuffix": suffix,
        "dnsName": f"internal-{id_}.{REGION}.elb.amazonaws.com",
        "zoneId": "Z35SXDOTRQ7X7K",
    }


def _target_group(id_: str, _inputs: Properties) -> dict[str, Any]:
    suffix = f"targetgroup/{id_}/{digest(id_)[:16]}"
    return {
        "arn": f"arn:aws:elasticloadbalancing:{REGION}:{ACCOUNT}:{suffix}",
        "arnSuffix": suffix,
    }


def _certificate(id_: str, inputs: Properties) -> dict[str, Any]:
    domain = inputs.get("domainName", "")
    names = [domain, *inputs.get("subjectAlternativeNames", [])]
    return {
        "arn": f"arn:aws:acm:{REGION}:{ACCOUNT}:certificate/{_uuid(id_)}",
        "domainValidationOptions": [
            {
                "domainName": name,
                "resourceRecordName": f"_{digest(name)}.{name}.",
                "resourceRecordType": "CNAME",
                "resourceRecordValue": f"_{digest(name)}.acm-validations.aws.",
            }
            for name in dict.fromkeys(names)
        ],
    }


def _distribution(id_: str, _inputs: Properties) -> dict[str, Any]:
    return {"domainName": f"{digest(id_)[:13]}.cloudfront.net", "hostedZoneId": "Z2FDTNDATAQYW2"}


def _repository(id_: str, _inputs: Properties) -> dict[str, Any]:
    return {
        "arn": f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/{id_}",
        "repositoryUrl": f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/{id_}",
        "registryId": ACCOUNT,
    }


def _queue(id_: str, _inputs: Properties) -> dict[str, Any]:
    return {
        "arn": f"arn:aws:sqs:{REGION}:{ACCOUNT}:{id_}",
        "url": f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/{id_}",
    }


def _api_domain(id_: str, inputs: Properties) -> dict[str, Any]:
    region = inputs.get("region", REGION)
    return {
        "regionalDomainName": f"d-{digest(id_)[:10]}.execute-api.{region}.amazonaws.com",
        "regionalZoneId": "Z2OJLYMUO9EFXC",
    }


_MADE: Mapping[str, Callable[[str, Properties], dict[str, Any]]] = {
    "eks/cluster:Cluster": _cluster,
    "ec2/vpc:Vpc": lambda id_, _: {"defaultNetworkAclId": f"acl-{digest(id_)}"},
    "rds/instance:Instance": _database,
    "elasticache/replicationGroup:ReplicationGroup": _cache,
    "s3/bucket:Bucket": _bucket,
    "lb/loadBalancer:LoadBalancer": _balancer,
    "lb/targetGroup:TargetGroup": _target_group,
    "acm/certificate:Certificate": _certificate,
    "cloudfront/distribution:Distribution": _distribution,
    "ecr/repository:Repository": _repository,
    "sqs/queue:Queue": _queue,
    "apigateway/domainName:DomainName": _api_domain,
    "route53/record:Record": lambda _id, inputs: {"fqdn": str(inputs.get("name", "")).rstrip(".")},
    "kms/key:Key": lambda id_, _: {
        "keyId": id_,
        "arn": f"arn:aws:kms:{REGION}:{ACCOUNT}:key/{id_}",
    },
    "ec2/eip:Eip": lambda id_, _: {"allocationId": id_, "publicIp": "203.0.113.10"},
    "ec2/launchTemplate:LaunchTemplate": lambda _id, _: {"latestVersion": 1, "defaultVersion": 1},
    "iam/role:Role": lambda id_, _: {"arn": f"arn:aws:iam::{ACCOUNT}:role/{id_}", "uniqueId": id_},
    "cloudwatch/logGroup:LogGroup": lambda id_, _: {
        "arn": f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{id_}"
    },
    "sns/topic:Topic": lambda id_, _: {"arn": f"arn:aws:sns:{REGION}:{ACCOUNT}:{id_}"},
}
