"""Whose the fields of an object are, and which of them are not as they were made.

The server tells in `managedFields` who set what, as a tree: `f:NAME` is a field, `k:{…}` the item
of a list with these keys, `v:…` a word of a list of words, and an empty map a leaf with everything
below it: an atomic list is one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

Owned = Mapping[str, Any]
"""A tree of `managedFields`."""

ALL: Final[Owned] = {}
NOTHING: Final[Owned] = {".": {}}

_OFFICIAL: Final = "pulumi-kubernetes"
"""The official plugin's name where it creates, which is not that of where it applies."""

_QUANTITY = re.compile(r"([+-]?[0-9.]+)(?:([eE][+-]?[0-9]+)|([KMGTPE]i|[numkMGTPE]|))")
_POWERS = {
    "": Decimal(1),
    **{f"{letter}i": Decimal(1024) ** (n + 1) for n, letter in enumerate("KMGTPE")},
    **{letter: Decimal(1000) ** (n + 1) for n, letter in enumerate("kMGTPE")},
    **{letter: Decimal(1000) ** -(n + 1) for n, letter in enumerate("mun")},
}


def owned_by(live: Mapping[str, Any], manager: str) -> Owned:
    """The fields of an object that are a manager's; all, where the server does not say."""
    entries = (live.get("metadata") or {}).get("managedFields")
    if not entries:
        return ALL
    owned = NOTHING
    for entry in entries:
        if entry.get("manager") in (manager, _OFFICIAL) and not entry.get("subresource"):
            owned = _merged(owned, entry.get("fieldsV1") or {})
    return owned


def _merged(one: Owned, other: Owned) -> Owned:
    if not one or not other:
        return ALL
    return {
        key: _merged(one[key], other[key]) if key in one and key in other else (one | other)[key]  # type: ignore[operator]
        for key in {**one, **other}
        if key != "."
    } or NOTHING


def field(owned: Owned, name: str) -> Owned:
    """Of a map, one entry's tree."""
    return owned.get(f"f:{name}", NOTHING) if owned else ALL


def item(owned: Owned, value: Any) -> Owned:
    """Of a list, the tree of one of its items."""
    if not owned:
        return ALL
    for key, tree in owned.items():
        if key.startswith("k:") and isinstance(value, Mapping):
            if all(value.get(name) == is_ for name, is_ in json.loads(key[2:]).items()):
                return tree  # type: ignore[no-any-return]
        elif key.startswith("v:") and json.loads(key[2:]) == value:
            return tree  # type: ignore[no-any-return]
    return NOTHING


def _keys(owned: Owned) -> tuple[str, ...]:
    """By what a list's items are told apart; empty for an atomic list."""
    for key in owned:
        if key.startswith("k:"):
            return tuple(json.loads(key[2:]))
    return ()


def drifted(wanted: Any, before: Any, now: Any, owned: Owned) -> Any:
    """What was asked for, as the server has it now.

    Fields that were not asked for do not count, and neither does what the server makes of a value
    by itself: that has been there before. Without a change it is `wanted` itself.

    Args:
        wanted: what was asked for.
        before: what the server had made of it.
        now: what it has.
        owned: whose the fields are.
    """
    if before == now or same(wanted, now):
        return wanted
    if isinstance(wanted, Mapping) and isinstance(now, Mapping):
        old = before if isinstance(before, Mapping) else {}
        return {
            key: drifted(value, old.get(key), now[key], field(owned, key)) if key in now else value
            for key, value in wanted.items()
            if key in now or key not in old
        }
    if isinstance(wanted, list) and isinstance(now, list):
        return _drifted_list(wanted, before if isinstance(before, list) else [], now, owned)
    return now


def _drifted_list(
    wanted: list[Any], before: Sequence[Any], now: list[Any], owned: Owned
) -> list[Any]:
    if keys := _keys(owned):
        old, new = _by(keys, before), _by(keys, now)
        found = []
        for value in wanted:
            # The server adds keys that have a default: a port's protocol.
            key = next((k for k in new if _matches(value, keys, k)), None)
            if key is not None:
                found.append(drifted(value, old.get(key), new[key], item(owned, new[key])))
        return found
    if len(wanted) == len(now):
        olds = before if len(before) == len(now) else [None] * len(now)
        return [
            drifted(value, old, new, item(owned, new))
            for value, old, new in zip(wanted, olds, now, strict=True)
        ]
    return now


def _by(keys: tuple[str, ...], values: Sequence[Any]) -> dict[tuple[Any, ...], Any]:
    return {tuple(v.get(key) for key in keys): v for v in values if isinstance(v, Mapping)}


def _matches(value: Any, keys: tuple[str, ...], key: tuple[Any, ...]) -> bool:
    return isinstance(value, Mapping) and all(
        name not in value or value[name] == is_ for name, is_ in zip(keys, key, strict=True)
    )


def same(one: Any, other: Any) -> bool:
    """Whether two values are one to the server: amounts such as "0.5" and "500m" are."""
    if one == other:
        return True
    if isinstance(one, str | int | float) and isinstance(other, str | int | float):
        first, second = _amount(one), _amount(other)
        return first is not None and first == second
    return False


def _amount(value: str | float) -> Decimal | None:
    found = _QUANTITY.fullmatch(str(value))
    if isinstance(value, bool) or not found or found[1].count(".") > 1 or found[1] in ".+-":
        return None
    return Decimal(found[1] + (found[2] or "")) * _POWERS[found[3] or ""]
