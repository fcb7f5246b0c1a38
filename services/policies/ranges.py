"""Sets of whole numbers as ranges: addresses and ports."""

from __future__ import annotations

from collections.abc import Iterable

Range = tuple[int, int]
"""The first and the last of it."""


def merged(ranges: Iterable[Range]) -> tuple[Range, ...]:
    """The same numbers in as few ranges as there can be, in order."""
    found: list[Range] = []
    for first, last in sorted(ranges):
        if found and first <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(last, found[-1][1]))
        else:
            found.append((first, last))
    return tuple(found)


def without(whole: Range, holes: Iterable[Range]) -> tuple[Range, ...]:
    """What is left of a range."""
    left: list[Range] = []
    at, end = whole
    for first, last in merged(holes):
        if first > at:
            left.append((at, min(first - 1, end)))
        at = max(at, last + 1)
        if at > end:
            break
    else:
        left.append((at, end))
    return tuple(left)
