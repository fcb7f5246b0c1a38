"""A graph's resources as Terraform would name them: for checkov, which reads nothing else.

Values that come from another resource are written as references to it, so that checks over several
resources find them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from policies.graph import Graph, Resource

Outputs = Callable[[Resource], Mapping[str, Any]]

MODULES: Mapping[str, str] = {"ec2": "", "lb": "lb_", "rds": "db_"}
"""Modules of Pulumi that Terraform names otherwise."""
TYPES: Mapping[str, str] = {
    "aws:lb/loadBalancer:LoadBalancer": "aws_lb",
    "aws:iam/openIdConnectProvider:OpenIdConnectProvider": "aws_iam_openid_connect_provider",
    "aws:ec2/vpcDhcpOptions:VpcDhcpOptions": "aws_vpc_dhcp_options",
}
DOCUMENTS = ("aws_iam_policy", "aws_iam_role_policy", "aws_ecr_repository_policy")
"""Types with a policy, of which checkov understands it in Terraform's own language only."""
PLURAL_BLOCKS = frozenset(
    {"block_device_mappings", "items", "network_interfaces", "tag_specifications"}
)
"""Blocks that Terraform, too, names in the plural; Pulumi does so with every block in a list."""


def write(graph: Graph, outputs: Outputs, folder: Path) -> None:
    """Writes `main.tf.json`, a line for each value, and `documents.tf`.

    Args:
        graph: resources of AWS; others are left out.
        outputs: what a resource has beyond its inputs, the id and ARN by which others name it.
        folder: that exists.
    """
    found = terraform(graph, outputs)
    (folder / "main.tf.json").write_text(json.dumps(found, indent=1))
    (folder / "documents.tf").write_text("\n".join(_documents(found["resource"])))


def _documents(found: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    for type_ in DOCUMENTS:
        for label, block in found.get(type_, {}).items():
            yield f'resource "{type_}" "{label}" {{\n  policy = jsonencode({block["policy"]})\n}}\n'


def terraform(graph: Graph, outputs: Outputs) -> dict[str, Any]:
    """What stands in `main.tf.json`.

    Args:
        graph: resources of AWS; others are left out.
        outputs: what a resource has beyond its inputs, the id and ARN by which others name it.
    """
    resources = [resource for resource in graph.resources if resource.type.startswith("aws:")]
    known = {resource.urn: dict(_references(resource, outputs)) for resource in resources}
    written: dict[str, dict[str, Any]] = {}
    for resource in resources:
        block = {
            _snake(name): _value(value, _naming(resource.references.get(name, ()), known))
            for name, value in resource.properties.items()
        }
        merged = dict(_block(block))
        written.setdefault(terraform_type(resource.type), {})[_label(resource)] = merged
    return {"resource": written}


def terraform_type(type_: str) -> str:
    """`aws_kms_key` of `aws:kms/key:Key`."""
    if type_ in TYPES:
        return TYPES[type_]
    module, _, name = type_.removeprefix("aws:").partition(":")[0].partition("/")
    return f"aws_{MODULES.get(module, f'{module}_')}{_snake(name)}"


def _label(resource: Resource) -> str:
    return re.sub(r"[^\w-]", "-", resource.name)


def _references(resource: Resource, outputs: Outputs) -> Iterator[tuple[str, str]]:
    """The texts that AWS makes of a resource, each with the reference that Terraform has for it."""
    at = f"{terraform_type(resource.type)}.{_label(resource)}"
    found = outputs(resource)
    for name in ("id", "arn", *found):
        text = found.get(name)
        if isinstance(text, str) and text and text not in resource.properties.values():
            yield text, f"${{{at}.{_snake(name)}}}"
    if isinstance(found.get("id"), str):
        yield found["id"], f"${{{at}.id}}"


def _naming(urns: Any, known: Mapping[str, Mapping[str, str]]) -> Mapping[str, str]:
    """The references to some resources, by the texts that they stand for, longest first."""
    found = {text: to for urn in urns for text, to in known.get(urn, {}).items()}
    return dict(sorted(found.items(), key=lambda pair: -len(pair[0])))


def _value(value: Any, naming: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return _referring(value, naming)
    if isinstance(value, list):
        return [_value(item, naming) for item in value]
    if isinstance(value, Mapping):
        return {name: _value(below, naming) for name, below in value.items()}
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _referring(text: str, naming: Mapping[str, str]) -> str:
    if not naming:
        return text
    pattern = "|".join(re.escape(made) for made in naming)
    return re.sub(pattern, lambda match: naming[match[0]], text)


def _block(block: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """A block's attributes and blocks; tags and JSON documents are nobody's blocks."""
    for name, value in block.items():
        if isinstance(value, list) and value and all(isinstance(item, Mapping) for item in value):
            singular = name if name in PLURAL_BLOCKS else _singular(name)
            yield singular, [dict(_block(_snaked(item))) for item in value]
        elif isinstance(value, Mapping) and name not in {"tags", "tags_all", "variables"}:
            yield name, dict(_block(_snaked(value)))
        else:
            yield name, value


def _snaked(block: Mapping[str, Any]) -> dict[str, Any]:
    return {_snake(name): value for name, value in block.items()}


def _singular(name: str) -> str:
    if name.endswith("ies"):
        return f"{name.removesuffix('ies')}y"
    return name.removesuffix("es") if name.endswith("ses") else name.removesuffix("s")


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
