"""A stack as it is recorded, made through boto3 in an account of moto's.

Each type that the audit looks at is translated to the calls that AWS's own plugin would make.
`NOT_HELD` lists the types that are left out: moto does not know them, or no promise is about them.
EKS's answers are completed with what moto leaves out of them: access and deletion protection.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import boto3

from inventory.cloud.model import Environment
from policies.graph import Graph, Resource
from tools.aws_echo import REGION, made_outputs

NOT_HELD: Mapping[str, str] = {
    "moto does not know it": (
        "cloudfront/vpcOrigin backup/selection eks/accessEntry eks/accessPolicyAssociation "
        "eks/addon eks/podIdentityAssociation elasticache/parameterGroup "
        "cloudfront/responseHeadersPolicy cloudwatch/logDelivery cloudwatch/logDeliverySource "
        "cloudwatch/logDeliveryDestination"
    ),
    "no promise of the audit is about it": (
        "acm/certificateValidation apigateway/basePathMapping apigateway/deployment "
        "apigateway/domainName apigateway/methodSettings apigateway/restApi apigateway/stage "
        "backup/plan budgets/budget cloudwatch/eventRule cloudwatch/eventTarget "
        "cloudwatch/metricAlarm cloudwatch/logResourcePolicy cloudwatch/logSubscriptionFilter "
        "ec2/defaultNetworkAcl ec2/internetGateway ec2/networkAcl ec2/route ec2/routeTable "
        "ec2/routeTableAssociation ec2/vpcEndpoint ecr/lifecyclePolicy ecr/repositoryPolicy "
        "eks/nodeGroup elasticache/subnetGroup iam/openIdConnectProvider "
        "kinesis/firehoseDeliveryStream kms/alias lb/listenerRule lb/targetGroup "
        "route53/healthCheck route53/record s3/bucketLogging s3/bucketOwnershipControls "
        "secretsmanager/secretVersion sns/topicPolicy sns/topicSubscription sqs/queuePolicy "
        "vpc/securityGroupEgressRule wafv2/webAclLoggingConfiguration"
    ),
}
"""Types without their package, by the reason why they are not made."""


def not_held() -> set[str]:
    """The types of NOT_HELD."""
    return {name for names in NOT_HELD.values() for name in names.split()}


def short(type_: str) -> str:
    """`kms/key` of `aws:kms/key:Key`."""
    return type_.removeprefix("aws:").partition(":")[0]


@dataclass(slots=True)
class Deployed:
    """An account, with what stands for the recording's made-up ids there."""

    session: boto3.Session
    environment: Environment
    known: dict[str, str] = field(default_factory=dict)
    clusters: dict[str, dict[str, Any]] = field(default_factory=dict)

    def client(self, service: str) -> Any:
        """A client of the environment's region."""
        make: Any = self.session.client
        return make(service, region_name=REGION)

    @property
    def tag(self) -> list[dict[str, str]]:
        """What the stack's transform adds."""
        return [{"Key": "Environment", "Value": self.environment.name}]

    @property
    def tags(self) -> dict[str, str]:
        """The same as a map."""
        return {"Environment": self.environment.name}

    def of(self, kind: str) -> list[dict[str, Any]]:
        """EC2's form for tags at creation."""
        return [{"ResourceType": kind, "Tags": self.tag}]

    def real(self, value: Any) -> Any:
        """Inputs with the account's ids in place of those that were made up."""
        if isinstance(value, str) and self.known:
            pattern = "|".join(map(re.escape, sorted(self.known, key=len, reverse=True)))
            return re.sub(pattern, lambda match: self.known[match[0]], value)
        if isinstance(value, list):
            return [self.real(item) for item in value]
        if isinstance(value, Mapping):
            return {name: self.real(below) for name, below in value.items()}
        return int(value) if isinstance(value, float) else value


def deploy(graph: Graph, environment: Environment) -> Deployed:
    """Makes what moto can hold of a recording."""
    deployed = Deployed(boto3.Session(region_name=REGION), environment)
    deployed.session.events.register("after-call.eks.DescribeCluster", _not_echoed(deployed))
    for resource in graph.resources:
        make = MAKE.get(short(resource.type))
        if make is None:
            continue
        outputs = make(deployed, resource.name, deployed.real(dict(resource.properties)))
        _remember(deployed, resource, outputs or {})
    return deployed


def _remember(deployed: Deployed, resource: Resource, outputs: Mapping[str, str]) -> None:
    kind = resource.type.removeprefix("aws:")
    made = made_outputs(kind, resource.name, resource.name, resource.properties)
    for name, real in outputs.items():
        if isinstance(made.get(name), str) and made[name] != real:
            deployed.known[made[name]] = real


def _not_echoed(deployed: Deployed) -> Callable[..., None]:
    """What moto's EKS was told and does not tell."""

    def complete(parsed: dict[str, Any], **_: Any) -> None:
        if cluster := parsed.get("cluster"):
            asked = deployed.clusters[cluster["name"]]
            cluster["accessConfig"] = dict(asked["accessConfig"])
            cluster["deletionProtection"] = asked.get("deletionProtection", False)

    return complete


Inputs = dict[str, Any]
Outputs = dict[str, str] | None


def _vpc(on: Deployed, _name: str, given: Inputs) -> Outputs:
    made = on.client("ec2").create_vpc(CidrBlock=given["cidrBlock"], TagSpecifications=on.of("vpc"))
    return {"id": made["Vpc"]["VpcId"]}


def _subnet(on: Deployed, _name: str, given: Inputs) -> Outputs:
    made = on.client("ec2").create_subnet(
        VpcId=given["vpcId"],
        CidrBlock=given["cidrBlock"],
        AvailabilityZone=given["availabilityZone"],
        TagSpecifications=on.of("subnet"),
    )
    return {"id": made["Subnet"]["SubnetId"]}


def _address(on: Deployed, _name: str, _given: Inputs) -> Outputs:
    made = on.client("ec2").allocate_address(Domain="vpc", TagSpecifications=on.of("elastic-ip"))
    return {"id": made["AllocationId"], "allocationId": made["AllocationId"]}


def _nat(on: Deployed, _name: str, given: Inputs) -> Outputs:
    made = on.client("ec2").create_nat_gateway(
        SubnetId=given["subnetId"],
        AllocationId=given["allocationId"],
        TagSpecifications=on.of("natgateway"),
    )
    return {"id": made["NatGateway"]["NatGatewayId"]}


def _flow_log(on: Deployed, _name: str, given: Inputs) -> Outputs:
    made = on.client("ec2").create_flow_logs(
        ResourceIds=[given["vpcId"]],
        ResourceType="VPC",
        TrafficType=given["trafficType"],
        LogDestinationType="cloud-watch-logs",
        LogGroupName=given["logDestination"].rpartition(":")[2],
        DeliverLogsPermissionArn=given["iamRoleArn"],
        TagSpecifications=on.of("vpc-flow-log"),
    )
    assert made["Unsuccessful"] == []
    return {"id": made["FlowLogIds"][0]}


def _default_group(on: Deployed, _name: str, given: Inputs) -> Outputs:
    ec2 = on.client("ec2")
    (group,) = ec2.describe_security_groups(
        Filters=[
            {"Name": "vpc-id", "Values": [given["vpcId"]]},
            {"Name": "group-name", "Values": ["default"]},
        ]
    )["SecurityGroups"]
    ec2.revoke_security_group_egress(
        GroupId=group["GroupId"], IpPermissions=group["IpPermissionsEgress"]
    )
    return {"id": group["GroupId"]}


def _group(on: Deployed, name: str, given: Inputs) -> Outputs:
    made = on.client("ec2").create_security_group(
        GroupName=name,
        Description=given["description"],
        VpcId=given["vpcId"],
        TagSpecifications=on.of("security-group"),
    )
    return {"id": made["GroupId"]}


def _ingress(on: Deployed, _name: str, given: Inputs) -> Outputs:
    rule: Inputs = {"IpProtocol": given["ipProtocol"]}
    if "fromPort" in given:
        rule |= {"FromPort": given["fromPort"], "ToPort": given["toPort"]}
    if "cidrIpv4" in given:
        rule["IpRanges"] = [{"CidrIp": given["cidrIpv4"]}]
    group = given["securityGroupId"]
    if group not in on.known.values():
        return None  # EKS's own group, which moto does not make
    on.client("ec2").authorize_security_group_ingress(GroupId=group, IpPermissions=[rule])
    return None


def _template(on: Deployed, name: str, given: Inputs) -> Outputs:
    options = given["metadataOptions"]
    made = on.client("ec2").create_launch_template(
        LaunchTemplateName=name,
        LaunchTemplateData={
            "MetadataOptions": {
                "HttpTokens": options["httpTokens"],
                "HttpPutResponseHopLimit": options["httpPutResponseHopLimit"],
            }
        },
        TagSpecifications=on.of("launch-template"),
    )
    return {"id": made["LaunchTemplate"]["LaunchTemplateId"]}


def _key(on: Deployed, _name: str, given: Inputs) -> Outputs:
    kms = on.client("kms")
    tags = [{"TagKey": tag["Key"], "TagValue": tag["Value"]} for tag in on.tag]
    made = kms.create_key(Policy=given["policy"], Tags=tags)["KeyMetadata"]
    if given["enableKeyRotation"]:
        kms.enable_key_rotation(KeyId=made["KeyId"])
    return {"id": made["KeyId"], "keyId": made["KeyId"], "arn": made["Arn"]}


def _log_group(on: Deployed, name: str, given: Inputs) -> Outputs:
    logs, group = on.client("logs"), given.get("name", name)
    logs.create_log_group(logGroupName=group, kmsKeyId=given["kmsKeyId"], tags=on.tags)
    logs.put_retention_policy(logGroupName=group, retentionInDays=given["retentionInDays"])
    return {"id": group, "name": group}


def _role(on: Deployed, name: str, given: Inputs) -> Outputs:
    made = on.client("iam").create_role(
        RoleName=given.get("name", name)[:64],
        AssumeRolePolicyDocument=given["assumeRolePolicy"],
        Tags=on.tag,
    )["Role"]
    return {"id": made["RoleName"], "name": made["RoleName"], "arn": made["Arn"]}


def _role_policy(on: Deployed, name: str, given: Inputs) -> Outputs:
    on.client("iam").put_role_policy(
        RoleName=given["role"], PolicyName=name, PolicyDocument=given["policy"]
    )
    return None


def _managed_policy(on: Deployed, name: str, given: Inputs) -> Outputs:
    made = on.client("iam").create_policy(
        PolicyName=name, PolicyDocument=given["policy"], Tags=on.tag
    )["Policy"]
    return {"id": made["Arn"], "arn": made["Arn"]}


def _attachment(on: Deployed, _name: str, given: Inputs) -> Outputs:
    on.client("iam").attach_role_policy(RoleName=given["role"], PolicyArn=given["policyArn"])
    return None


def _cluster(on: Deployed, _name: str, given: Inputs) -> Outputs:
    vpc, encryption = given["vpcConfig"], given["encryptionConfig"]
    on.clusters[given["name"]] = given
    made = on.client("eks").create_cluster(
        name=given["name"],
        version=given["version"],
        roleArn=given["roleArn"],
        resourcesVpcConfig={
            "subnetIds": vpc["subnetIds"],
            "endpointPublicAccess": vpc["endpointPublicAccess"],
            "endpointPrivateAccess": vpc["endpointPrivateAccess"],
        },
        logging={"clusterLogging": [{"types": given["enabledClusterLogTypes"], "enabled": True}]},
        encryptionConfig=[
            {
                "resources": encryption["resources"],
                "provider": {"keyArn": encryption["provider"]["keyArn"]},
            }
        ],
        tags=on.tags,
    )
    return {"arn": made["cluster"]["arn"]}


def _parameters(on: Deployed, name: str, given: Inputs) -> Outputs:
    rds = on.client("rds")
    rds.create_db_parameter_group(
        DBParameterGroupName=name, DBParameterGroupFamily=given["family"], Description=name
    )
    rds.modify_db_parameter_group(
        DBParameterGroupName=name,
        Parameters=[
            {
                "ParameterName": one["name"],
                "ParameterValue": one["value"],
                "ApplyMethod": one["applyMethod"],
            }
            for one in given["parameters"]
        ],
    )
    return {"id": name, "name": name}


def _subnets(on: Deployed, name: str, given: Inputs) -> Outputs:
    on.client("rds").create_db_subnet_group(
        DBSubnetGroupName=name, DBSubnetGroupDescription=name, SubnetIds=given["subnetIds"]
    )
    return {"id": name, "name": name}


def _database(on: Deployed, _name: str, given: Inputs) -> Outputs:
    on.client("rds").create_db_instance(
        DBInstanceIdentifier=given["identifier"],
        DBInstanceClass=given["instanceClass"],
        Engine=given["engine"],
        EngineVersion=given["engineVersion"],
        AllocatedStorage=given["allocatedStorage"],
        MasterUsername=given["username"],
        ManageMasterUserPassword=given["manageMasterUserPassword"],
        MultiAZ=given["multiAz"],
        StorageEncrypted=given["storageEncrypted"],
        KmsKeyId=given["kmsKeyId"],
        DeletionProtection=given["deletionProtection"],
        BackupRetentionPeriod=given["backupRetentionPeriod"],
        EnableIAMDatabaseAuthentication=given["iamDatabaseAuthenticationEnabled"],
        PubliclyAccessible=given["publiclyAccessible"],
        DBParameterGroupName=given["parameterGroupName"],
        DBSubnetGroupName=given["dbSubnetGroupName"],
        Tags=on.tag,
    )
    return None


def _cache(on: Deployed, name: str, given: Inputs) -> Outputs:
    on.client("elasticache").create_replication_group(
        ReplicationGroupId=name,
        ReplicationGroupDescription=given["description"],
        Engine=given["engine"],
        CacheNodeType=given["nodeType"],
        NumCacheClusters=given["numCacheClusters"],
        AutomaticFailoverEnabled=given["automaticFailoverEnabled"],
        MultiAZEnabled=given["multiAzEnabled"],
        AtRestEncryptionEnabled=given["atRestEncryptionEnabled"],
        TransitEncryptionEnabled=given["transitEncryptionEnabled"],
        SnapshotRetentionLimit=given["snapshotRetentionLimit"],
        AuthToken=given["authToken"],
        KmsKeyId=given["kmsKeyId"],
        Tags=on.tag,
    )
    return None


def _bucket(on: Deployed, name: str, _given: Inputs) -> Outputs:
    s3 = on.client("s3")
    s3.create_bucket(Bucket=name)
    s3.put_bucket_tagging(Bucket=name, Tagging={"TagSet": on.tag})
    return {"id": name, "bucket": name, "arn": f"arn:aws:s3:::{name}"}


def _block(on: Deployed, _name: str, given: Inputs) -> Outputs:
    names = ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
    on.client("s3").put_public_access_block(
        Bucket=given["bucket"],
        PublicAccessBlockConfiguration={f"{n[0].upper()}{n[1:]}": given[n] for n in names},
    )
    return None


def _bucket_policy(on: Deployed, _name: str, given: Inputs) -> Outputs:
    on.client("s3").put_bucket_policy(Bucket=given["bucket"], Policy=given["policy"])
    return {"bucket": given["bucket"]}


def _bucket_encryption(on: Deployed, _name: str, given: Inputs) -> Outputs:
    default = given["rules"][0]["applyServerSideEncryptionByDefault"]
    rule = {"SSEAlgorithm": default["sseAlgorithm"]}
    if "kmsMasterKeyId" in default:
        rule["KMSMasterKeyID"] = default["kmsMasterKeyId"]
    on.client("s3").put_bucket_encryption(
        Bucket=given["bucket"],
        ServerSideEncryptionConfiguration={"Rules": [{"ApplyServerSideEncryptionByDefault": rule}]},
    )
    return None


def _bucket_versions(on: Deployed, _name: str, given: Inputs) -> Outputs:
    on.client("s3").put_bucket_versioning(
        Bucket=given["bucket"],
        VersioningConfiguration={"Status": given["versioningConfiguration"]["status"]},
    )
    return None


def _bucket_life(on: Deployed, _name: str, given: Inputs) -> Outputs:
    (rule,) = given["rules"]
    days = rule["noncurrentVersionExpiration"]["noncurrentDays"]
    on.client("s3").put_bucket_lifecycle_configuration(
        Bucket=given["bucket"],
        LifecycleConfiguration={
            "Rules": [
                {
                    "ID": rule["id"],
                    "Status": rule["status"],
                    "Filter": {"Prefix": ""},
                    "NoncurrentVersionExpiration": {"NoncurrentDays": days},
                }
            ]
        },
    )
    return None


def _vault(on: Deployed, name: str, given: Inputs) -> Outputs:
    on.client("backup").create_backup_vault(
        BackupVaultName=name, EncryptionKeyArn=given["kmsKeyArn"], BackupVaultTags=on.tags
    )
    return {"id": name, "name": name}


def _vault_lock(on: Deployed, _name: str, given: Inputs) -> Outputs:
    on.client("backup").put_backup_vault_lock_configuration(
        BackupVaultName=given["backupVaultName"], MinRetentionDays=given["minRetentionDays"]
    )
    return None


def _repository(on: Deployed, _name: str, given: Inputs) -> Outputs:
    (encryption,) = given["encryptionConfigurations"]
    on.client("ecr").create_repository(
        repositoryName=given["name"],
        imageTagMutability=given["imageTagMutability"],
        imageScanningConfiguration={
            "scanOnPush": given["imageScanningConfiguration"]["scanOnPush"]
        },
        encryptionConfiguration={
            "encryptionType": encryption["encryptionType"],
            "kmsKey": encryption["kmsKey"],
        },
        tags=on.tag,
    )
    return None


def _topic(on: Deployed, name: str, given: Inputs) -> Outputs:
    made = on.client("sns").create_topic(
        Name=name, Attributes={"KmsMasterKeyId": given["kmsMasterKeyId"]}, Tags=on.tag
    )
    return {"id": made["TopicArn"], "arn": made["TopicArn"]}


def _queue(on: Deployed, name: str, given: Inputs) -> Outputs:
    managed = str(given["sqsManagedSseEnabled"]).lower()
    made = on.client("sqs").create_queue(
        QueueName=name, Attributes={"SqsManagedSseEnabled": managed}, tags=on.tags
    )
    return {"id": made["QueueUrl"], "url": made["QueueUrl"]}


def _secret(on: Deployed, name: str, given: Inputs) -> Outputs:
    made = on.client("secretsmanager").create_secret(
        Name=name, KmsKeyId=given["kmsKeyId"], Tags=on.tag
    )
    return {"id": made["ARN"], "arn": made["ARN"]}


def _certificate(on: Deployed, _name: str, given: Inputs) -> Outputs:
    made = on.client("acm").request_certificate(DomainName=given["domainName"], Tags=on.tag)
    return {"id": made["CertificateArn"], "arn": made["CertificateArn"]}


def _balancer(on: Deployed, name: str, given: Inputs) -> Outputs:
    elb = on.client("elbv2")
    (made,) = elb.create_load_balancer(
        Name=name,
        Subnets=given["subnets"],
        SecurityGroups=given["securityGroups"],
        Scheme="internal" if given["internal"] else "internet-facing",
        Tags=on.tag,
    )["LoadBalancers"]
    attributes = {
        "deletion_protection.enabled": given["enableDeletionProtection"],
        "routing.http.drop_invalid_header_fields.enabled": given["dropInvalidHeaderFields"],
        "access_logs.s3.enabled": given["accessLogs"]["enabled"],
        "access_logs.s3.bucket": given["accessLogs"]["bucket"],
    }
    elb.modify_load_balancer_attributes(
        LoadBalancerArn=made["LoadBalancerArn"],
        Attributes=[
            {"Key": key, "Value": json.dumps(value) if isinstance(value, bool) else value}
            for key, value in attributes.items()
        ],
    )
    return {"arn": made["LoadBalancerArn"]}


def _listener(on: Deployed, _name: str, given: Inputs) -> Outputs:
    fixed = given["defaultActions"][0]["fixedResponse"]
    on.client("elbv2").create_listener(
        LoadBalancerArn=given["loadBalancerArn"],
        Protocol=given["protocol"],
        Port=given["port"],
        SslPolicy=given["sslPolicy"],
        Certificates=[{"CertificateArn": given["certificateArn"]}],
        DefaultActions=[
            {
                "Type": "fixed-response",
                "FixedResponseConfig": {"StatusCode": fixed["statusCode"]},
            }
        ],
    )
    return None


def _firewall(on: Deployed, name: str, given: Inputs) -> Outputs:
    made = on.client("wafv2").create_web_acl(
        Name=name,
        Scope=given["scope"],
        DefaultAction={"Allow": {}},
        VisibilityConfig={
            "SampledRequestsEnabled": True,
            "CloudWatchMetricsEnabled": True,
            "MetricName": name,
        },
        Tags=on.tag,
    )["Summary"]
    return {"arn": made["ARN"]}


def _distribution(on: Deployed, name: str, given: Inputs) -> Outputs:
    behavior, viewer = given["defaultCacheBehavior"], given["viewerCertificate"]
    (origin,) = given["origins"]
    on.client("cloudfront").create_distribution_with_tags(
        DistributionConfigWithTags={
            "Tags": {"Items": on.tag},
            "DistributionConfig": {
                "CallerReference": name,
                "Comment": given["comment"],
                "Enabled": given["enabled"],
                "WebACLId": given["webAclId"],
                "Origins": {
                    "Quantity": 1,
                    "Items": [
                        {
                            "Id": origin["originId"],
                            "DomainName": origin["domainName"],
                            "CustomOriginConfig": {
                                "HTTPPort": 80,
                                "HTTPSPort": 443,
                                "OriginProtocolPolicy": "https-only",
                            },
                        }
                    ],
                },
                "DefaultCacheBehavior": {
                    "TargetOriginId": behavior["targetOriginId"],
                    "ViewerProtocolPolicy": behavior["viewerProtocolPolicy"],
                },
                "ViewerCertificate": {
                    "ACMCertificateArn": viewer["acmCertificateArn"],
                    "MinimumProtocolVersion": viewer["minimumProtocolVersion"],
                    "SSLSupportMethod": viewer["sslSupportMethod"],
                },
            },
        }
    )
    return None


MAKE: Mapping[str, Callable[[Deployed, str, Inputs], Outputs]] = {
    "ec2/vpc": _vpc,
    "ec2/subnet": _subnet,
    "ec2/eip": _address,
    "ec2/natGateway": _nat,
    "ec2/flowLog": _flow_log,
    "ec2/defaultSecurityGroup": _default_group,
    "ec2/securityGroup": _group,
    "vpc/securityGroupIngressRule": _ingress,
    "ec2/launchTemplate": _template,
    "kms/key": _key,
    "cloudwatch/logGroup": _log_group,
    "iam/role": _role,
    "iam/rolePolicy": _role_policy,
    "iam/policy": _managed_policy,
    "iam/rolePolicyAttachment": _attachment,
    "eks/cluster": _cluster,
    "rds/parameterGroup": _parameters,
    "rds/subnetGroup": _subnets,
    "rds/instance": _database,
    "elasticache/replicationGroup": _cache,
    "s3/bucket": _bucket,
    "s3/bucketPublicAccessBlock": _block,
    "s3/bucketPolicy": _bucket_policy,
    "s3/bucketServerSideEncryptionConfiguration": _bucket_encryption,
    "s3/bucketVersioning": _bucket_versions,
    "s3/bucketLifecycleConfiguration": _bucket_life,
    "backup/vault": _vault,
    "backup/vaultLockConfiguration": _vault_lock,
    "ecr/repository": _repository,
    "sns/topic": _topic,
    "sqs/queue": _queue,
    "secretsmanager/secret": _secret,
    "acm/certificate": _certificate,
    "lb/loadBalancer": _balancer,
    "lb/listener": _listener,
    "wafv2/webAcl": _firewall,
    "cloudfront/distribution": _distribution,
}
