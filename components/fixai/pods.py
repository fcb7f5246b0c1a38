"""Pods as FixAI runs them: what all have in common, as documents of Kubernetes' API.

Every pod keeps to Pod Security's profile `restricted`, has probes, requests and limits, no token,
a root that it cannot write to, and starts anew when a setting or a secret of it changes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pulumi

from inventory.fixai import Pod as Size
from inventory.units import MIB

Document = dict[str, Any]

NAME, PART_OF = "app.kubernetes.io/name", "app.kubernetes.io/part-of"
CHECKSUM = "hearth.dev/settings"
"""The annotation that differs when the settings do."""
SECRETS = "/run/secrets/fixai"
USER = 10001
"""Whom every container runs as; the images' files are everybody's to read."""
HOSTNAME = "kubernetes.io/hostname"
CONTROL_PLANE = "node-role.kubernetes.io/control-plane"


@dataclass(frozen=True, slots=True)
class Where:
    """Where a workload's pods are.

    Attributes:
        namespace: its name.
        nodes: names of the nodes that they may be on, as the kubelet registered them.
        priority: a priority class; who has a lower one makes room. The cluster's default, if None.
    """

    namespace: pulumi.Input[str]
    nodes: Sequence[str]
    priority: pulumi.Input[str] | None = None


@dataclass(frozen=True, slots=True)
class Image:
    """What a container runs.

    Attributes:
        name: `registry/name:tag`.
        own: whether it is one of Hearth's: its entrypoint is given the path of a configuration.
            The vendor's is started by the vendor's command.
    """

    name: str
    own: bool = False

    def command(self, vendors: Sequence[str]) -> Sequence[str]:
        """The vendor's command, which Hearth's entrypoint stands for."""
        return () if self.own else vendors

    def arguments(self, configuration: str) -> Sequence[str]:
        """The configuration's path, where the entrypoint is given it."""
        return (configuration,) if self.own else ()


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret of the cluster as pods mount it: in `SECRETS/FOLDER`, a file a key.

    Attributes:
        keys: the ones that the pod sees.
        digest: differs when the secret does.
        folder: the secret's name, if left out.
    """

    name: str
    keys: Sequence[str]
    digest: pulumi.Input[str]
    folder: str | None = None

    def seen_as(self, folder: str) -> Secret:
        """The same in another's place."""
        return replace(self, folder=folder)


@dataclass(frozen=True, slots=True)
class Probes:
    """How the kubelet tells that a container is well.

    Attributes:
        ready: whether it gets connections.
        alive: it is started anew when this fails for a minute.
        startup_seconds: so long neither of them is asked, until `alive` first succeeds.
        timeout_seconds: of one question.
    """

    ready: Document
    alive: Document
    startup_seconds: int = 60
    timeout_seconds: int = 3


@dataclass(frozen=True, slots=True)
class Container:
    """A program in a pod.

    Attributes:
        command: in place of the image's own entrypoint.
        ports: by name.
        environment: never a secret.
        mounts: folders by the volume that they show.
        writable: volumes that it may write to; the others it only reads.
        probes: None for one that ends by itself.
        drain_seconds: so long it goes on answering after it is taken from its service, before it
            is told to stop.
    """

    name: str
    image: Image
    size: Size
    command: Sequence[str] = ()
    arguments: Sequence[str] = ()
    ports: Mapping[str, int] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    mounts: Mapping[str, str] = field(default_factory=dict)
    writable: Sequence[str] = ()
    probes: Probes | None = None
    drain_seconds: int = 0


@dataclass(frozen=True, slots=True)
class Pod:
    """What a workload's pods are made of.

    Attributes:
        name: of the workload: its label, by which services and network policies find it.
        volumes: sources by name; `/tmp` is there for each container.
        secrets: what its containers see in `SECRETS`.
        settings: texts of its configuration; when one changes, so do the pods.
        stop_seconds: between being told to stop and being killed.
        begins: containers that end before the others start.
        ends: whether it is a job's: it is not started anew.
        scratch_bytes: room in `/tmp`.
    """

    name: str
    where: Where
    containers: Sequence[Container]
    begins: Sequence[Container] = ()
    volumes: Mapping[str, Document] = field(default_factory=dict)
    secrets: Sequence[Secret] = ()
    settings: Sequence[pulumi.Input[str]] = ()
    stop_seconds: int = 30
    ends: bool = False
    scratch_bytes: int = 64 * MIB


def asks(path: str, port: int | str) -> Document:
    """A probe that wants an answer of 200 to 399."""
    return {"httpGet": {"path": path, "port": port}}


def connects(port: int | str) -> Document:
    """A probe that is content with a connection."""
    return {"tcpSocket": {"port": port}}


def labels(name: str) -> dict[str, str]:
    """What each object of a workload carries."""
    return {NAME: name, PART_OF: "fixai", "app.kubernetes.io/managed-by": "hearth"}


def selector(name: str) -> Document:
    """Finds the workload's pods."""
    return {"matchLabels": {NAME: name}}


def metadata(
    name: str, namespace: pulumi.Input[str] | None = None, of: str | None = None
) -> Document:
    """A name, a namespace where it has one, and the labels of the workload that it is part of."""
    found: Document = {"name": name, "labels": labels(of or name)}
    return found if namespace is None else found | {"namespace": namespace}


def template(pod: Pod) -> Document:
    """The pods of a workload."""
    return {
        "metadata": {
            "labels": labels(pod.name),
            "annotations": {
                CHECKSUM: digest(*pod.settings, *(secret.digest for secret in pod.secrets))
            },
        },
        "spec": _specification(pod),
    }


def digest(*texts: pulumi.Input[str]) -> pulumi.Output[str]:
    """Sixteen hexadecimal digits that differ when a text does, public where a text is secret.

    Secrets are 24 random bytes: nobody finds them from it.
    """
    return pulumi.Output.unsecret(pulumi.Output.all(*texts).apply(_hash))


def _hash(texts: Sequence[str]) -> str:
    return hashlib.sha256(json.dumps(texts).encode()).hexdigest()[:16]


def configuration(name: str) -> Document:
    """A volume of a ConfigMap's files."""
    return {"configMap": {"name": name, "defaultMode": 0o444}}


def scratch(size_bytes: int, *, in_memory: bool = False) -> Document:
    """A volume that lives as long as the pod."""
    medium = {"medium": "Memory"} if in_memory else {}
    return {"emptyDir": {"sizeLimit": quantity(size_bytes), **medium}}


def claimed(claim: str, *, read_only: bool = False) -> Document:
    """A volume that outlives the pod."""
    return {"persistentVolumeClaim": {"claimName": claim, "readOnly": read_only}}


def quantity(size_bytes: int) -> str:
    """A size as Kubernetes writes it: `512Mi`."""
    return f"{size_bytes // MIB}Mi" if size_bytes % MIB == 0 else str(size_bytes)


def cores(count: float) -> str:
    """Cores as Kubernetes writes them: `50m`, `2`."""
    return str(int(count)) if count == int(count) else f"{round(count * 1000)}m"


def _specification(pod: Pod) -> Document:
    volumes = {"tmp": scratch(pod.scratch_bytes), **pod.volumes}
    for secret in pod.secrets:
        volumes[f"secret-{secret.name}"] = {
            "secret": {
                "secretName": secret.name,
                "defaultMode": 0o440,
                "items": [{"key": key, "path": key} for key in secret.keys],
            }
        }
    found: Document = {
        "serviceAccountName": pod.name,
        "automountServiceAccountToken": False,
        # No environment variables that name every service of the namespace.
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": pod.stop_seconds,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "affinity": _on_nodes(pod.where.nodes),
        # A node of two is too many to leave to the control plane alone.
        "tolerations": [{"key": CONTROL_PLANE, "operator": "Exists", "effect": "NoSchedule"}],
        "containers": [_container(pod, container) for container in pod.containers],
        "volumes": [{"name": name, **source} for name, source in volumes.items()],
    }
    if pod.begins:
        found["initContainers"] = [_container(pod, container) for container in pod.begins]
    if pod.where.priority is not None:
        found["priorityClassName"] = pod.where.priority
    if pod.ends:
        found["restartPolicy"] = "Never"
    return found


def _on_nodes(nodes: Sequence[str]) -> Document:
    term = {"matchExpressions": [{"key": HOSTNAME, "operator": "In", "values": list(nodes)}]}
    return {
        "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}
        }
    }


def spread(name: str) -> Document:
    """Pods of one version of a workload stand on as many nodes as there are for them."""
    return {
        "topologySpreadConstraints": [
            {
                "maxSkew": 1,
                "topologyKey": HOSTNAME,
                # With one node for them all, they are there.
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": selector(name),
                "matchLabelKeys": ["pod-template-hash"],
                "nodeAffinityPolicy": "Honor",
                "nodeTaintsPolicy": "Honor",
            }
        ]
    }


def _container(pod: Pod, container: Container) -> Document:
    mounts = [
        {"name": volume, "mountPath": path, "readOnly": volume not in container.writable}
        for path, volume in container.mounts.items()
    ]
    for secret in pod.secrets:
        folder = f"{SECRETS}/{secret.folder or secret.name}"
        mounts.append({"name": f"secret-{secret.name}", "mountPath": folder, "readOnly": True})
    size = container.size
    found: Document = {
        "name": container.name,
        "image": container.image.name,
        "imagePullPolicy": "IfNotPresent",
        "resources": {
            "requests": {"cpu": cores(size.cpu), "memory": quantity(size.memory)},
            "limits": {"cpu": cores(size.cpu_limit), "memory": quantity(size.memory)},
        },
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [*mounts, {"name": "tmp", "mountPath": "/tmp", "readOnly": False}],  # noqa: S108
    }
    if container.command:
        found["command"] = list(container.command)
    if container.arguments:
        found["args"] = list(container.arguments)
    if container.environment:
        found["env"] = [{"name": n, "value": v} for n, v in container.environment.items()]
    if container.ports:
        found["ports"] = [
            {"name": n, "containerPort": port, "protocol": "TCP"}
            for n, port in container.ports.items()
        ]
    if container.drain_seconds:
        found["lifecycle"] = {"preStop": {"sleep": {"seconds": container.drain_seconds}}}
    if container.probes:
        found |= _probes(container.probes)
    return found


def _probes(probes: Probes) -> Document:
    each = {"timeoutSeconds": probes.timeout_seconds, "successThreshold": 1}
    return {
        "startupProbe": {
            **probes.alive,
            **each,
            "periodSeconds": 2,
            "failureThreshold": -(-probes.startup_seconds // 2),
        },
        "readinessProbe": {**probes.ready, **each, "periodSeconds": 5, "failureThreshold": 2},
        "livenessProbe": {**probes.alive, **each, "periodSeconds": 10, "failureThreshold": 6},
    }
