"""What a change of a resource's inputs changes, and what of it makes another object."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from tools.kubernetes_plugin.fields import Owned, field, item
from tools.kubernetes_plugin.kinds import CONFIG_MAP, SECRET, Kind

Path = tuple[str | int, ...]


class How(Enum):
    """What becomes of a property."""

    ADD = "ADD"
    DELETE = "DELETE"
    UPDATE = "UPDATE"


@dataclass(frozen=True, slots=True)
class Change:
    """A property that changes.

    Attributes:
        path: names and indexes from the top.
        how: what becomes of it.
        replaces: whether the server cannot change it in place.
    """

    path: Path
    how: How
    replaces: bool

    @property
    def text(self) -> str:
        """The path as Pulumi writes it."""
        text = ""
        for part in self.path:
            if isinstance(part, int):
                text += f"[{part}]"
            elif not part.replace("_", "").isalnum():
                text += f'["{part}"]'
            else:
                text += f".{part}" if text else part
        return text


@dataclass(frozen=True, slots=True)
class Mutable:
    """Which objects change in place though by default they are made anew, so that Pods see it."""

    config_maps: bool = False
    secrets: bool = False


_IDENTITY = ("metadata.name", "metadata.namespace")
_SELECTOR = ("spec.selector",)
_VOLUME_SOURCES = (
    "awsElasticBlockStore",
    "azureDisk",
    "azureFile",
    "cephfs",
    "cinder",
    "csi",
    "fc",
    "flexVolume",
    "gcePersistentDisk",
    "glusterfs",
    "hostPath",
    "iscsi",
    "local",
    "nfs",
    "photonPersistentDisk",
    "portworxVolume",
    "quobyte",
    "rbd",
    "scaleIO",
    "storageos",
    "vsphereVolume",
)
_IMMUTABLE: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("apiextensions.k8s.io", "CustomResourceDefinition"): ("spec.group", "spec.scope"),
    ("apps", "DaemonSet"): _SELECTOR,
    ("apps", "Deployment"): _SELECTOR,
    ("apps", "ReplicaSet"): _SELECTOR,
    ("apps", "StatefulSet"): (
        "spec.podManagementPolicy",
        "spec.selector",
        "spec.serviceName",
        "spec.volumeClaimTemplates",
    ),
    ("batch", "Job"): (
        "spec.completionMode",
        "spec.completions",
        "spec.podFailurePolicy",
        "spec.selector",
        "spec.template",
    ),
    ("networking.k8s.io", "IngressClass"): ("spec.controller",),
    ("node.k8s.io", "RuntimeClass"): ("handler",),
    ("rbac.authorization.k8s.io", "ClusterRoleBinding"): ("roleRef",),
    ("rbac.authorization.k8s.io", "RoleBinding"): ("roleRef",),
    ("scheduling.k8s.io", "PriorityClass"): ("preemptionPolicy", "value"),
    ("storage.k8s.io", "StorageClass"): (
        "parameters",
        "provisioner",
        "reclaimPolicy",
        "volumeBindingMode",
    ),
    ("", "PersistentVolume"): (
        "spec.nodeAffinity",
        "spec.volumeMode",
        *(f"spec.{source}" for source in _VOLUME_SOURCES),
    ),
    ("", "PersistentVolumeClaim"): (
        "spec.accessModes",
        "spec.dataSource",
        "spec.dataSourceRef",
        "spec.selector",
        "spec.storageClassName",
        "spec.volumeMode",
        "spec.volumeName",
    ),
    ("", "Pod"): ("spec",),
    ("", "ResourceQuota"): ("spec.scopeSelector", "spec.scopes"),
    ("", "Secret"): ("type",),
    ("", "Service"): ("spec.clusterIP",),
}
"""What the server refuses to change, by group and kind."""

_POD_CHANGES = (
    "spec.activeDeadlineSeconds",
    "spec.containers.image",
    "spec.initContainers.image",
    "spec.tolerations",
)
_DATA = ("binaryData", "data", "stringData")


def changes(
    kind: Kind,
    old: Mapping[str, Any],
    new: Mapping[str, Any],
    owned: Owned,
    mutable: Mutable,
) -> list[Change]:
    """What differs between old inputs and new ones.

    A field that leaves the program is a change only if it is ours: the server keeps the others.
    """
    fixed = _immutable(kind, old, mutable)
    found = _differences(old, new, owned, ())
    return [Change(path, how, replaces=_is_fixed(kind, fixed, path)) for path, how in found]


def _immutable(kind: Kind, old: Mapping[str, Any], mutable: Mutable) -> tuple[str, ...]:
    fixed = (*_IDENTITY, *_IMMUTABLE.get((kind.group, kind.name), ()))
    pair = (kind.version, kind.name)
    anew = (pair == CONFIG_MAP and not mutable.config_maps) or (
        pair == SECRET and not mutable.secrets
    )
    if pair in (CONFIG_MAP, SECRET) and (anew or old.get("immutable") is True):
        fixed += _DATA
        fixed += ("immutable",) if old.get("immutable") is True else ()
    return fixed


def _is_fixed(kind: Kind, fixed: tuple[str, ...], path: Path) -> bool:
    names = ".".join(part for part in path if isinstance(part, str))
    if (kind.group, kind.name) == ("", "Pod") and _starts(names, _POD_CHANGES):
        return False
    return _starts(names, fixed)


def _starts(names: str, with_: tuple[str, ...]) -> bool:
    return any(names == start or names.startswith(f"{start}.") for start in with_)


def _differences(
    old: Mapping[str, Any], new: Mapping[str, Any], owned: Owned, above: Path
) -> Iterator[tuple[Path, How]]:
    for key in sorted(old.keys() | new.keys()):
        path = (*above, key)
        below = field(owned, key)
        if key not in new:
            if not _is_foreign(below):
                yield path, How.DELETE
        elif key not in old:
            yield path, How.ADD
        else:
            yield from _within(old[key], new[key], below, path)


def _is_foreign(owned: Owned) -> bool:
    """Whether nothing below is ours."""
    return bool(owned) and set(owned) == {"."}


def _within(old: Any, new: Any, owned: Owned, path: Path) -> Iterator[tuple[Path, How]]:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        yield from _differences(old, new, owned, path)
    elif isinstance(old, list) and isinstance(new, list):
        for index, (one, other) in enumerate(zip(old, new, strict=False)):
            yield from _within(one, other, item(owned, one), (*path, index))
        for index in range(len(old), len(new)):
            yield (*path, index), How.ADD
        for index in range(len(new), len(old)):
            yield (*path, index), How.DELETE
    elif old != new:
        yield path, How.UPDATE
