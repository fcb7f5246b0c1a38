"""A stack's resources as policies see them: recorded in a test, or told by the engine."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, NamedTuple

from inventory.cloud.model import Environment


class Unknown:
    """Stands where a value is known only after AWS has made something."""


UNKNOWN: Final = Unknown()


class NotYetKnownError(Exception):
    """A policy asked for a value that a preview cannot know; it judges when the value is there."""


@dataclass(frozen=True, slots=True)
class Resource:
    """A resource as it is asked to be.

    Attributes:
        type: `aws:kms/key:Key`.
        name: in the program.
        properties: by their names in Pulumi; secrets opened, `UNKNOWN` where not known yet.
        protect: whether the engine refuses to delete it.
        references: URNs of the resources from which a property comes.
    """

    urn: str
    type: str
    name: str
    properties: Mapping[str, Any]
    protect: bool = False
    references: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def get(self, path: str, default: Any = None) -> Any:
        """A property: `metadataOptions.httpTokens`; numbers in a path count list items.

        Raises:
            NotYetKnownError: AWS has to make something first.
        """
        value: Any = self.properties
        for step in path.split("."):
            if isinstance(value, Mapping):
                value = value.get(step)
            elif isinstance(value, Sequence) and not isinstance(value, str) and step.isdigit():
                value = value[int(step)] if int(step) < len(value) else None
            else:
                value = None
            if value is UNKNOWN:
                raise NotYetKnownError
        return default if value is None else value

    def has(self, path: str) -> bool:
        """Whether a property is given at all, known or not."""
        try:
            return bool(self.get(path))
        except NotYetKnownError:
            return True

    def each(self, path: str) -> Iterator[str]:
        """The paths of a list's items: `rules.0`, `rules.1`."""
        return (f"{path}.{index}" for index in range(len(self.get(path, ()))))

    def document(self, path: str) -> dict[str, Any]:
        """A property that is JSON, an IAM policy say; empty where it is not given."""
        text = self.get(path)
        found = json.loads(text) if isinstance(text, str) else text
        return found if isinstance(found, dict) else {}


@dataclass(frozen=True)
class Graph:
    """Resources, and the settings that they were declared from.

    Attributes:
        environment: what it promises; None where that is not known: then the strictest is asked.
    """

    resources: Sequence[Resource]
    environment: Environment | None = None

    def of_type(self, *types: str) -> list[Resource]:
        """All of these types."""
        return [resource for resource in self.resources if resource.type in types]

    def about(self, resource: Resource, type_: str, by: str) -> list[Resource]:
        """Those of a type whose property `by` comes from the resource."""
        return [
            found
            for found in self._of_type.get(type_, ())
            if resource.urn in found.references.get(by, frozenset())
        ]

    @cached_property
    def _of_type(self) -> Mapping[str, Sequence[Resource]]:
        found: dict[str, list[Resource]] = {}
        for resource in self.resources:
            found.setdefault(resource.type, []).append(resource)
        return found


class Fault(NamedTuple):
    """What is wrong with a resource, and what to do about it."""

    what: str
    remedy: str


Judge = Callable[[Resource, Graph], Iterator[Fault]]


@dataclass(frozen=True, slots=True)
class Policy:
    """A promise about resources of some types.

    Attributes:
        judge: yields what breaks it; its first line says what is promised.
        types: that it is about; empty for all of AWS.
        whole: whether it looks at other resources too, so that it can judge only at the end.
    """

    judge: Judge
    types: tuple[str, ...] = ()
    whole: bool = False

    @property
    def name(self) -> str:
        """`keys-rotate`."""
        return self.judge.__name__.replace("_", "-")

    @property
    def promise(self) -> str:
        """One sentence."""
        return (self.judge.__doc__ or "").partition("\n")[0]

    def concerns(self, resource: Resource) -> bool:
        """Whether the promise is about such a resource."""
        return resource.type in self.types if self.types else resource.type.startswith("aws:")


class Finding(NamedTuple):
    """A promise that a resource breaks."""

    policy: Policy
    resource: Resource
    fault: Fault

    def __str__(self) -> str:
        what, remedy = self.fault
        return f"{self.resource.name} ({self.resource.type}): {what}; {remedy}"


def judge(graph: Graph, policies: Sequence[Policy]) -> list[Finding]:
    """Everything that is wrong with a graph's resources, as far as it is known."""
    return [
        Finding(policy, resource, fault)
        for policy in policies
        for resource in graph.resources
        if policy.concerns(resource)
        for fault in _known(policy.judge(resource, graph))
    ]


def _known(faults: Iterator[Fault]) -> Iterator[Fault]:
    """Faults up to the point where something is not known yet."""
    try:
        yield from faults
    except NotYetKnownError:
        return
