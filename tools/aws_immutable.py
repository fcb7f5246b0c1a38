"""What AWS cannot change in a resource that is there: another value makes another resource.

What the Terraform provider under pulumi-aws 7.51 (hashicorp/terraform-provider-aws 6,
internal/service/*) marks `ForceNew` or `RequiresReplace`, for the types of the production stack.
EKS clusters and ElastiCache's replication groups were compared with its source, RDS instances with
that of an older release, the other rows with none. A type without a row is said to be updated in
place. The official plugin has the last word: `hearth preview --online`.
"""

from __future__ import annotations

from collections.abc import Mapping

NEVER_SET_ANEW = ("name", "namePrefix")
"""Immutable in most types that have it; `RENAMED` are those in which it is not."""

RENAMED = frozenset({"budgets/budget:Budget", "backup/plan:Plan", "ssm/document:Document"})

ALL = ("*",)
"""Every property but the tags."""

IMMUTABLE: Mapping[str, tuple[str, ...]] = {
    "acm/certificate:Certificate": (
        "domainName",
        "keyAlgorithm",
        "subjectAlternativeNames",
        "validationMethod",
    ),
    "acm/certificateValidation:CertificateValidation": ALL,
    "backup/selection:Selection": ALL,
    "backup/vault:Vault": ("kmsKeyArn",),
    "backup/vaultLockConfiguration:VaultLockConfiguration": ALL,
    "cloudwatch/logGroup:LogGroup": ("logGroupClass",),
    "ec2/eip:Eip": ("domain", "networkBorderGroup", "publicIpv4Pool"),
    "ec2/flowLog:FlowLog": ALL,
    "ec2/natGateway:NatGateway": ("allocationId", "connectivityType", "privateIp", "subnetId"),
    "ec2/route:Route": ("destinationCidrBlock", "destinationPrefixListId", "routeTableId"),
    "ec2/routeTable:RouteTable": ("vpcId",),
    "ec2/routeTableAssociation:RouteTableAssociation": ("gatewayId", "subnetId"),
    "ec2/securityGroup:SecurityGroup": ("description", "vpcId"),
    "ec2/subnet:Subnet": ("availabilityZone", "availabilityZoneId", "cidrBlock", "vpcId"),
    "ec2/vpc:Vpc": ("cidrBlock", "ipv4IpamPoolId"),
    "ec2/vpcEndpoint:VpcEndpoint": ("serviceName", "serviceRegion", "vpcEndpointType", "vpcId"),
    "ecr/lifecyclePolicy:LifecyclePolicy": ("repository",),
    "ecr/repository:Repository": ("encryptionConfigurations",),
    "eks/accessEntry:AccessEntry": ("clusterName", "principalArn", "type"),
    "eks/accessPolicyAssociation:AccessPolicyAssociation": ALL,
    "eks/addon:Addon": ("addonName", "clusterName"),
    # Neither its subnets nor its endpoints: those have been updated in place since 2024.
    "eks/cluster:Cluster": (
        "accessConfig.bootstrapClusterCreatorAdminPermissions",
        "bootstrapSelfManagedAddons",
        "encryptionConfig",  # its removal; another key is refused by AWS
        "kubernetesNetworkConfig.ipFamily",
        "kubernetesNetworkConfig.serviceIpv4Cidr",
        "remoteNetworkConfig",
        "roleArn",
    ),
    "eks/nodeGroup:NodeGroup": (
        "amiType",
        "capacityType",
        "clusterName",
        "diskSize",
        "instanceTypes",
        "launchTemplate.id",
        "launchTemplate.name",
        "nodeGroupName",
        "nodeRoleArn",
        "subnetIds",
    ),
    "eks/podIdentityAssociation:PodIdentityAssociation": (
        "clusterName",
        "namespace",
        "serviceAccount",
    ),
    "elasticache/parameterGroup:ParameterGroup": ("description", "family"),
    "elasticache/replicationGroup:ReplicationGroup": (
        "atRestEncryptionEnabled",
        "dataTieringEnabled",
        "engine",  # from Valkey back to Redis; the other way is an upgrade
        "kmsKeyId",
        "networkType",
        "port",
        "replicationGroupId",
        "snapshotName",
        "subnetGroupName",
    ),
    "iam/instanceProfile:InstanceProfile": ("path",),
    "iam/openIdConnectProvider:OpenIdConnectProvider": ("url",),
    "iam/policy:Policy": ("description", "path"),
    "iam/role:Role": ("path",),
    "iam/rolePolicy:RolePolicy": ("role",),
    "iam/rolePolicyAttachment:RolePolicyAttachment": ALL,
    "kms/key:Key": ("customerMasterKeySpec", "keyUsage", "multiRegion"),
    "lb/listener:Listener": ("loadBalancerArn",),
    "lb/loadBalancer:LoadBalancer": ("internal", "loadBalancerType"),
    "lb/targetGroup:TargetGroup": (
        "ipAddressType",
        "port",
        "protocol",
        "protocolVersion",
        "targetType",
        "vpcId",
    ),
    # Its identifier is not: RDS renames an instance.
    "rds/instance:Instance": (
        "availabilityZone",
        "dbName",
        "engine",
        "kmsKeyId",
        "snapshotIdentifier",
        "storageEncrypted",
        "timezone",
        "username",
    ),
    "rds/parameterGroup:ParameterGroup": ("description", "family"),
    "route53/record:Record": ("setIdentifier", "zoneId"),
    "s3/bucket:Bucket": ("bucket", "bucketPrefix", "objectLockEnabled"),
    "s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": ("bucket",),
    "s3/bucketLogging:BucketLogging": ("bucket",),
    "s3/bucketOwnershipControls:BucketOwnershipControls": ("bucket",),
    "s3/bucketPolicy:BucketPolicy": ("bucket",),
    "s3/bucketPublicAccessBlock:BucketPublicAccessBlock": ("bucket",),
    "s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": (
        "bucket",
    ),
    "s3/bucketVersioning:BucketVersioning": ("bucket",),
    "sns/topic:Topic": ("fifoTopic",),
    "sns/topicSubscription:TopicSubscription": ("endpoint", "protocol", "topic"),
    "sqs/queue:Queue": ("fifoQueue",),
    "vpc/securityGroupEgressRule:SecurityGroupEgressRule": ("securityGroupId",),
    "vpc/securityGroupIngressRule:SecurityGroupIngressRule": ("securityGroupId",),
    "wafv2/webAcl:WebAcl": ("scope",),
    "wafv2/webAclAssociation:WebAclAssociation": ALL,
}


def is_immutable(kind: str, path: str) -> bool:
    """Whether a change at this path makes another resource.

    Args:
        kind: the type without the package, `ec2/vpc:Vpc`.
        path: of the property, `accessConfig.authenticationMode`.
    """
    top = path.partition(".")[0].partition("[")[0]
    if top in NEVER_SET_ANEW:
        return kind not in RENAMED
    rows = IMMUTABLE.get(kind, ())
    if rows == ALL:
        return top != "tags"
    return any(path == row or path.startswith((f"{row}.", f"{row}[")) for row in rows)
