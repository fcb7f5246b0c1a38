"""Pulumi's values as Python's: secrets and unknown ones marked, whole numbers whole."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from google.protobuf import struct_pb2  # type: ignore[import-untyped]

_SIGNATURE = "4dabf18193072939515e22adb298388d"
"""The key by which Pulumi marks a map that stands for something else."""
_SECRET = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105 - the mark of a secret, none itself
_OUTPUT = "d0e6a833031e9bbcd3f4e8bde6ca49a4"
_UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"


class _Unknown(Enum):
    UNKNOWN = "unknown"

    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN: Final = _Unknown.UNKNOWN
"""Stands for what a plan does not know yet."""


@dataclass(frozen=True, slots=True)
class Secret:
    """A value that Pulumi encrypts in the state."""

    value: Any

    def __repr__(self) -> str:
        return "Secret(…)"


def from_struct(struct: struct_pb2.Struct) -> dict[str, Any]:
    """A message's properties; those that are null are left out."""
    found = {key: _from_value(value) for key, value in struct.fields.items()}
    return {key: value for key, value in found.items() if value is not None}


def to_struct(values: Mapping[str, Any]) -> struct_pb2.Struct:
    """The message of some properties."""
    return struct_pb2.Struct(fields={key: _to_value(value) for key, value in values.items()})


def _from_value(value: struct_pb2.Value) -> Any:
    which = value.WhichOneof("kind")
    if which == "string_value":
        return UNKNOWN if value.string_value == _UNKNOWN else value.string_value
    if which == "number_value":
        number = value.number_value
        return int(number) if number.is_integer() else number
    if which == "bool_value":
        return value.bool_value
    if which == "list_value":
        return [_from_value(item) for item in value.list_value.values]
    if which == "struct_value":
        return _from_map(value.struct_value)
    return None


def _from_map(struct: struct_pb2.Struct) -> Any:
    if _SIGNATURE not in struct.fields:
        return from_struct(struct)
    mark = struct.fields[_SIGNATURE].string_value
    if mark == _SECRET:
        return Secret(_from_value(struct.fields["value"]))
    if mark == _OUTPUT:
        known = "value" in struct.fields
        value = _from_value(struct.fields["value"]) if known else UNKNOWN
        return Secret(value) if struct.fields["secret"].bool_value else value
    raise TypeError("files and archives of Pulumi's are no part of a Kubernetes object")


def _to_value(value: Any) -> struct_pb2.Value:  # noqa: PLR0911 - a table of types
    if isinstance(value, Mapping):
        return struct_pb2.Value(struct_value=to_struct(value))
    if isinstance(value, list | tuple):
        items = [_to_value(item) for item in value]
        return struct_pb2.Value(list_value=struct_pb2.ListValue(values=items))
    if isinstance(value, str):
        return struct_pb2.Value(string_value=value)
    if isinstance(value, bool):
        return struct_pb2.Value(bool_value=value)
    if isinstance(value, int | float):
        return struct_pb2.Value(number_value=value)
    if isinstance(value, Secret):
        fields = {
            _SIGNATURE: struct_pb2.Value(string_value=_SECRET),
            "value": _to_value(value.value),
        }
        return struct_pb2.Value(struct_value=struct_pb2.Struct(fields=fields))
    if value is UNKNOWN:
        return struct_pb2.Value(string_value=_UNKNOWN)
    return struct_pb2.Value(null_value=struct_pb2.NULL_VALUE)


def reveal(value: Any) -> Any:
    """The value with its secrets in the open: for the server, never for a log or the state."""
    if isinstance(value, Secret):
        return reveal(value.value)
    if isinstance(value, Mapping):
        return {key: reveal(item) for key, item in value.items()}
    if isinstance(value, list):
        return [reveal(item) for item in value]
    return value


def has_secret(value: Any) -> bool:
    """Whether there is a secret in it, however deep."""
    return _any(value, lambda item: isinstance(item, Secret))


def is_known(value: Any) -> bool:
    """Whether all of it is known."""
    return not _any(value, lambda item: item is UNKNOWN)


def _any(value: Any, is_it: Callable[[Any], bool]) -> bool:
    if is_it(value):
        return True
    if isinstance(value, Mapping):
        return any(_any(item, is_it) for item in value.values())
    if isinstance(value, list):
        return any(_any(item, is_it) for item in value)
    return isinstance(value, Secret) and _any(value.value, is_it)


def as_secret_as(values: Mapping[str, Any], like: Mapping[str, Any]) -> dict[str, Any]:
    """Plain values, with those secret that are so in `like`.

    A list with a secret anywhere in it is secret as a whole: its items may have moved.
    """
    marked = dict(values)
    for key, model in like.items():
        if key not in marked:
            continue
        if isinstance(model, Mapping) and isinstance(marked[key], Mapping):
            marked[key] = as_secret_as(marked[key], model)
        elif has_secret(model) and not isinstance(marked[key], Secret):
            marked[key] = Secret(marked[key])
    return marked
