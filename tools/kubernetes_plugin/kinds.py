"""What a resource's type token stands for, and what this plugin does not do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

CORE = "v1"
SECRET = (CORE, "Secret")
CONFIG_MAP = (CORE, "ConfigMap")
DEFINITION = "CustomResourceDefinition"

_ELSEWHERE = {
    "helm.sh": "Helm charts",
    "yaml": "YAML manifests",
    "kustomize": "Kustomize folders",
}

_GROUPS = frozenset(
    {
        "",
        "admissionregistration.k8s.io",
        "apiextensions.k8s.io",
        "apiregistration.k8s.io",
        "apps",
        "autoscaling",
        "batch",
        "certificates.k8s.io",
        "coordination.k8s.io",
        "discovery.k8s.io",
        "events.k8s.io",
        "flowcontrol.apiserver.k8s.io",
        "networking.k8s.io",
        "node.k8s.io",
        "policy",
        "rbac.authorization.k8s.io",
        "resource.k8s.io",
        "scheduling.k8s.io",
        "storage.k8s.io",
    }
)
"""The groups that every cluster has: of these the scope is known without asking."""

_OF_THE_CLUSTER = frozenset(
    {
        "APIService",
        "CSIDriver",
        "CSINode",
        "CertificateSigningRequest",
        "ClusterRole",
        "ClusterRoleBinding",
        "ClusterTrustBundle",
        "ComponentStatus",
        DEFINITION,
        "DeviceClass",
        "FlowSchema",
        "IPAddress",
        "IngressClass",
        "MutatingAdmissionPolicy",
        "MutatingAdmissionPolicyBinding",
        "MutatingWebhookConfiguration",
        "Namespace",
        "Node",
        "PersistentVolume",
        "PriorityClass",
        "PriorityLevelConfiguration",
        "ResourceSlice",
        "RuntimeClass",
        "ServiceCIDR",
        "StorageClass",
        "ValidatingAdmissionPolicy",
        "ValidatingAdmissionPolicyBinding",
        "ValidatingWebhookConfiguration",
        "VolumeAttachment",
        "VolumeAttributesClass",
    }
)


@dataclass(frozen=True, slots=True)
class Kind:
    """An API version and a kind, as an object states them."""

    version: str
    name: str

    @property
    def group(self) -> str:
        """Empty for the core's."""
        return self.version.rpartition("/")[0]

    @property
    def is_built_in(self) -> bool:
        """Whether every cluster has it."""
        return self.group in _GROUPS

    @property
    def is_of_the_cluster(self) -> bool:
        """Whether a built-in kind's objects are in no namespace."""
        return self.name in _OF_THE_CLUSTER

    def __str__(self) -> str:
        return f"{self.version}/{self.name}"


def token_of(urn: str) -> str:
    """A resource's type, without its parents'."""
    return urn.split("::")[2].rpartition("$")[2]


def name_of(urn: str) -> str:
    """A resource's name in the program."""
    return urn.split("::", 3)[3]


def kind_of(token: str, inputs: Mapping[str, Any]) -> Kind:
    """What a resource is: as its inputs say, else as its token does."""
    _, module, name = (*token.split(":"), "", "")[:3]
    group, _, rest = module.partition("/")
    version = rest if group == "core" else module
    return Kind(inputs.get("apiVersion") or version, inputs.get("kind") or name)


def refusal(token: str, inputs: Mapping[str, Any]) -> str:
    """Why a resource of this type cannot be had from this plugin; empty where it can."""
    _, module, name = (*token.split(":"), "", "")[:3]
    group = module.partition("/")[0]
    if group in _ELSEWHERE:
        return (
            f"{token}: {_ELSEWHERE[group]} need Pulumi's own kubernetes plugin, and this is "
            "Hearth's; declare the objects in the program, or put the official plugin on PATH"
        )
    if name.endswith("Patch") and inputs.get("kind") != name:
        return (
            f"{token}: a patch of an object that something else made is not supported by Hearth's "
            "kubernetes plugin; import the object (`pulumi import`) and declare it whole"
        )
    if name.endswith("List") and kind_of(token, inputs).is_built_in:
        return (
            f"{token}: a list is no object of its own; declare each of its items as a resource "
            f"({name.removesuffix('List')})"
        )
    return ""
