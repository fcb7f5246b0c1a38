"""How well two ways of putting the same things in groups agree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping
from math import comb
from typing import TypeVar

Thing = TypeVar("Thing", bound=Hashable)


def adjusted_rand(one: Mapping[Thing, Hashable], other: Mapping[Thing, Hashable]) -> float:
    """The adjusted Rand index (Hubert and Arabie 1985): 1 the same groups, 0 as by chance.

    Args:
        one: the group of each thing.
        other: the same things' other groups.

    Raises:
        ValueError: they are not of the same things.
    """
    if one.keys() != other.keys():
        raise ValueError("two groupings are compared of the same things only")
    pairs = comb(len(one), 2)
    both = sum(comb(n, 2) for n in Counter((one[key], other[key]) for key in one).values())
    first = sum(comb(n, 2) for n in Counter(one.values()).values())
    second = sum(comb(n, 2) for n in Counter(other.values()).values())
    if not pairs:
        return 1.0
    chance = first * second / pairs
    most = (first + second) / 2
    return 1.0 if most == chance else (both - chance) / (most - chance)
