"""Types for the quantities that a site file states: byte sizes, durations, names."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PlainSerializer, WithJsonSchema

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB

Protocol = Literal["tcp", "udp"]

_SIZE_UNITS = {
    "B": 1,
    "KiB": KIB,
    "MiB": MIB,
    "GiB": GIB,
    "TiB": 1024 * GIB,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
}
_SIZE = re.compile(r"^(\d+(?:\.\d+)?)\s*([KMGT]i?B|B)$")
_DURATION_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"^(\d+(?:\.\d+)?)(ms|s|m|h|d)$")


def parse_size(value: Any) -> int:
    """Bytes from a text such as `8GiB` (powers of 1024) or `1TB` (powers of 1000)."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    match = _SIZE.match(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError("is not a size; write a number and a unit, such as 512MiB, 8GiB or 1TB")
    return int(float(match[1]) * _SIZE_UNITS[match[2]])


def parse_duration(value: Any) -> timedelta:
    """A duration from a text such as `500ms`, `2s`, `1m`, `1h` or `1d`."""
    if isinstance(value, timedelta):
        return value
    match = _DURATION.match(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError("is not a duration; write a number and a unit, such as 500ms, 2s or 1m")
    return timedelta(seconds=float(match[1]) * _DURATION_UNITS[match[2]])


def format_size(size_bytes: int) -> str:
    """A size for people: `9.2 GiB`, `512 MiB`."""
    for unit, factor in (("GiB", GIB), ("MiB", MIB), ("KiB", KIB)):
        if size_bytes >= factor:
            return f"{size_bytes / factor:.1f}".removesuffix(".0") + f" {unit}"
    return f"{size_bytes} B"


def format_port(port: int, protocol: Protocol) -> str:
    """A port as Docker writes it, TCP unsaid: `443`, `53/udp`."""
    return str(port) if protocol == "tcp" else f"{port}/{protocol}"


Bytes = Annotated[
    int,
    BeforeValidator(parse_size),
    Field(ge=0),
    WithJsonSchema({"type": ["string", "integer"], "examples": ["512MiB", "8GiB", "1TB"]}),
]
Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    PlainSerializer(lambda value: value.total_seconds(), return_type=float),
    WithJsonSchema({"type": "string", "examples": ["500ms", "2s", "1m"]}),
]
NAME_PATTERN = r"^[a-z][a-z0-9-]{0,30}$"
Name = Annotated[
    str,
    Field(
        pattern=NAME_PATTERN,
        description="lower-case letters, digits and dashes, at most 31, a letter first",
    ),
]
Port = Annotated[int, Field(ge=1, le=65535, description="a port")]
