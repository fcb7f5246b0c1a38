"""The whole stack's graph, as policies and checkov see it."""

from __future__ import annotations

from functools import cache
from typing import Any

from inventory.cloud.loading import load_environment
from policies.graph import Graph, Resource
from policies.wire import resource_of
from tests.components.production.whole import whole
from tools.aws_echo import made_outputs

ENVIRONMENTS = ("production", "dev")


@cache
def graph_of(environment: str) -> Graph:
    """What is recorded of an environment, with its settings."""
    return Graph(
        [resource_of(recorded) for recorded in whole(environment).resources],
        load_environment(environment),
    )


def made(resource: Resource) -> dict[str, Any]:
    """What the recorder's mocks made of a resource."""
    kind = resource.type.removeprefix("aws:")
    return made_outputs(kind, resource.name, resource.name, resource.properties)
