"""Karpenter, as far as AWS is concerned: its rights, what it is told, what it may start.

The controller itself runs in the cluster and is deployed there, as service account `karpenter` of
`kube-system`. Policies are scoped as the project's own CloudFormation template scopes them
(v1.14); Kubernetes 1.36 needs 1.13 at least.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pulumi
import pulumi_aws as aws
import yaml

from components.production.iam import (
    Statement,
    allow,
    document,
    granted,
    pod_trust,
    use_key_for_volumes,
)
from components.production.nodes import GPU_TAINT, POOL, ROOT_DEVICE, gibibytes, node_role
from inventory.cloud.model import GpuNodes
from inventory.units import MIB

NAMESPACE, SERVICE_ACCOUNT = "kube-system", "karpenter"
POOL_NAME = "gpu"

EVENTS: Mapping[str, tuple[str, str]] = {
    "spot-interruption": ("aws.ec2", "EC2 Spot Instance Interruption Warning"),
    "rebalance": ("aws.ec2", "EC2 Instance Rebalance Recommendation"),
    "state-change": ("aws.ec2", "EC2 Instance State-change Notification"),
    "health": ("aws.health", "AWS Health Event"),
}
"""What Karpenter is told: source and kind. A spot instance has two minutes."""
MESSAGE_SECONDS = 300
"""Afterwards a message tells nothing new."""

SHORTFALL = 0.9
"""Karpenter's label has what a driver sees, up to 7 % less than is sold: 22,888 MiB of 24 GiB."""


@dataclass(frozen=True, slots=True)
class KarpenterArgs:
    """What Karpenter needs.

    Attributes:
        settings: of the GPU pool.
        cluster_name: in which it runs.
        cluster_arn: the same cluster's.
        security_group_id: that its nodes get, the cluster's own.
        key_arn: of the key that encrypts their disks.
        account: number of the account.
        region: of AWS.
        tags: of instances and volumes that it starts.
    """

    settings: GpuNodes
    cluster_name: str
    cluster_arn: pulumi.Input[str]
    security_group_id: pulumi.Input[str]
    key_arn: pulumi.Input[str]
    account: pulumi.Input[str]
    region: pulumi.Input[str]
    tags: Mapping[str, str] = field(default_factory=dict)


class Karpenter(pulumi.ComponentResource):
    """Roles for Karpenter and its nodes, the queue of interruptions, the GPU pool's documents.

    Attributes:
        node_role_arn: of the role that its nodes have.
        node_role_name: the same role's.
        queue_name: of the queue that it reads (`settings.interruptionQueue` of its chart).
        node_pools: a NodePool and its EC2NodeClass, as YAML documents.
    """

    node_role_arn: pulumi.Output[str]
    node_role_name: pulumi.Output[str]
    queue_name: pulumi.Output[str]
    node_pools: pulumi.Output[str]

    def __init__(
        self, name: str, args: KarpenterArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("hearth:production:Karpenter", name, None, opts)
        self._prefix = name
        self._args = args
        self._opts = pulumi.ResourceOptions(parent=self)
        # Out of the ARN, which is known once the cluster is there: the bare name would not wait.
        self._cluster = pulumi.Output.from_input(args.cluster_arn).apply(_last_part)
        role, _ = node_role(f"{name}-node", self._opts)
        aws.eks.AccessEntry(
            f"{name}-node",
            cluster_name=self._cluster,
            principal_arn=role.arn,
            type="EC2_LINUX",
            opts=self._opts,
        )
        queue = self._queue()
        self._controller(role, queue)
        self.node_role_arn = role.arn
        self.node_role_name = role.name
        self.queue_name = queue.name
        self.node_pools = pulumi.Output.all(
            role=role.name, group=args.security_group_id, key=args.key_arn
        ).apply(lambda made: _pool_text(args, **made))
        self.register_outputs(
            {
                "node_role_arn": self.node_role_arn,
                "node_role_name": self.node_role_name,
                "queue_name": self.queue_name,
                "node_pools": self.node_pools,
            }
        )

    def _queue(self) -> aws.sqs.Queue:
        """The queue, and the rules that put into it what concerns nodes.

        Its messages name instances and nothing else: SQS' own encryption does for them.
        """
        name = f"{self._prefix}-interruptions"
        queue = aws.sqs.Queue(
            name,
            message_retention_seconds=MESSAGE_SECONDS,
            sqs_managed_sse_enabled=True,
            opts=self._opts,
        )
        rules = []
        for event, (source, kind) in EVENTS.items():
            rule = aws.cloudwatch.EventRule(
                f"{self._prefix}-{event}",
                description=f"Tells Karpenter: {kind}",
                event_pattern=pulumi.Output.json_dumps({"source": [source], "detail-type": [kind]}),
                opts=self._opts,
            )
            aws.cloudwatch.EventTarget(
                f"{self._prefix}-{event}", rule=rule.name, arn=queue.arn, opts=self._opts
            )
            rules.append(rule.arn)
        policy = document(
            granted(
                {"Service": "events.amazonaws.com"},
                allow(
                    "Rules",
                    ["sqs:SendMessage"],
                    queue.arn,
                    {"ArnEquals": {"aws:SourceArn": rules}},
                ),
            ),
            {
                "Sid": "EncryptedOnly",
                "Effect": "Deny",
                "Principal": "*",
                "Action": "sqs:*",
                "Resource": queue.arn,
                "Condition": {"Bool": {"aws:SecureTransport": "false"}},
            },
        )
        aws.sqs.QueuePolicy(
            name, queue_url=queue.url, policy=pulumi.Output.json_dumps(policy), opts=self._opts
        )
        return queue

    def _controller(self, nodes: aws.iam.Role, queue: aws.sqs.Queue) -> None:
        """The controller's role, its policies by subject, and the pods that have it."""
        name, args = f"{self._prefix}-controller", self._args
        trust = pod_trust(args.cluster_name, NAMESPACE, SERVICE_ACCOUNT)
        role = aws.iam.Role(
            name, assume_role_policy=pulumi.Output.json_dumps(trust), opts=self._opts
        )
        policies = {
            "nodes": node_statements(args),
            "profiles": profile_statements(args, nodes.arn),
            "reading": reading_statements(args),
            "queue": [allow("ReadQueue", QUEUE_ACTIONS, queue.arn)],
            "disks": use_key_for_volumes(args.key_arn, args.region),
        }
        for subject, statements in policies.items():
            aws.iam.RolePolicy(
                f"{name}-{subject}",
                role=role.name,
                policy=pulumi.Output.json_dumps(document(*statements)),
                opts=self._opts,
            )
        aws.eks.PodIdentityAssociation(
            name,
            cluster_name=self._cluster,
            namespace=NAMESPACE,
            service_account=SERVICE_ACCOUNT,
            role_arn=role.arn,
            opts=self._opts,
        )


QUEUE_ACTIONS = ("sqs:DeleteMessage", "sqs:GetQueueUrl", "sqs:ReceiveMessage")


def node_statements(args: KarpenterArgs) -> list[Statement]:
    """Starting and ending nodes.

    Ids of what EC2 makes are not known before; tags that Karpenter gives at creation, and only
    then can give, say which are its own.
    """

    def arns(kinds: str, account: str = "*") -> list[pulumi.Output[str]]:
        return [
            pulumi.Output.format("arn:aws:ec2:{}:{}:{}/*", args.region, account, kind)
            for kind in kinds.split()
        ]

    cluster = args.cluster_name
    made = "fleet instance volume network-interface launch-template spot-instances-request"
    start = ["ec2:RunInstances", "ec2:CreateFleet"]
    asked = _tags("Request", cluster, "karpenter.sh/nodepool")
    asked["StringEquals"]["aws:RequestTag/eks:eks-cluster-name"] = cluster
    own = _tags("Resource", cluster, "karpenter.sh/nodepool")
    at_creation = {
        **asked,
        "StringEquals": {
            **asked["StringEquals"],
            "ec2:CreateAction": ["RunInstances", "CreateFleet", "CreateLaunchTemplate"],
        },
    }
    names = {
        **own,
        "StringEqualsIfExists": {"aws:RequestTag/eks:eks-cluster-name": cluster},
        "ForAllValues:StringEquals": {
            "aws:TagKeys": ["eks:eks-cluster-name", "karpenter.sh/nodeclaim", "Name"]
        },
    }
    used = [*arns("image snapshot", ""), *arns("security-group subnet capacity-reservation")]
    return [
        allow("StartWith", start, used),
        allow("StartByOwnTemplate", start, arns("launch-template"), own),
        allow("StartTagged", [*start, "ec2:CreateLaunchTemplate"], arns(made), asked),
        allow("TagAtCreation", ["ec2:CreateTags"], arns(made), at_creation),
        allow("NameNodes", ["ec2:CreateTags"], arns("instance"), names),
        allow(
            "EndOwn",
            ["ec2:TerminateInstances", "ec2:DeleteLaunchTemplate"],
            arns("instance launch-template"),
            own,
        ),
    ]


def profile_statements(args: KarpenterArgs, node_role_arn: pulumi.Input[str]) -> list[Statement]:
    """Giving its nodes their role, by instance profiles of its own."""
    cluster, label = args.cluster_name, "karpenter.k8s.aws/ec2nodeclass"
    profiles = pulumi.Output.format("arn:aws:iam::{}:instance-profile/*", args.account)
    own = _tags("Resource", cluster, label)
    own["StringEquals"]["aws:ResourceTag/topology.kubernetes.io/region"] = args.region
    asked = _tags("Request", cluster, label)
    asked["StringEquals"]["aws:RequestTag/topology.kubernetes.io/region"] = args.region
    asked["StringEquals"]["aws:RequestTag/eks:eks-cluster-name"] = cluster
    both = {operator: {**own[operator], **asked[operator]} for operator in own}
    return [
        allow(
            "PassNodeRole",
            ["iam:PassRole"],
            node_role_arn,
            {"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}},
        ),
        allow("CreateProfile", ["iam:CreateInstanceProfile"], profiles, asked),
        allow("TagProfile", ["iam:TagInstanceProfile"], profiles, both),
        allow(
            "ChangeOwnProfiles",
            [
                "iam:AddRoleToInstanceProfile",
                "iam:RemoveRoleFromInstanceProfile",
                "iam:DeleteInstanceProfile",
            ],
            profiles,
            own,
        ),
        allow("ReadProfiles", ["iam:GetInstanceProfile"], profiles),
    ]


def reading_statements(args: KarpenterArgs) -> list[Statement]:
    """Finding out what there is and what it costs.

    AWS scopes none of the actions on `*` to a resource; the region, or the cluster, is a condition
    where it is known.
    """
    described = (
        "CapacityReservations Images Instances InstanceStatus InstanceTypeOfferings InstanceTypes "
        "LaunchTemplates SecurityGroups SpotPriceHistory Subnets"
    )
    images = pulumi.Output.format("arn:aws:ssm:{}::parameter/aws/service/*", args.region)
    return [
        allow(
            "Describe",
            [f"ec2:Describe{what}" for what in described.split()],
            "*",
            {"StringEquals": {"aws:RequestedRegion": args.region}},
        ),
        # Of Amazon's own parameters, which name the newest images.
        allow("ReadImageNames", ["ssm:GetParameter"], images),
        allow("ReadPrices", ["pricing:GetProducts"], "*"),
        allow("ListProfiles", ["iam:ListInstanceProfiles"], "*"),
        allow("FindCluster", ["eks:DescribeCluster"], args.cluster_arn),
        allow(
            "ReadZonalShift",
            ["arc-zonal-shift:GetManagedResource"],
            "*",
            {"StringEquals": {"arc-zonal-shift:ResourceIdentifier": args.cluster_arn}},
        ),
    ]


def _tags(of: str, cluster: str, label: str) -> dict[str, dict[str, Any]]:
    """That something belongs to the cluster and to a pool or class, whichever it is.

    Args:
        of: `Request` for tags that are asked for, `Resource` for those that are there.
        cluster: its name.
        label: that Karpenter gives, with a name that is not known here.
    """
    return {
        "StringEquals": {f"aws:{of}Tag/kubernetes.io/cluster/{cluster}": "owned"},
        "StringLike": {f"aws:{of}Tag/{label}": "*"},
    }


def _pool_text(args: KarpenterArgs, role: str, group: str, key: str) -> str:
    documents = [node_class(args, role, group, key), node_pool(args.settings)]
    return yaml.safe_dump_all(documents, sort_keys=False)


def node_class(args: KarpenterArgs, role: str, group: str, key: str) -> dict[str, Any]:
    """What a node of the pool is made of, whatever its type.

    The image is Amazon's newest, with NVIDIA's drivers where there is a GPU: a node older than it
    is replaced, as the pool's budget lets.
    """
    volume = {
        "volumeSize": f"{gibibytes(args.settings.disk)}Gi",
        "volumeType": "gp3",
        "encrypted": True,
        "kmsKeyID": key,
        "deleteOnTermination": True,
    }
    return {
        "apiVersion": "karpenter.k8s.aws/v1",
        "kind": "EC2NodeClass",
        "metadata": {"name": POOL_NAME},
        "spec": {
            "amiSelectorTerms": [{"alias": "al2023@latest"}],
            "role": role,
            "subnetSelectorTerms": [{"tags": {"karpenter.sh/discovery": args.cluster_name}}],
            "securityGroupSelectorTerms": [{"id": group}],
            "associatePublicIPAddress": False,
            "metadataOptions": {
                "httpEndpoint": "enabled",
                "httpProtocolIPv6": "disabled",
                "httpPutResponseHopLimit": 1,
                "httpTokens": "required",
            },
            "blockDeviceMappings": [{"deviceName": ROOT_DEVICE, "ebs": volume}],
            "detailedMonitoring": False,
            "tags": dict(args.tags),
        },
    }


def node_pool(gpu: GpuNodes) -> dict[str, Any]:
    """Which nodes Karpenter may start beyond the base, and when it may take them away.

    Of the two capacity types it takes spot as long as there is any, of the types the cheapest that
    is likely to last.
    """
    beyond = gpu.most - gpu.base
    least = int(gpu.gpu_memory * SHORTFALL) // MIB
    return {
        "apiVersion": "karpenter.sh/v1",
        "kind": "NodePool",
        "metadata": {"name": POOL_NAME},
        "spec": {
            "template": {
                "metadata": {"labels": {POOL: "gpu"}},
                "spec": {
                    "nodeClassRef": {
                        "group": "karpenter.k8s.aws",
                        "kind": "EC2NodeClass",
                        "name": POOL_NAME,
                    },
                    "taints": [{**GPU_TAINT, "effect": "NoSchedule"}],
                    "requirements": [
                        _one_of("karpenter.sh/capacity-type", "spot", "on-demand"),
                        _one_of("kubernetes.io/arch", "amd64"),
                        _one_of("node.kubernetes.io/instance-type", *gpu.instance_types),
                        {
                            "key": "karpenter.k8s.aws/instance-gpu-memory",
                            "operator": "Gt",
                            "values": [str(least - 1)],
                        },
                    ],
                    "expireAfter": "720h",
                    # As long as the longest answer and the pods' own notice.
                    "terminationGracePeriod": "10m",
                },
            },
            "limits": {"nodes": beyond, "nvidia.com/gpu": beyond},
            "disruption": {
                "consolidationPolicy": "WhenEmptyOrUnderutilized",
                "consolidateAfter": "5m",
                "budgets": [
                    {"nodes": "100%", "reasons": ["Empty"]},
                    {"nodes": "1", "reasons": ["Drifted", "Underutilized"]},
                ],
            },
        },
    }


def _last_part(arn: str) -> str:
    return arn.rpartition("/")[2]


def _one_of(key: str, *values: str) -> dict[str, Any]:
    return {"key": key, "operator": "In", "values": list(values)}
