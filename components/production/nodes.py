"""Nodes that are always there: the system's, and the on-demand base of the GPU pool."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pulumi
import pulumi_aws as aws

from components.production.iam import attach_managed, service_trust
from inventory.cloud.instances import INSTANCE_TYPES
from inventory.cloud.model import Cluster
from inventory.units import GIB

NODE_POLICIES = ("AmazonEKSWorkerNodePolicy", "AmazonEC2ContainerRegistryPullOnly")
"""What a node may do itself: join its cluster, ask for its pods' identities, pull images.

Not the network plugin's part, which has an identity of its own, and no Session Manager: whoever may
debug a node does so through Kubernetes.
"""
ROOT_DEVICE = "/dev/xvda"
"""Of Amazon Linux 2023."""
POOL = "hearth/pool"
"""The label that says what a node is for: `system` or `gpu`."""
GPU_TAINT = {"key": "nvidia.com/gpu", "value": "true"}
"""Keeps what needs no GPU off the nodes that have one."""


@dataclass(frozen=True, slots=True)
class NodesArgs:
    """What the nodes need.

    Attributes:
        settings: of the cluster.
        cluster_name: that they join.
        subnet_ids: private ones, in which they are spread.
        security_group_id: the cluster's own.
        key_arn: of the key that encrypts their disks.
        tags: of instances and volumes, which do not inherit their group's.
        after_network: what a node needs to become ready.
    """

    settings: Cluster
    cluster_name: pulumi.Input[str]
    subnet_ids: pulumi.Input[Sequence[str]]
    security_group_id: pulumi.Input[str]
    key_arn: pulumi.Input[str]
    tags: Mapping[str, str] = field(default_factory=dict)
    after_network: Sequence[pulumi.Resource] = ()


class Nodes(pulumi.ComponentResource):
    """Managed node groups of fixed size: no autoscaler owns them, the settings do.

    Their instance types, images and subnets make a new group, which is there before the old one is
    drained.

    Attributes:
        role_arn: of the role that the nodes have; EKS admits it by itself.
        system: the group in which the cluster's own pods run.
    """

    role_arn: pulumi.Output[str]
    system: aws.eks.NodeGroup

    def __init__(
        self, name: str, args: NodesArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("hearth:production:Nodes", name, None, opts)
        self._prefix = name
        self._args = args
        self._opts = pulumi.ResourceOptions(parent=self)
        role, policies = node_role(f"{name}-node", self._opts)
        self._role = role
        self._before = [*policies, *args.after_network]
        system, gpu = args.settings.system, args.settings.gpu
        self.system = self._group("system", system.instance_type, system.count, system.disk)
        if gpu.base:
            self._group("gpu", gpu.base_instance_type, gpu.base, gpu.disk)
        self.role_arn = role.arn
        self.register_outputs({"role_arn": self.role_arn})

    def _group(self, pool: str, instance_type: str, count: int, disk: int) -> aws.eks.NodeGroup:
        """A managed group of on-demand nodes, replaced one at a time."""
        name = f"{self._prefix}-{pool}"
        template = self._template(name, disk)
        taints = [aws.eks.NodeGroupTaintArgs(**GPU_TAINT, effect="NO_SCHEDULE")]
        return aws.eks.NodeGroup(
            name,
            cluster_name=self._args.cluster_name,
            node_role_arn=self._role.arn,
            subnet_ids=self._args.subnet_ids,
            version=self._args.settings.version,
            ami_type=ami_type(instance_type),
            capacity_type="ON_DEMAND",
            instance_types=[instance_type],
            launch_template=aws.eks.NodeGroupLaunchTemplateArgs(
                id=template.id, version=template.latest_version.apply(_version)
            ),
            scaling_config=aws.eks.NodeGroupScalingConfigArgs(
                min_size=count, desired_size=count, max_size=count
            ),
            update_config=aws.eks.NodeGroupUpdateConfigArgs(max_unavailable=1),
            node_repair_config=aws.eks.NodeGroupNodeRepairConfigArgs(enabled=True),
            labels={POOL: pool},
            taints=taints if pool == "gpu" else [],
            opts=pulumi.ResourceOptions(parent=self, depends_on=self._before),
        )

    def _template(self, name: str, disk: int) -> aws.ec2.LaunchTemplate:
        """An instance: its disk, its metadata for itself alone, no address of the internet.

        No detailed monitoring: Prometheus reads the nodes more often than CloudWatch would, which
        takes 2.10 USD a node and month for it.
        """
        tags = {**self._args.tags, "Name": name}
        return aws.ec2.LaunchTemplate(
            name,
            update_default_version=True,
            block_device_mappings=[
                aws.ec2.LaunchTemplateBlockDeviceMappingArgs(
                    device_name=ROOT_DEVICE,
                    ebs=aws.ec2.LaunchTemplateBlockDeviceMappingEbsArgs(
                        volume_size=gibibytes(disk),
                        volume_type="gp3",
                        encrypted="true",
                        kms_key_id=self._args.key_arn,
                        delete_on_termination="true",
                    ),
                )
            ],
            metadata_options=aws.ec2.LaunchTemplateMetadataOptionsArgs(
                http_endpoint="enabled",
                http_tokens="required",
                # One hop is the node; a pod without its network would be the second.
                http_put_response_hop_limit=1,
            ),
            monitoring=aws.ec2.LaunchTemplateMonitoringArgs(enabled=False),
            network_interfaces=[
                aws.ec2.LaunchTemplateNetworkInterfaceArgs(
                    associate_public_ip_address="false",
                    delete_on_termination="true",
                    # EKS adds its own only where the template names no interface.
                    security_groups=[self._args.security_group_id],
                )
            ],
            tag_specifications=[
                aws.ec2.LaunchTemplateTagSpecificationArgs(resource_type=kind, tags=tags)
                for kind in ("instance", "volume", "network-interface")
            ],
            opts=self._opts,
        )


def node_role(
    name: str, opts: pulumi.ResourceOptions
) -> tuple[aws.iam.Role, list[pulumi.Resource]]:
    """A role for nodes, and its policies, without which they cannot join."""
    role = aws.iam.Role(
        name,
        assume_role_policy=pulumi.Output.json_dumps(service_trust("ec2.amazonaws.com")),
        opts=opts,
    )
    return role, attach_managed(name, role, NODE_POLICIES, opts)


def ami_type(instance_type: str) -> str:
    """The image of Amazon Linux 2023 for an instance type, with NVIDIA's drivers for its GPU."""
    kind = INSTANCE_TYPES[instance_type]
    processor = {"amd64": "x86_64", "arm64": "ARM_64"}[kind.architecture]
    return f"AL2023_{processor}_{'NVIDIA' if kind.gpu else 'STANDARD'}"


def gibibytes(size: int) -> int:
    """Of a disk, which is sold in whole ones: rounded up."""
    return -(-size // GIB)


def _version(number: int) -> str:
    return str(number)
