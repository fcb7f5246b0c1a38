"""Resources out of the engine's messages, and out of what tests record of a program."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from pulumi.runtime import rpc

from policies.graph import UNKNOWN, Resource


class Sent(Protocol):
    """A resource as a program sent it: what `tests.components.recorder` keeps."""

    @property
    def urn(self) -> str: ...  # noqa: D102
    @property
    def type(self) -> str: ...  # noqa: D102
    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def inputs(self) -> dict[str, Any]: ...  # noqa: D102
    @property
    def protect(self) -> bool: ...  # noqa: D102
    @property
    def references(self) -> Mapping[str, frozenset[str]]: ...  # noqa: D102


def resource_of(sent: Sent) -> Resource:
    """A recorded resource."""
    return Resource(
        sent.urn, sent.type, sent.name, plain(sent.inputs), sent.protect, sent.references
    )


def resource_of_state(state: Mapping[str, Any]) -> Resource:
    """A resource as the engine's plan or state has it."""
    references = state.get("propertyDependencies") or {}
    urn = state["urn"]
    return Resource(
        urn,
        state["type"],
        urn.split("::", 3)[3],
        plain(state.get("inputs") or {}),
        bool(state.get("protect")),
        {name: frozenset(urns) for name, urns in references.items()},
    )


def plain(value: Any) -> Any:
    """A value out of the envelopes of secrets, with `UNKNOWN` for what is not known yet."""
    if value == rpc.UNKNOWN:
        return UNKNOWN
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        signature = value.get(rpc._special_sig_key)  # noqa: SLF001 - the wire's format
        if signature in _ENVELOPES:
            return plain(value.get("value", rpc.UNKNOWN))
        return {key: plain(below) for key, below in value.items()}
    return value


_ENVELOPES = (rpc._special_secret_sig, rpc._special_output_value_sig)  # noqa: SLF001 - as above
