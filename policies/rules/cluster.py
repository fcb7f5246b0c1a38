"""The Kubernetes cluster, and the machines that are its nodes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import get_args

from inventory.cloud.model import ClusterLog
from policies.graph import Fault, Graph, Policy, Resource
from policies.rules.network import world

CLUSTER = "aws:eks/cluster:Cluster"
NODES = "aws:eks/nodeGroup:NodeGroup"
TEMPLATE = "aws:ec2/launchTemplate:LaunchTemplate"


def clusters_are_not_open_to_the_world(cluster: Resource, _graph: Graph) -> Iterator[Fault]:
    """The API is private, or open to networks that are named."""
    remedy = (
        "set endpoint_private_access=True, and endpoint_public_access=False or public_access_cidrs"
    )
    if not cluster.get("vpcConfig.endpointPrivateAccess", default=False):
        yield Fault("its nodes reach its API over the internet", remedy)
    if cluster.get("vpcConfig.endpointPublicAccess", default=True):
        networks = cluster.get("vpcConfig.publicAccessCidrs", ["0.0.0.0/0"])
        for network in networks:
            if world(network):
                yield Fault(f"its API is open to {network}", remedy)


def clusters_know_access_entries_alone(cluster: Resource, _graph: Graph) -> Iterator[Fault]:
    """Who may enter is said through AWS, not in a map that locks everybody out when it breaks."""
    mode = cluster.get("accessConfig.authenticationMode", "CONFIG_MAP")
    if mode != "API":
        yield Fault(f"its authentication mode is {mode}", "set authentication_mode='API'")
    if cluster.get("accessConfig.bootstrapClusterCreatorAdminPermissions", default=True):
        yield Fault(
            "who makes it administers it for ever, which no access entry tells",
            "set bootstrap_cluster_creator_admin_permissions=False and name administrators",
        )


def clusters_log_everything(cluster: Resource, _graph: Graph) -> Iterator[Fault]:
    """All of the control plane's logs are kept."""
    missing = set(get_args(ClusterLog)) - set(cluster.get("enabledClusterLogTypes", ()))
    if missing:
        yield Fault(
            f"does not log {', '.join(sorted(missing))}", "name them in enabled_cluster_log_types"
        )


def clusters_encrypt_secrets(cluster: Resource, _graph: Graph) -> Iterator[Fault]:
    """Kubernetes secrets are encrypted with a key of the account's own."""
    if "secrets" not in cluster.get("encryptionConfig.resources", ()) or not cluster.has(
        "encryptionConfig.provider.keyArn"
    ):
        yield Fault("its secrets are not encrypted with a key of yours", "give encryption_config")


def clusters_are_protected(cluster: Resource, graph: Graph) -> Iterator[Fault]:
    """A cluster that must not be lost cannot be deleted by mistake."""
    if graph.environment is not None and not graph.environment.protected:
        return
    if not cluster.get("deletionProtection", default=False):
        yield Fault("AWS would delete it when asked once", "set deletion_protection=True")


def machines_ask_for_tokens(template: Resource, _graph: Graph) -> Iterator[Fault]:
    """What runs in a container cannot take its node's credentials."""
    remedy = "set metadata_options to http_tokens='required', http_put_response_hop_limit=1"
    if template.get("metadataOptions.httpTokens", "optional") != "required":
        yield Fault("its metadata is given without a token (IMDSv1)", remedy)
    hops = template.get("metadataOptions.httpPutResponseHopLimit", 2)
    if hops != 1:
        yield Fault(f"its metadata reaches containers (hop limit {hops:.0f})", remedy)


def machines_encrypt_their_disks(template: Resource, _graph: Graph) -> Iterator[Fault]:
    """Disks of nodes are encrypted."""
    for at in template.each("blockDeviceMappings"):
        encrypted = template.get(f"{at}.ebs.encrypted", "false")
        if str(encrypted).lower() != "true":
            device = template.get(f"{at}.deviceName", at)
            yield Fault(f"its disk {device} is not encrypted", "set ebs.encrypted")


def nodes_have_a_launch_template(nodes: Resource, _graph: Graph) -> Iterator[Fault]:
    """Without one EKS chooses the metadata's hop limit and the disks."""
    if not nodes.has("launchTemplate"):
        yield Fault("has no launch template", "give one with metadata_options and encrypted disks")


POLICIES = (
    Policy(clusters_are_not_open_to_the_world, (CLUSTER,)),
    Policy(clusters_know_access_entries_alone, (CLUSTER,)),
    Policy(clusters_log_everything, (CLUSTER,)),
    Policy(clusters_encrypt_secrets, (CLUSTER,)),
    Policy(clusters_are_protected, (CLUSTER,)),
    Policy(machines_ask_for_tokens, (TEMPLATE,)),
    Policy(machines_encrypt_their_disks, (TEMPLATE,)),
    Policy(nodes_have_a_launch_template, (NODES,)),
)
