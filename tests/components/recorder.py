"""Runs a program against the SDK's mocks and keeps every resource as it was registered."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pulumi
from pulumi.runtime import mocks, rpc
from pulumi.runtime.settings import configure

_SECRET = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105 - the SDK's mark of a secret value


@dataclass(frozen=True, slots=True)
class Recorded:
    """A resource as the engine would have seen it.

    Attributes:
        parent: URN, empty at the top.
        provider: reference of an explicit provider, empty where the default one serves.
        depends_on: URNs.
    """

    type: str
    name: str
    inputs: dict[str, Any]
    parent: str
    provider: str
    retain_on_delete: bool
    depends_on: tuple[str, ...]

    def is_secret(self, *path: str | int) -> bool:
        """Whether the value at a path into the inputs is, or lies in, a secret."""
        value: Any = self.inputs
        for part in path:
            if isinstance(value, dict) and value.get(rpc._special_sig_key) == _SECRET:
                return True
            value = value[part]
        return isinstance(value, dict) and value.get(rpc._special_sig_key) == _SECRET


@dataclass(slots=True)
class Recording:
    """All resources of a program, in the order of their registration."""

    resources: list[Recorded] = field(default_factory=list)

    def of_type(self, kind: str) -> dict[str, Recorded]:
        """The resources of a type, by name; `Container` means docker's."""
        return {r.name: r for r in self.resources if r.type.endswith(f":{kind}")}


class _Monitor(mocks.MockMonitor):
    """The SDK's mock engine, which keeps what its own mocks are not told."""

    def __init__(self, inner: mocks.Mocks, recording: Recording) -> None:
        super().__init__(inner)
        self.recording = recording

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802 - the name of the call
        inputs = rpc.deserialize_properties(request.object, keep_unknowns=True)
        plain = _plain(request.object)
        self.recording.resources.append(
            Recorded(
                type=request.type,
                name=request.name,
                inputs=plain if plain is not None else inputs,
                parent=request.parent,
                provider=request.provider or next(iter(request.providers.values()), ""),
                retain_on_delete=request.retainOnDelete,
                depends_on=tuple(request.dependencies),
            )
        )
        return super().RegisterResource(request)


def _plain(struct: Any) -> dict[str, Any]:
    from google.protobuf import json_format  # noqa: PLC0415 - beside its only use

    converted: dict[str, Any] = json_format.MessageToDict(struct)
    return converted


class _Mocks(mocks.Mocks):
    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str | None, dict[Any, Any]]:
        return f"{args.name}-id", {**args.inputs, "imageId": f"sha256:{args.name}"}

    def call(self, args: mocks.MockCallArgs) -> dict[Any, Any]:
        return args.args


def record(program: Callable[[], None]) -> Recording:
    """Runs a program to its end and returns all that it registered."""
    recording = Recording()
    inner = _Mocks()
    mocks.set_mocks(inner, project="hearth", stack="test", preview=False)
    settings = pulumi.runtime.settings.SETTINGS
    settings.monitor = _Monitor(inner, recording)
    configure(settings) if False else None  # noqa: B018
    pulumi.runtime.test(program)()
    return recording
