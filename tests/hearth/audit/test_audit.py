"""A sound account passes, each broken promise is found, what cannot be seen is no pass."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import botocore.client
import pytest
from botocore.exceptions import ClientError

from hearth.audit.look import Look
from hearth.audit.run import JUDGES, Audit, audit
from tests.hearth.audit.deployed import MAKE, Deployed, not_held, short
from tests.policies.stack import graph_of


def looked(account: Deployed) -> Audit:
    """The audit of an account."""
    return audit(account.session, account.environment, lambda _: None)


def test_a_sound_account_passes(account: Deployed) -> None:
    found = looked(account)
    assert found.findings == ()
    assert found.exit_code == 0
    assert found.summary.endswith("0 broken, 0 not judged")


def test_every_type_is_translated_or_said_to_be_left_out() -> None:
    types = {short(r.type) for r in graph_of("production").resources if r.type.startswith("aws:")}
    assert types - MAKE.keys() == not_held()


def _open_group(account: Deployed) -> str:
    ec2 = account.client("ec2")
    tag = {"Name": "tag:Environment", "Values": ["production"]}
    (vpc,) = ec2.describe_vpcs(Filters=[tag])["Vpcs"]
    group = ec2.create_security_group(GroupName="by-hand", Description="x", VpcId=vpc["VpcId"])
    ec2.authorize_security_group_ingress(
        GroupId=group["GroupId"], IpProtocol="tcp", FromPort=22, ToPort=22, CidrIp="0.0.0.0/0"
    )
    return str(group["GroupId"])


def _rule_in_default_group(account: Deployed) -> str:
    ec2 = account.client("ec2")
    group = next(
        group["GroupId"]
        for group in ec2.describe_security_groups()["SecurityGroups"]
        if group["GroupName"] == "default" and not group["IpPermissionsEgress"]
    )
    ec2.authorize_security_group_ingress(
        GroupId=group, IpProtocol="tcp", FromPort=5432, ToPort=5432, CidrIp="10.20.0.0/16"
    )
    return str(group)


def _public_subnet(account: Deployed) -> str:
    ec2 = account.client("ec2")
    tag = {"Name": "tag:Environment", "Values": ["production"]}
    subnet = ec2.describe_subnets(Filters=[tag])["Subnets"][0]["SubnetId"]
    ec2.modify_subnet_attribute(SubnetId=subnet, MapPublicIpOnLaunch={"Value": True})
    return str(subnet)


def _no_flow_log(account: Deployed) -> str:
    ec2 = account.client("ec2")
    (log,) = ec2.describe_flow_logs()["FlowLogs"]
    ec2.delete_flow_logs(FlowLogIds=[log["FlowLogId"]])
    return str(log["ResourceId"])


def _lost_gateway(account: Deployed) -> str:
    ec2 = account.client("ec2")
    gateway = ec2.describe_nat_gateways()["NatGateways"][0]
    ec2.delete_nat_gateway(NatGatewayId=gateway["NatGatewayId"])
    return str(gateway["VpcId"])


def _metadata_for_containers(account: Deployed) -> str:
    ec2 = account.client("ec2")
    template = ec2.describe_launch_templates()["LaunchTemplates"][0]
    ec2.create_launch_template_version(
        LaunchTemplateId=template["LaunchTemplateId"],
        LaunchTemplateData={
            "MetadataOptions": {"HttpTokens": "required", "HttpPutResponseHopLimit": 2}
        },
    )
    return str(template["LaunchTemplateName"])


def _cluster(change: dict[str, Any]) -> Callable[[Deployed], str]:
    def changed(account: Deployed) -> str:
        account.client("eks").update_cluster_config(name="hearth-production", **change)
        return "hearth-production"

    return changed


def _cluster_by_config_map(account: Deployed) -> str:
    mode = account.clusters["hearth-production"]["accessConfig"]
    mode["authenticationMode"] = "API_AND_CONFIG_MAP"
    return "hearth-production"


def _cluster_unprotected(account: Deployed) -> str:
    account.clusters["hearth-production"]["deletionProtection"] = False
    return "hearth-production"


def _database(**change: Any) -> Callable[[Deployed], str]:
    def changed(account: Deployed) -> str:
        account.client("rds").modify_db_instance(
            DBInstanceIdentifier="production-database", **change
        )
        return "production-database"

    return changed


def _database_without_tls(account: Deployed) -> str:
    account.client("rds").modify_db_parameter_group(
        DBParameterGroupName="production-database-parameters",
        Parameters=[
            {
                "ParameterName": "rds.force_ssl",
                "ParameterValue": "0",
                "ApplyMethod": "immediate",
            }
        ],
    )
    return "production-database"


def _cache(kind: str, **change: Any) -> Callable[[Deployed], str]:
    """Moto changes no replication group: a second one that is made otherwise."""

    def made(account: Deployed) -> str:
        given: dict[str, Any] = {
            "ReplicationGroupId": f"second-{kind}",
            "ReplicationGroupDescription": "made by hand",
            "Engine": "valkey",
            "CacheNodeType": "cache.t4g.small",
            "NumCacheClusters": 2,
            "AutomaticFailoverEnabled": True,
            "MultiAZEnabled": True,
            "AtRestEncryptionEnabled": True,
            "TransitEncryptionEnabled": True,
            "SnapshotRetentionLimit": 7,
            "AuthToken": "sixteen-characters",
            "Tags": account.tag,
        }
        account.client("elasticache").create_replication_group(**(given | change))
        return f"second-{kind}"

    return made


def _bucket(call: str, **given: Any) -> Callable[[Deployed], str]:
    def changed(account: Deployed) -> str:
        getattr(account.client("s3"), call)(Bucket="production-storage-logs", **given)
        return "production-storage-logs"

    return changed


def _unlocked_vault(account: Deployed) -> str:
    account.client("backup").create_backup_vault(
        BackupVaultName="second", BackupVaultTags=account.tags
    )
    return "second"


def _key_without_rotation(account: Deployed) -> str:
    kms = account.client("kms")
    tags = [{"TagKey": "Environment", "TagValue": "production"}]
    return str(kms.create_key(Tags=tags)["KeyMetadata"]["KeyId"])


def _logs_for_ever(account: Deployed) -> str:
    account.client("logs").delete_retention_policy(logGroupName="production-network-flow-logs")
    return "production-network-flow-logs"


def _movable_tags(account: Deployed) -> str:
    account.client("ecr").put_image_tag_mutability(
        repositoryName="production/api", imageTagMutability="MUTABLE"
    )
    return "production/api"


def _unscanned_images(account: Deployed) -> str:
    account.client("ecr").put_image_scanning_configuration(
        repositoryName="production/ollama", imageScanningConfiguration={"scanOnPush": False}
    )
    return "production/ollama"


def _plain_topic(account: Deployed) -> str:
    account.client("sns").create_topic(Name="second", Tags=account.tag)
    return "second"


def _distribution(**change: Any) -> Callable[[Deployed], str]:
    def changed(account: Deployed) -> str:
        client = account.client("cloudfront")
        (one,) = client.list_distributions()["DistributionList"]["Items"]
        found = client.get_distribution_config(Id=one["Id"])
        config = found["DistributionConfig"]
        config |= {
            key: {**config[key], **new} if isinstance(new, dict) else new
            for key, new in change.items()
        }
        client.update_distribution(Id=one["Id"], IfMatch=found["ETag"], DistributionConfig=config)
        return str(one["Id"])

    return changed


def _balancer(key: str, value: str) -> Callable[[Deployed], str]:
    def changed(account: Deployed) -> str:
        client = account.client("elbv2")
        (one,) = client.describe_load_balancers()["LoadBalancers"]
        client.modify_load_balancer_attributes(
            LoadBalancerArn=one["LoadBalancerArn"], Attributes=[{"Key": key, "Value": value}]
        )
        return str(one["LoadBalancerName"])

    return changed


def _old_tls(account: Deployed) -> str:
    client = account.client("elbv2")
    (one,) = client.describe_load_balancers()["LoadBalancers"]
    (listener,) = client.describe_listeners(LoadBalancerArn=one["LoadBalancerArn"])["Listeners"]
    client.modify_listener(
        ListenerArn=listener["ListenerArn"], SslPolicy="ELBSecurityPolicy-2016-08"
    )
    return str(one["LoadBalancerName"])


def _role(document: dict[str, Any], trust: dict[str, Any], name: str) -> Callable[[Deployed], str]:
    def made(account: Deployed) -> str:
        iam = account.client("iam")
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust), Tags=account.tag)
        iam.put_role_policy(RoleName=name, PolicyName="own", PolicyDocument=json.dumps(document))
        return name

    return made


def _allow(**statement: Any) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **statement}]}


PODS = _allow(Principal={"Service": "pods.eks.amazonaws.com"}, Action="sts:AssumeRole")
NAMED = _allow(Action="s3:GetObject", Resource="arn:aws:s3:::one/*")

BREAKS: list[tuple[str, str, Callable[[Deployed], str]]] = [
    ("security groups", "open security group", _open_group),
    ("network", "default security group", _rule_in_default_group),
    ("network", "public addresses", _public_subnet),
    ("network", "flow logs", _no_flow_log),
    ("network", "NAT gateways", _lost_gateway),
    ("launch templates", "instance metadata", _metadata_for_containers),
    (
        "cluster",
        "API endpoint",
        _cluster(
            {
                "resourcesVpcConfig": {
                    "endpointPublicAccess": True,
                    "endpointPrivateAccess": True,
                    "publicAccessCidrs": ["0.0.0.0/0"],
                }
            }
        ),
    ),
    (
        "cluster",
        "control plane logs",
        _cluster({"logging": {"clusterLogging": [{"types": ["api"], "enabled": True}]}}),
    ),
    ("cluster", "authentication", _cluster_by_config_map),
    ("cluster", "deletion protection", _cluster_unprotected),
    ("database", "multi-AZ", _database(MultiAZ=False)),
    ("database", "backups", _database(BackupRetentionPeriod=1)),
    ("database", "deletion protection", _database(DeletionProtection=False)),
    ("database", "public access", _database(PubliclyAccessible=True)),
    ("database", "IAM authentication", _database(EnableIAMDatabaseAuthentication=False)),
    ("database", "TLS", _database_without_tls),
    ("cache", "multi-AZ", _cache("zone", MultiAZEnabled=False)),
    ("cache", "encryption at rest", _cache("rest", AtRestEncryptionEnabled=False)),
    ("cache", "encryption in transit", _cache("transit", TransitEncryptionEnabled=False)),
    ("cache", "backups", _cache("backups", SnapshotRetentionLimit=1)),
    ("buckets", "public access", _bucket("delete_public_access_block")),
    ("buckets", "TLS", _bucket("delete_bucket_policy")),
    ("buckets", "encryption", _bucket("delete_bucket_encryption")),
    ("buckets", "life cycle", _bucket("delete_bucket_lifecycle")),
    (
        "buckets",
        "versions",
        _bucket("put_bucket_versioning", VersioningConfiguration={"Status": "Suspended"}),
    ),
    ("backup vault", "vault lock", _unlocked_vault),
    ("keys", "key rotation", _key_without_rotation),
    ("log groups", "log retention", _logs_for_ever),
    ("image repositories", "image tags", _movable_tags),
    ("image repositories", "image scanning", _unscanned_images),
    ("messages", "encryption", _plain_topic),
    ("CloudFront", "firewall", _distribution(WebACLId="")),
    (
        "CloudFront",
        "TLS",
        _distribution(ViewerCertificate={"MinimumProtocolVersion": "TLSv1.1_2016"}),
    ),
    ("load balancer", "deletion protection", _balancer("deletion_protection.enabled", "false")),
    ("load balancer", "access logs", _balancer("access_logs.s3.enabled", "false")),
    (
        "load balancer",
        "invalid headers",
        _balancer("routing.http.drop_invalid_header_fields.enabled", "false"),
    ),
    ("load balancer", "TLS", _old_tls),
    ("identities", "IAM wildcards", _role(_allow(Action="s3:*", Resource="*"), PODS, "wide")),
    (
        "identities",
        "trust",
        _role(NAMED, _allow(Principal={"AWS": "*"}, Action="sts:AssumeRole"), "anybodys"),
    ),
]
"""What is judged, the promise, and what breaks it; it returns the resource's name."""


@pytest.mark.parametrize(
    ("judge", "subject", "broken"), BREAKS, ids=[f"{judge}: {s}" for judge, s, _ in BREAKS]
)
def test_a_broken_promise_is_found(
    account: Deployed, judge: str, subject: str, broken: Callable[[Deployed], str]
) -> None:
    def findings() -> set[tuple[str, str, str]]:
        look = Look(account.session, account.environment)
        JUDGES[judge](look)
        return {(found.resource, found.subject, found.level) for found in look.findings}

    before = findings()
    resource = broken(account)
    assert findings() - before == {(resource, subject, "error")}


def test_what_may_not_be_read_is_not_judged_and_no_pass(
    account: Deployed, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = botocore.client.BaseClient._make_api_call  # type: ignore[attr-defined]

    def refuse(self: Any, operation: str, given: dict[str, Any]) -> Any:
        if operation == "DescribeDBInstances":
            raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, operation)
        return asked(self, operation, given)

    monkeypatch.setattr(botocore.client.BaseClient, "_make_api_call", refuse)
    (unjudged,) = [one for one in looked(account).findings if one.level == "unjudged"]
    assert (unjudged.subject, unjudged.what) == ("database", "could not be judged")
    assert unjudged.remedy.startswith("allow DescribeDBInstances, which ReadOnlyAccess has")
    assert Audit("production", (unjudged,), 1, 1).exit_code == 2
