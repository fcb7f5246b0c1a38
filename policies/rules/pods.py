"""Pods, and what has to be around them: what runs in a cluster of Kubernetes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from policies.graph import UNKNOWN, Fault, Graph, Policy, Resource

_PODS_OF = {
    "kubernetes:core/v1:Pod": "spec",
    "kubernetes:apps/v1:Deployment": "spec.template.spec",
    "kubernetes:apps/v1:StatefulSet": "spec.template.spec",
    "kubernetes:apps/v1:DaemonSet": "spec.template.spec",
    "kubernetes:batch/v1:Job": "spec.template.spec",
    "kubernetes:batch/v1:CronJob": "spec.jobTemplate.spec.template.spec",
}
"""By type: where its pods are described."""
PODS = tuple(_PODS_OF)
_ENDING = ("kubernetes:batch/v1:Job", "kubernetes:batch/v1:CronJob")
SERVING = tuple(kind for kind in PODS if kind not in _ENDING)
NAMESPACE = "kubernetes:core/v1:Namespace"
BUDGET = "kubernetes:policy/v1:PodDisruptionBudget"
NETWORK = "kubernetes:networking.k8s.io/v1:NetworkPolicy"

_VOLUMES = {
    *("configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim"),
    *("projected", "secret"),
}
_SECCOMP = {"RuntimeDefault", "Localhost"}
_SYSCTLS = {
    *("kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.tcp_syncookies"),
    *("net.ipv4.ping_group_range", "net.ipv4.ip_unprivileged_port_start"),
}
_SECRET = re.compile(r"(PASSWORD|SECRET|TOKEN|API_?KEY|PRIVATE_?KEY|CREDENTIAL)S?$")
"""The end of a variable's name that holds what nobody may see; one that names a file is none."""

Part = Mapping[str, Any]


def pods_are_restricted(workload: Resource, _graph: Graph) -> Iterator[Fault]:
    """Pods keep to Pod Security's profile `restricted`."""
    spec = _pod(workload)
    for what in (*_loose_pod(spec), *_loose_containers(spec)):
        yield Fault(what, "see Pod Security Standards, restricted")


def roots_are_read_only(workload: Resource, _graph: Graph) -> Iterator[Fault]:
    """A container writes to volumes only: what it runs stays what it was."""
    for container in _containers(_pod(workload)):
        if not _get(container, "securityContext", "readOnlyRootFilesystem"):
            yield Fault(
                f"{container['name']} can write to its root", "set readOnlyRootFilesystem: true"
            )


def containers_say_what_they_take(workload: Resource, _graph: Graph) -> Iterator[Fault]:
    """Every container has requests and limits, and gets all of its memory."""
    for container in _containers(_pod(workload)):
        missing = [
            f"{kind}.{what}"
            for kind in ("requests", "limits")
            for what in ("cpu", "memory")
            if not _get(container, "resources", kind, what)
        ]
        if missing:
            yield Fault(f"{container['name']} has no {', '.join(missing)}", "give its resources")
        elif (
            container["resources"]["requests"]["memory"]
            != container["resources"]["limits"]["memory"]
        ):
            yield Fault(
                f"{container['name']} may take memory that it is not sure of",
                "request as much memory as the limit",
            )


def containers_are_asked_how_they_are(workload: Resource, _graph: Graph) -> Iterator[Fault]:
    """What serves has probes for its start, its readiness and its life."""
    for container in _pod(workload).get("containers", ()):
        missing = [
            probe
            for probe in ("startupProbe", "readinessProbe", "livenessProbe")
            if not container.get(probe)
        ]
        if missing:
            yield Fault(f"{container['name']} has no {', '.join(missing)}", "add them")


def pods_have_no_token(workload: Resource, _graph: Graph) -> Iterator[Fault]:
    """A pod cannot ask the cluster's API, and is nobody's default account."""
    spec = _pod(workload)
    if spec.get("automountServiceAccountToken") is not False:
        yield Fault("is given a token", "set automountServiceAccountToken: false")
    if spec.get("serviceAccountName", "default") == "default":
        yield Fault("is the namespace's default account", "give it a service account of its own")


def environments_hold_no_secrets(workload: Resource, _graph: Graph) -> Iterator[Fault]:
    """Secrets are files: variables end up in dumps, logs and every child process."""
    for container in _containers(_pod(workload)):
        for variable in container.get("env", ()):
            if _get(variable, "valueFrom", "secretKeyRef") or (
                _SECRET.search(variable["name"]) and variable.get("value")
            ):
                yield Fault(
                    f"{container['name']} has {variable['name']} in its environment",
                    "mount the secret as a file",
                )
        if any("secretRef" in source for source in container.get("envFrom", ())):
            yield Fault(
                f"{container['name']} has a whole secret in its environment",
                "mount the secret as a file",
            )


def images_are_named(workload: Resource, _graph: Graph) -> Iterator[Fault]:
    """An image has a tag that says which, or a digest."""
    for container in _containers(_pod(workload)):
        image = str(container["image"])
        tag = image.rpartition("/")[2].partition(":")[2]
        if "@sha256:" not in image and tag in {"", "latest"}:
            yield Fault(f"{container['name']} runs {image}", "name a version's tag")


def services_outlive_a_node(workload: Resource, graph: Graph) -> Iterator[Fault]:
    """Who empties a node takes one pod of a workload at a time."""
    labels = workload.get("spec.template.metadata.labels", {})
    namespace = workload.get("metadata.namespace")
    budgets = [
        budget
        for budget in graph.of_type(BUDGET)
        if budget.get("metadata.namespace") == namespace
        and _selects(budget.get("spec.selector.matchLabels", {}), labels)
    ]
    if len(budgets) != 1:
        yield Fault(
            f"has {len(budgets) or 'no'} disruption budgets", "add one with maxUnavailable: 1"
        )
    elif budgets[0].get("spec.maxUnavailable") != 1:
        yield Fault("its disruption budget is not of one pod", "set maxUnavailable: 1")


def namespaces_admit_restricted_pods_only(namespace: Resource, _graph: Graph) -> Iterator[Fault]:
    """A namespace refuses pods that Pod Security's profile `restricted` would not have."""
    label = "pod-security.kubernetes.io/enforce"
    found = namespace.get("metadata.labels", {}).get(label)
    if found != "restricted":
        yield Fault(f"admits pods of the profile {found or 'privileged'}", f"label it {label}")


def namespaces_are_closed(namespace: Resource, graph: Graph) -> Iterator[Fault]:
    """In a namespace nobody connects to anybody unless a policy says so."""
    name = namespace.get("metadata.name")
    closed = {
        direction
        for policy in graph.of_type(NETWORK)
        if policy.get("metadata.namespace") == name
        and not policy.get("spec.podSelector")
        and not policy.get("spec.ingress")
        and not policy.get("spec.egress")
        for direction in policy.get("spec.policyTypes", ())
    }
    for direction in sorted({"Ingress", "Egress"} - closed):
        yield Fault(
            f"is open ({direction})", "add a NetworkPolicy that selects all and admits none"
        )


def _pod(workload: Resource) -> Part:
    found: Part = workload.get(_PODS_OF[workload.type], {})
    return found


def _containers(spec: Part) -> list[Part]:
    return [*spec.get("initContainers", ()), *spec.get("containers", ())]


def _get(part: Any, *path: str) -> Any:
    for step in path:
        part = part.get(step) if isinstance(part, Mapping) else None
    return part


def _selects(wanted: Part, labels: Part) -> bool:
    return bool(wanted) and all(labels.get(key) == value for key, value in wanted.items())


def _loose_pod(spec: Part) -> Iterator[str]:
    for name in ("hostNetwork", "hostPID", "hostIPC"):
        if spec.get(name):
            yield f"shares its node's ({name})"
    for volume in spec.get("volumes", ()):
        for kind in volume.keys() - {"name"} - _VOLUMES:
            yield f"volume {volume['name']} is a {kind}"
    for sysctl in _get(spec, "securityContext", "sysctls") or ():
        if sysctl["name"] not in _SYSCTLS:
            yield f"sets {sysctl['name']}"


def _loose_containers(spec: Part) -> Iterator[str]:
    of_pod = spec.get("securityContext") or {}
    for container in _containers(spec):
        name, own = container["name"], container.get("securityContext") or {}
        for what in (*_loose_rights(own), *_loose_identity(own, of_pod)):
            yield f"{name} {what}"
        if any(port.get("hostPort") for port in container.get("ports", ())):
            yield f"{name} takes a port of its node (hostPort)"


def _loose_rights(own: Part) -> Iterator[str]:
    """What a container may do to its node."""
    capabilities = own.get("capabilities") or {}
    if own.get("privileged"):
        yield "is privileged"
    if own.get("allowPrivilegeEscalation") is not False:
        yield "can gain privileges (allowPrivilegeEscalation)"
    if "ALL" not in capabilities.get("drop", ()):
        yield "keeps capabilities (drop ALL)"
    if added := set(capabilities.get("add", ())) - {"NET_BIND_SERVICE"}:
        yield f"has {', '.join(sorted(added))}"
    if own.get("procMount", "Default") != "Default":
        yield "sees more of /proc (procMount)"


def _loose_identity(own: Part, of_pod: Part) -> Iterator[str]:
    """Whom it runs as; what a container does not say its pod does."""
    if own.get("runAsNonRoot", of_pod.get("runAsNonRoot")) is not True:
        yield "may be root (runAsNonRoot)"
    if own.get("runAsUser", of_pod.get("runAsUser")) == 0:
        yield "is root (runAsUser)"
    profile = _get(own, "seccompProfile", "type") or _get(of_pod, "seccompProfile", "type")
    if profile not in _SECCOMP and profile is not UNKNOWN:
        yield "may call everything of the kernel (seccompProfile)"


POLICIES = (
    Policy(pods_are_restricted, PODS),
    Policy(roots_are_read_only, PODS),
    Policy(containers_say_what_they_take, PODS),
    Policy(containers_are_asked_how_they_are, SERVING),
    Policy(pods_have_no_token, PODS),
    Policy(environments_hold_no_secrets, PODS),
    Policy(images_are_named, PODS),
    Policy(services_outlive_a_node, SERVING, whole=True),
    Policy(namespaces_admit_restricted_pods_only, (NAMESPACE,)),
    Policy(namespaces_are_closed, (NAMESPACE,), whole=True),
)
