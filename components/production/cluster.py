"""The Kubernetes cluster on EKS: its API, who may use it, its addons, its nodes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pulumi
import pulumi_aws as aws

from components.production.iam import (
    allow,
    attach_managed,
    document,
    pod_trust,
    service_trust,
    use_key_for_volumes,
)
from components.production.karpenter import Karpenter, KarpenterArgs
from components.production.nodes import Nodes, NodesArgs
from inventory.cloud.model import Cluster as Settings

ACCESS_POLICY = "arn:aws:eks::aws:cluster-access-policy"
ACCESS: Mapping[str, str] = {"admin": "AmazonEKSClusterAdminPolicy", "view": "AmazonEKSViewPolicy"}
"""What an administrator's policy is called at EKS; who may view sees no secrets."""
CONTROL_PLANE_ZONES = 2
"""EKS asks for two at least. More would make `network.zones` a change of the cluster itself."""


@dataclass(frozen=True, slots=True)
class PodIdentity:
    """The identity of an addon's pods.

    Attributes:
        service_account: in `kube-system`.
        policy: Amazon's, below `policy/`.
        encrypts: whether they make volumes with the cluster's key.
    """

    service_account: str
    policy: str
    encrypts: bool = False


@dataclass(frozen=True, slots=True)
class Addon:
    """An addon that EKS installs and mends.

    Attributes:
        name: EKS' own.
        identity: of its pods, where they ask AWS for something.
        configuration: as its schema has it (`aws eks describe-addon-configuration`).
    """

    name: str
    identity: PodIdentity | None = None
    configuration: Mapping[str, object] | None = None


FIRST = (
    Addon("eks-pod-identity-agent"),
    Addon("kube-proxy"),
    Addon(
        "vpc-cni",
        PodIdentity("aws-node", "AmazonEKS_CNI_Policy"),
        {"enableNetworkPolicy": "true"},
    ),
)
"""Without these no node becomes ready: they are there before the nodes are."""
AFTER_NODES = (
    Addon("coredns"),
    Addon(
        "aws-ebs-csi-driver",
        PodIdentity(
            "ebs-csi-controller-sa", "service-role/AmazonEBSCSIDriverPolicy", encrypts=True
        ),
    ),
    Addon("metrics-server"),
)
"""These are pods like others: without nodes they would stay degraded, and the deployment wait."""


@dataclass(frozen=True, slots=True)
class ClusterArgs:
    """What the cluster needs.

    Attributes:
        settings: of the environment.
        cluster_name: by which people, pipelines and subnets' tags know it; another makes another.
        subnet_ids: private ones, in at least two zones.
        key_arn: of the key that encrypts Kubernetes' secrets and the nodes' disks.
        log_key_arn: of the key that encrypts its logs.
        account: number of the account.
        region: of AWS.
        protected: whether the engine and EKS refuse to delete it.
        node_tags: of instances and volumes, which inherit none.
    """

    settings: Settings
    cluster_name: str
    subnet_ids: pulumi.Input[Sequence[str]]
    key_arn: pulumi.Input[str]
    log_key_arn: pulumi.Input[str]
    account: pulumi.Input[str]
    region: pulumi.Input[str]
    protected: bool = True
    node_tags: Mapping[str, str] = field(default_factory=dict)


class Cluster(pulumi.ComponentResource):
    """An EKS cluster whose API is private, or open to the networks of `public_from` alone.

    Replaced, and with it everything that runs there, only where its name, region, account or VPC
    is another; a new encryption key, too, which EKS never exchanges.

    Attributes:
        name: of the cluster.
        arn: of the cluster.
        endpoint: of its API, https.
        certificate_authority: of its API, in base64.
        security_group_id: that nodes and pods have.
        node_role_arn: of the role of nodes that Karpenter starts.
        node_role_name: the same role's.
        interruption_queue_name: that Karpenter reads.
        node_pools: a NodePool and its EC2NodeClass, as YAML documents.
    """

    name: pulumi.Output[str]
    arn: pulumi.Output[str]
    endpoint: pulumi.Output[str]
    certificate_authority: pulumi.Output[str]
    security_group_id: pulumi.Output[str]
    node_role_arn: pulumi.Output[str]
    node_role_name: pulumi.Output[str]
    interruption_queue_name: pulumi.Output[str]
    node_pools: pulumi.Output[str]

    def __init__(
        self, name: str, args: ClusterArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("hearth:production:Cluster", name, None, opts)
        self._prefix = name
        self._args = args
        self._opts = pulumi.ResourceOptions(parent=self)
        cluster = self._cluster()
        self.name = cluster.name
        self.arn = cluster.arn
        self.endpoint = cluster.endpoint
        self.certificate_authority = cluster.certificate_authority.data
        self.security_group_id = cluster.vpc_config.cluster_security_group_id
        self._administrators()
        first = [self._addon(addon, []) for addon in FIRST]
        nodes = self._nodes(first)
        for addon in AFTER_NODES:
            self._addon(addon, [nodes.system])
        karpenter = self._karpenter()
        self.node_role_arn = karpenter.node_role_arn
        self.node_role_name = karpenter.node_role_name
        self.interruption_queue_name = karpenter.queue_name
        self.node_pools = karpenter.node_pools
        self.register_outputs(
            {
                "name": self.name,
                "arn": self.arn,
                "endpoint": self.endpoint,
                "certificate_authority": self.certificate_authority,
                "security_group_id": self.security_group_id,
                "node_role_arn": self.node_role_arn,
                "node_role_name": self.node_role_name,
                "interruption_queue_name": self.interruption_queue_name,
                "node_pools": self.node_pools,
            }
        )

    def _cluster(self) -> aws.eks.Cluster:
        """The control plane, after the group that its logs go to.

        EKS would make the group itself, without retention and key, if it were not there.
        """
        args, settings = self._args, self._args.settings
        logs = aws.cloudwatch.LogGroup(
            f"{self._prefix}-logs",
            name=f"/aws/eks/{args.cluster_name}/cluster",
            retention_in_days=settings.log_days,
            kms_key_id=args.log_key_arn,
            opts=self._opts,
        )
        role, policies = self._role()
        public = [str(network) for network in settings.public_from]
        return aws.eks.Cluster(
            self._prefix,
            name=args.cluster_name,
            role_arn=role.arn,
            version=settings.version,
            upgrade_policy=aws.eks.ClusterUpgradePolicyArgs(
                support_type="EXTENDED" if settings.extended_support else "STANDARD"
            ),
            access_config=aws.eks.ClusterAccessConfigArgs(
                authentication_mode="API", bootstrap_cluster_creator_admin_permissions=False
            ),
            bootstrap_self_managed_addons=False,
            enabled_cluster_log_types=list(settings.logs),
            encryption_config=aws.eks.ClusterEncryptionConfigArgs(
                provider=aws.eks.ClusterEncryptionConfigProviderArgs(key_arn=args.key_arn),
                resources=["secrets"],
            ),
            vpc_config=aws.eks.ClusterVpcConfigArgs(
                subnet_ids=pulumi.Output.from_input(args.subnet_ids).apply(_control_plane),
                endpoint_private_access=True,
                endpoint_public_access=bool(public),
                public_access_cidrs=public or None,
            ),
            zonal_shift_config=aws.eks.ClusterZonalShiftConfigArgs(enabled=True),
            deletion_protection=args.protected,
            opts=pulumi.ResourceOptions(
                parent=self, protect=args.protected, depends_on=[logs, *policies]
            ),
        )

    def _role(self) -> tuple[aws.iam.Role, list[pulumi.Resource]]:
        """What the control plane may do: only this cluster's, in this account."""
        name, args = f"{self._prefix}-control-plane", self._args
        cluster = pulumi.Output.format(
            "arn:aws:eks:{}:{}:cluster/{}", args.region, args.account, args.cluster_name
        )
        trust = service_trust(
            "eks.amazonaws.com",
            {
                "StringEquals": {"aws:SourceAccount": args.account},
                "ArnEquals": {"aws:SourceArn": cluster},
            },
        )
        role = aws.iam.Role(
            name, assume_role_policy=pulumi.Output.json_dumps(trust), opts=self._opts
        )
        policies = attach_managed(name, role, ["AmazonEKSClusterPolicy"], self._opts)
        actions = ["kms:Encrypt", "kms:Decrypt", "kms:ListGrants", "kms:DescribeKey"]
        encrypting = aws.iam.RolePolicy(
            f"{name}-secrets",
            role=role.name,
            policy=pulumi.Output.json_dumps(
                document(allow("EncryptSecrets", actions, args.key_arn))
            ),
            opts=self._opts,
        )
        return role, [*policies, encrypting]

    def _administrators(self) -> None:
        """Roles of the account, each with one policy for the whole cluster."""
        for who, administrator in self._args.settings.administrators.items():
            principal = pulumi.Output.format(
                "arn:aws:iam::{}:role/{}", self._args.account, administrator.role
            )
            entry = aws.eks.AccessEntry(
                f"{self._prefix}-{who}",
                cluster_name=self.name,
                principal_arn=principal,
                type="STANDARD",
                opts=self._opts,
            )
            aws.eks.AccessPolicyAssociation(
                f"{self._prefix}-{who}",
                cluster_name=self.name,
                principal_arn=entry.principal_arn,
                policy_arn=f"{ACCESS_POLICY}/{ACCESS[administrator.policy]}",
                access_scope=aws.eks.AccessPolicyAssociationAccessScopeArgs(type="cluster"),
                opts=self._opts,
            )

    def _addon(self, addon: Addon, after: Sequence[pulumi.Resource]) -> aws.eks.Addon:
        """An addon in the version that EKS has for the cluster's; what it finds changed it mends.

        Upgraded with the cluster, or by naming a version with the AWS CLI: the newest compatible is
        taken at creation and stays.
        """
        identity = addon.identity
        return aws.eks.Addon(
            f"{self._prefix}-{addon.name}",
            cluster_name=self.name,
            addon_name=addon.name,
            configuration_values=(json.dumps(addon.configuration) if addon.configuration else None),
            pod_identity_associations=(
                [
                    aws.eks.AddonPodIdentityAssociationArgs(
                        role_arn=self._identity(addon.name, identity),
                        service_account=identity.service_account,
                    )
                ]
                if identity
                else None
            ),
            resolve_conflicts_on_create="OVERWRITE",
            resolve_conflicts_on_update="OVERWRITE",
            opts=pulumi.ResourceOptions(parent=self, depends_on=after),
        )

    def _identity(self, addon: str, identity: PodIdentity) -> pulumi.Output[str]:
        """The role of an addon's pods, once it has its policies."""
        name = f"{self._prefix}-{addon}"
        trust = pod_trust(self._args.cluster_name, "kube-system", identity.service_account)
        role = aws.iam.Role(
            name, assume_role_policy=pulumi.Output.json_dumps(trust), opts=self._opts
        )
        attach_managed(name, role, [identity.policy], self._opts)
        if identity.encrypts:
            statements = use_key_for_volumes(self._args.key_arn, self._args.region)
            aws.iam.RolePolicy(
                f"{name}-key",
                role=role.name,
                policy=pulumi.Output.json_dumps(document(*statements)),
                opts=self._opts,
            )
        arn: pulumi.Output[str] = role.arn
        return arn

    def _nodes(self, after: Sequence[pulumi.Resource]) -> Nodes:
        args = self._args
        return Nodes(
            f"{self._prefix}-nodes",
            NodesArgs(
                settings=args.settings,
                cluster_name=self.name,
                subnet_ids=args.subnet_ids,
                security_group_id=self.security_group_id,
                key_arn=args.key_arn,
                tags=args.node_tags,
                after_network=after,
            ),
            self._opts,
        )

    def _karpenter(self) -> Karpenter:
        args = self._args
        return Karpenter(
            f"{self._prefix}-karpenter",
            KarpenterArgs(
                settings=args.settings.gpu,
                cluster_name=args.cluster_name,
                cluster_arn=self.arn,
                security_group_id=self.security_group_id,
                key_arn=args.key_arn,
                account=args.account,
                region=args.region,
                tags=args.node_tags,
            ),
            self._opts,
        )


def _control_plane(subnet_ids: Sequence[str]) -> list[str]:
    return list(subnet_ids)[:CONTROL_PLANE_ZONES]
