"""The FixAI stack as it is recorded, of the project's site and of changed ones."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from components.fixai.traefik import Certificate
from inventory.fixai import ACCOUNTS, Part
from inventory.loading import load
from inventory.model import Site
from stacks import fixai
from tests.components.recorder import Recorded, Recording, opened, record

KUBECONFIG = Path("lab/kubeconfig")
TLS_KEY = "the-private-key"
PREFIX = "password-of-"
M = TypeVar("M", bound=Part)
WORKLOADS = ("Deployment", "StatefulSet", "Job", "CronJob")


def site(**changes: Any) -> Site:
    """The project's site, with other settings of FixAI: `kafka={"profile": "kraft"}`."""
    found = load("fixai")
    assert found.fixai is not None
    return found.model_copy(update={"fixai": changed(found.fixai, changes)})


def changed(settings: M, changes: dict[str, Any]) -> M:
    """Settings with others in their place, checked as a file's are."""
    fields = {name: getattr(settings, name) for name in type(settings).model_fields}
    for name, value in changes.items():
        inner = fields[name]
        fields[name] = changed(inner, value) if isinstance(inner, Part) else value
    return type(settings).model_validate(fields)


def recorded(of: Site, passwords: str = PREFIX) -> Recording:
    """What the stack declares of a site; passwords are plain, as no caller marked them."""
    secrets = fixai.Secrets(
        {name: f"{passwords}{name}" for name in ACCOUNTS},
        Certificate("the-certificate", TLS_KEY, "the-authority"),
    )
    return record(lambda: fixai.declare(of, secrets, KUBECONFIG))


@cache
def whole(profile: str = "zookeeper") -> Recording:
    """What is recorded of the project's site."""
    return recorded(site(kafka={"profile": profile}))


def templates(recording: Recording) -> dict[str, dict[str, Any]]:
    """The pods' templates by workload."""
    return {
        resource.inputs["metadata"]["name"]: template_of(resource)
        for resource in recording.resources
        if resource.type.endswith(WORKLOADS) and resource.type.startswith("kubernetes:")
    }


def namespaces(recording: Recording) -> dict[str, str]:
    """Where each workload is."""
    return {
        resource.inputs["metadata"]["name"]: resource.inputs["metadata"]["namespace"]
        for resource in recording.resources
        if resource.type.endswith(WORKLOADS) and resource.type.startswith("kubernetes:")
    }


def template_of(resource: Recorded) -> dict[str, Any]:
    """A workload's pod."""
    spec = resource.inputs["spec"]
    if resource.type.endswith("CronJob"):
        spec = spec["jobTemplate"]["spec"]
    found: dict[str, Any] = spec["template"]
    return found


def containers(template: dict[str, Any]) -> list[dict[str, Any]]:
    """All containers of a pod, those that begin it included."""
    spec = template["spec"]
    return [*spec.get("initContainers", []), *spec["containers"]]


def manifest(resource: Recorded) -> dict[str, Any]:
    """The object as it is sent to the API: secrets opened, numbers as they were written."""
    found: dict[str, Any] = _open(resource.inputs)
    return found


def _open(value: Any) -> Any:
    value = opened(value)
    if isinstance(value, dict):
        return {key: _open(below) for key, below in value.items()}
    if isinstance(value, list):
        return [_open(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
