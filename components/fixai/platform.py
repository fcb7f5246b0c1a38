"""What FixAI stands on: namespaces, their limits, priorities, and where data is kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
from pulumi_kubernetes.core.v1 import LimitRange, Namespace, PersistentVolume, ResourceQuota
from pulumi_kubernetes.scheduling.v1 import PriorityClass
from pulumi_kubernetes.storage.v1 import StorageClass

from components.fixai.objects import Storage
from components.fixai.pods import HOSTNAME, Document, metadata, quantity
from inventory.fixai import Claim

STORAGE_CLASS = "local"
STORES, SERVICES, BATCH = "fixai-stores", "fixai-services", "fixai-batch"
_PRIORITIES = {
    STORES: (1_000_000, "what keeps data: the last to make room"),
    SERVICES: (100_000, "what answers citizens and works on their reports"),
    BATCH: (1_000, "what can wait: backups, figures"),
}
_PODS = 80
"""More than the most of all workloads: a mistake ends here, not at the node's end."""


@dataclass(frozen=True, slots=True)
class PlatformArgs:
    """What it is made of.

    Attributes:
        namespaces: to be made, each held to Pod Security's profile `restricted`.
        claims: by name; each claim is bound to a folder of its node and no other.
        claims_namespace: where the claims will be.
    """

    namespaces: Sequence[str]
    claims: Mapping[str, Claim]
    claims_namespace: str


class Platform(pulumi.ComponentResource):
    """Made before everything else, and gone after it.

    Volumes are folders of nodes, which the bootstrap makes. Nothing deletes what is in them.
    """

    namespaces: dict[str, pulumi.Output[str]]
    storage: dict[str, Storage]

    def __init__(
        self, name: str, args: PlatformArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("hearth:fixai:Platform", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        self.namespaces = {}
        for namespace in args.namespaces:
            made = Namespace(f"{name}-{namespace}", metadata=_restricted(namespace), opts=child)
            self.namespaces[namespace] = made.metadata["name"]
            inside = pulumi.ResourceOptions(parent=self, depends_on=[made])
            LimitRange(
                f"{name}-{namespace}-limits",
                metadata=metadata("limits", namespace),
                spec={"limits": [_UNSAID]},
                opts=inside,
            )
            ResourceQuota(
                f"{name}-{namespace}-quota",
                metadata=metadata("quota", namespace),
                spec={"hard": _QUOTA},
                opts=inside,
            )
        for called, (value, description) in _PRIORITIES.items():
            PriorityClass(
                f"{name}-{called}",
                metadata=metadata(called),
                value=value,
                description=description,
                global_default=False,
                # A backup waits for room, it takes nobody's.
                preemption_policy="Never" if called == BATCH else "PreemptLowerPriority",
                opts=child,
            )
        storage_class = StorageClass(
            f"{name}-storage-class",
            metadata=metadata(STORAGE_CLASS),
            provisioner="kubernetes.io/no-provisioner",
            volume_binding_mode="WaitForFirstConsumer",
            reclaim_policy="Retain",
            allow_volume_expansion=False,
            opts=child,
        )
        self.storage = {}
        for claim in args.claims.values():
            volume = PersistentVolume(
                f"{name}-volume-{claim.name}",
                metadata=metadata(f"fixai-{claim.name}"),
                spec=_volume(claim, args.claims_namespace),
                opts=pulumi.ResourceOptions(parent=self, depends_on=[storage_class]),
            )
            self.storage[claim.name] = Storage(
                claim.size_bytes, STORAGE_CLASS, volume.metadata["name"]
            )
        self.register_outputs({"namespaces": self.namespaces})


_UNSAID = {
    "type": "Container",
    "default": {"cpu": "500m", "memory": "128Mi"},
    "defaultRequest": {"cpu": "10m", "memory": "64Mi"},
}
"""What a container gets that does not say."""

_QUOTA = {"pods": str(_PODS), "services.nodeports": "0", "services.loadbalancers": "0"}
"""Nothing is opened to the world but by the gateway's addresses."""


def _restricted(namespace: str) -> Document:
    """A namespace that admits no pod but those of the strictest profile."""
    found = metadata(namespace)
    for mode in ("enforce", "audit", "warn"):
        found["labels"][f"pod-security.kubernetes.io/{mode}"] = "restricted"
        found["labels"][f"pod-security.kubernetes.io/{mode}-version"] = "latest"
    return found


def _volume(claim: Claim, namespace: str) -> Document:
    here = {"matchExpressions": [{"key": HOSTNAME, "operator": "In", "values": [claim.host]}]}
    return {
        "capacity": {"storage": quantity(claim.size_bytes)},
        "accessModes": ["ReadWriteOnce"],
        "volumeMode": "Filesystem",
        "persistentVolumeReclaimPolicy": "Retain",
        "storageClassName": STORAGE_CLASS,
        "local": {"path": claim.path},
        "nodeAffinity": {"required": {"nodeSelectorTerms": [here]}},
        # Nobody else's claim may take it, however well it would fit.
        "claimRef": {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "name": claim.name,
            "namespace": namespace,
        },
    }
