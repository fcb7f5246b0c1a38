"""The plugin's tables and the official SDK: tokens, API versions, property names, settings."""

from __future__ import annotations

import inspect
from importlib import import_module
from typing import Any, get_args

import pulumi_kubernetes as k8s
import pytest
from pulumi import _types

from tools.kubernetes_plugin import diffs, readiness
from tools.kubernetes_plugin.kinds import Kind, kind_of, refusal
from tools.kubernetes_plugin.plugin import SETTINGS, settings

USED = {
    "admissionregistration.v1": ["ValidatingAdmissionPolicy"],
    "apiextensions.v1": ["CustomResourceDefinition"],
    "apps.v1": ["DaemonSet", "Deployment", "ReplicaSet", "StatefulSet"],
    "autoscaling.v2": ["HorizontalPodAutoscaler"],
    "batch.v1": ["CronJob", "Job"],
    "core.v1": [
        "ConfigMap",
        "LimitRange",
        "Namespace",
        "PersistentVolume",
        "PersistentVolumeClaim",
        "Pod",
        "ResourceQuota",
        "Secret",
        "Service",
        "ServiceAccount",
    ],
    "networking.v1": ["Ingress", "IngressClass", "NetworkPolicy"],
    "node.v1": ["RuntimeClass"],
    "policy.v1": ["PodDisruptionBudget"],
    "rbac.v1": ["ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"],
    "scheduling.v1": ["PriorityClass"],
    "storage.v1": ["StorageClass"],
}
"""The kinds that a site's cluster is made of, and those that the plugin's tables name."""

CLASSES = [
    getattr(import_module(f"pulumi_kubernetes.{module}"), name)
    for module, names in USED.items()
    for name in names
]


def kind_in_sdk(cls: Any) -> Kind:
    """The API version and the kind that the SDK gives to a class' objects."""
    types = _types.resource_types(cls)
    return Kind(*(get_args(types[key])[0] for key in ("apiVersion", "kind")))


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.pulumi_type)
def test_a_token_stands_for_what_the_sdk_makes_of_it(cls: Any) -> None:
    kind = kind_of(cls.pulumi_type, {})
    assert kind == kind_in_sdk(cls)
    assert kind.is_built_in
    assert refusal(cls.pulumi_type, {"kind": kind.name}) == ""


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.pulumi_type)
def test_lists_and_patches_of_it_are_refused_by_the_sdks_names(cls: Any) -> None:
    for suffix in ("List", "Patch"):
        module = import_module(cls.__module__.rpartition(".")[0])
        other = getattr(module, f"{cls.__name__}{suffix}", None)
        if other is None:
            continue
        given = {"kind": get_args(_types.resource_types(other)["kind"])[0]}
        assert refusal(other.pulumi_type, given), other.pulumi_type


def test_a_custom_resource_of_any_name_is_not_refused() -> None:
    for name in ("Widget", "EnvoyPatch", "AllowList"):
        assert refusal(f"kubernetes:example.com/v1:{name}", {"kind": name}) == ""


@pytest.mark.parametrize(
    ("group", "name", "path"),
    [(*kind, path) for kind, paths in diffs._IMMUTABLE.items() for path in paths],
)
def test_what_replaces_is_a_property_of_the_sdks(group: str, name: str, path: str) -> None:
    (cls,) = (cls for cls in CLASSES if (kind_in_sdk(cls).group, cls.__name__) == (group, name))
    types = _types.resource_types(cls)
    for part in path.split("."):
        assert part in types, f"{name} has no {path}"
        inner = types[part]
        types = _types.output_type_types(inner) if _types.is_output_type(inner) else {}


def test_every_kind_with_rules_is_one_of_the_sdks() -> None:
    known = {(kind_in_sdk(cls).group, cls.__name__) for cls in CLASSES}
    assert {*readiness._ALONE, *readiness._WITH_OTHERS, *readiness.LONGEST} <= known


def test_the_settings_that_it_reads_are_the_sdks() -> None:
    given = inspect.signature(k8s.Provider._internal_init).parameters
    words = [name.split("_") for name in given]
    known = {first + "".join(word.capitalize() for word in rest) for first, *rest in words}
    assert set(SETTINGS) <= known


def test_a_flag_arrives_from_the_sdk_as_a_word() -> None:
    assert settings({"enablePatchForce": "true"}, {}).patch_force
    assert settings({}, {"PULUMI_K8S_ENABLE_PATCH_FORCE": "true"}).patch_force
    assert not settings({"enablePatchForce": "false"}, {}).patch_force
