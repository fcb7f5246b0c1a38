"""Each promise about pods is kept by FixAI's stack, and its breach is found."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest

from inventory.paths import PROJECT
from policies.catalogue import IN_CLUSTERS
from policies.graph import Finding, Graph, Resource, judge
from policies.rules.pods import BUDGET, NAMESPACE, NETWORK, PODS, SERVING
from policies.wire import resource_of
from tests.components.fixai.whole import whole

BY_NAME = {policy.name: policy for policy in IN_CLUSTERS}
DEPLOYMENT = "kubernetes:apps/v1:Deployment"
CRON = "kubernetes:batch/v1:CronJob"
Change = Callable[[dict[str, Any]], object]


def graph(profile: str = "zookeeper") -> Graph:
    return Graph([resource_of(recorded) for recorded in whole(profile).resources])


@pytest.mark.parametrize("profile", ["zookeeper", "kraft"])
def test_the_stack_keeps_every_promise(profile: str) -> None:
    assert [str(one) for one in judge(graph(profile), IN_CLUSTERS)] == []


def test_every_policy_is_about_something_that_the_stack_has() -> None:
    resources = graph().resources
    assert all(any(map(policy.concerns, resources)) for policy in IN_CLUSTERS)


def test_the_page_lists_every_policy_with_its_promise() -> None:
    page = (PROJECT / "docs" / "reference" / "fixai.md").read_text()
    assert [p.name for p in IN_CLUSTERS if f"| {p.name} | {p.promise} |" not in page] == []


def _pod(properties: dict[str, Any]) -> dict[str, Any]:
    spec = properties["spec"]
    found: dict[str, Any] = spec.get("jobTemplate", {}).get("spec", spec)["template"]["spec"]
    return found


def _container(properties: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = _pod(properties)["containers"][0]
    return found


def _guard(properties: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = _container(properties)["securityContext"]
    return found


def _environment(properties: dict[str, Any], **variable: Any) -> None:
    _container(properties).setdefault("env", []).append(variable)


RESTRICTED: list[tuple[Change, str]] = [
    (lambda p: _pod(p).update(hostNetwork=True), "hostNetwork"),
    (lambda p: _pod(p).update(hostPID=True), "hostPID"),
    (lambda p: _pod(p)["volumes"].append({"name": "v", "hostPath": {"path": "/"}}), "hostPath"),
    (lambda p: _guard(p).update(privileged=True), "privileged"),
    (lambda p: _guard(p).pop("allowPrivilegeEscalation"), "allowPrivilegeEscalation"),
    (lambda p: _guard(p)["capabilities"].update(drop=["CHOWN"]), "drop ALL"),
    (lambda p: _guard(p)["capabilities"].update(add=["SYS_ADMIN"]), "SYS_ADMIN"),
    (lambda p: _guard(p).update(runAsNonRoot=False), "runAsNonRoot"),
    (lambda p: _guard(p).update(runAsUser=0), "runAsUser"),
    (lambda p: _pod(p)["securityContext"].pop("seccompProfile"), "seccompProfile"),
    (lambda p: _guard(p).update(procMount="Unmasked"), "procMount"),
    (lambda p: _container(p)["ports"][0].update(hostPort=80), "hostPort"),
    (
        lambda p: _pod(p)["securityContext"].update(sysctls=[{"name": "kernel.msgmax"}]),
        "kernel.msgmax",
    ),
]
OTHERS: list[tuple[str, str, Change, str]] = [
    (
        "roots-are-read-only",
        DEPLOYMENT,
        lambda p: _guard(p).update(readOnlyRootFilesystem=False),
        "root",
    ),
    (
        "roots-are-read-only",
        CRON,
        lambda p: _guard(p).pop("readOnlyRootFilesystem"),
        "can write",
    ),
    (
        "containers-say-what-they-take",
        DEPLOYMENT,
        lambda p: _container(p)["resources"].pop("limits"),
        "limits.cpu, limits.memory",
    ),
    (
        "containers-say-what-they-take",
        DEPLOYMENT,
        lambda p: _container(p)["resources"]["requests"].update(memory="1Mi"),
        "not sure of",
    ),
    (
        "containers-are-asked-how-they-are",
        DEPLOYMENT,
        lambda p: _container(p).pop("startupProbe"),
        "startupProbe",
    ),
    (
        "pods-have-no-token",
        DEPLOYMENT,
        lambda p: _pod(p).pop("automountServiceAccountToken"),
        "token",
    ),
    ("pods-have-no-token", CRON, lambda p: _pod(p).pop("serviceAccountName"), "default account"),
    (
        "environments-hold-no-secrets",
        DEPLOYMENT,
        lambda p: _environment(p, name="DB_PASSWORD", value="x"),
        "DB_PASSWORD",
    ),
    (
        "environments-hold-no-secrets",
        DEPLOYMENT,
        lambda p: _environment(p, name="X", valueFrom={"secretKeyRef": {"name": "redis"}}),
        "X in its environment",
    ),
    (
        "environments-hold-no-secrets",
        CRON,
        lambda p: _container(p).update(envFrom=[{"secretRef": {"name": "redis"}}]),
        "whole secret",
    ),
    (
        "images-are-named",
        DEPLOYMENT,
        lambda p: _container(p).update(image="10.0.0.1:5000/fixai"),
        "runs 10.0.0.1:5000/fixai",
    ),
    ("services-outlive-a-node", BUDGET, lambda p: p["spec"].update(maxUnavailable=2), "one pod"),
    (
        "services-outlive-a-node",
        BUDGET,
        lambda p: p["metadata"].update(namespace="elsewhere"),
        "no disruption budgets",
    ),
    (
        "namespaces-admit-restricted-pods-only",
        NAMESPACE,
        lambda p: p["metadata"].update(labels={}),
        "privileged",
    ),
    (
        "namespaces-are-closed",
        NETWORK,
        lambda p: p["spec"].update(policyTypes=["Ingress"]),
        "Egress",
    ),
]


def broken(type_: str, change: Change) -> list[Finding]:
    """What is found when every resource of a type is changed so."""
    resources: list[Resource] = []
    for resource in graph().resources:
        if resource.type == type_:
            properties = deepcopy(dict(resource.properties))
            change(properties)
            resources.append(replace(resource, properties=properties))
        else:
            resources.append(resource)
    return judge(Graph(resources), IN_CLUSTERS)


@pytest.mark.parametrize(("change", "says"), RESTRICTED, ids=[says for _, says in RESTRICTED])
def test_a_pod_that_is_not_restricted_is_found(change: Change, says: str) -> None:
    found = broken(DEPLOYMENT, change)
    assert {one.policy.name for one in found} == {"pods-are-restricted"}
    assert all(says in one.fault.what for one in found)


@pytest.mark.parametrize(
    ("policy", "type_", "change", "says"), OTHERS, ids=[f"{o[0]}-{o[3]}" for o in OTHERS]
)
def test_a_breach_is_found(policy: str, type_: str, change: Change, says: str) -> None:
    found = broken(type_, change)
    assert {one.policy.name for one in found} == {policy}
    assert any(says in one.fault.what for one in found)


def test_every_policy_has_a_breach() -> None:
    assert {"pods-are-restricted", *(name for name, *_ in OTHERS)} == BY_NAME.keys()


def test_jobs_end_by_themselves_and_are_not_asked_how_they_are() -> None:
    assert set(PODS) - set(SERVING) == {CRON, "kubernetes:batch/v1:Job"}


def test_a_variable_that_names_a_file_is_no_secret() -> None:
    named = broken(
        DEPLOYMENT, lambda p: _environment(p, name="MINIO_ROOT_PASSWORD_FILE", value="/run/x")
    )
    assert named == []
