"""Tags on everything that takes them: what an account's bill and its audit go by."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module
from typing import Any

import pulumi

from inventory.cloud.model import Environment

LAUNCH_TEMPLATE = "aws:ec2/launchTemplate:LaunchTemplate"
LAUNCHED = ("instance", "volume", "network-interface")
"""What EC2 makes from a launch template; the template's own tags are not theirs."""

Transform = Callable[[pulumi.ResourceTransformArgs], pulumi.ResourceTransformResult | None]


def tags_of(environment: Environment) -> dict[str, str]:
    """What every resource of an environment is tagged with."""
    return {
        "Environment": environment.name,
        "Owner": environment.owner,
        "ManagedBy": "hearth",
    }


def tag_everything(tags: Mapping[str, str]) -> None:
    """Tags every resource that is declared from now on and takes tags."""
    pulumi.runtime.register_resource_transform(tagging(tags))


def tagging(tags: Mapping[str, str]) -> Transform:
    """A transform that adds tags; a resource's others stay, those of the same name give way."""

    def transform(args: pulumi.ResourceTransformArgs) -> pulumi.ResourceTransformResult | None:
        if not args.custom or not takes_tags(args.type_):
            return None
        props: dict[str, Any] = {**args.props, "tags": _merged(args.props.get("tags"), tags)}
        if args.type_ == LAUNCH_TEMPLATE:
            given: Any = args.props.get("tagSpecifications") or []
            props["tagSpecifications"] = _specifications(given, tags)
        return pulumi.ResourceTransformResult(props, args.opts)

    return transform


@cache
def takes_tags(token: str) -> bool:
    """Whether a type of pulumi_aws has tags, as a map.

    Args:
        token: the type, `aws:ec2/vpc:Vpc`.
    """
    package, _, rest = token.partition(":")
    module, _, name = rest.partition("/")
    if package != "aws" or not name:
        return False
    kind = getattr(import_module(f"pulumi_aws.{module}"), token.rpartition(":")[2])
    tags = inspect.signature(kind._internal_init).parameters.get("tags")  # noqa: SLF001 - the SDK says it nowhere else
    return tags is not None and "Mapping" in str(tags.annotation)


def _merged(own: Any, tags: Mapping[str, str]) -> Any:
    if own is None or isinstance(own, Mapping):
        return {**(own or {}), **tags}
    return pulumi.Output.from_input(own).apply(lambda known: {**(known or {}), **tags})


def _specifications(
    given: list[Mapping[str, Any]], tags: Mapping[str, str]
) -> list[Mapping[str, Any]]:
    found = {entry["resourceType"]: entry for entry in given}
    wanted = dict.fromkeys([*found, *LAUNCHED])
    return [
        {"resourceType": kind, "tags": _merged(found.get(kind, {}).get("tags"), tags)}
        for kind in wanted
    ]
