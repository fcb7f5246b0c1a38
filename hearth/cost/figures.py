"""Figures of which only the range is known, and the lengths that a month is counted in."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

HOURS = 730.0
"""Of a month: 365 days of 24 hours, by 12."""
DAYS = HOURS / 24
GB = 1024**3
"""AWS's gigabyte of storage and traffic, in bytes."""
MILLION = 1e6


@dataclass(frozen=True, slots=True)
class Range:
    """A figure at its lowest, as it mostly is, and at its highest.

    A difference of two is that of each case: of the low ones, of the typical ones, of the high
    ones.
    """

    low: float
    typical: float
    high: float

    def __add__(self, other: Range) -> Range:
        return Range(self.low + other.low, self.typical + other.typical, self.high + other.high)

    def __sub__(self, other: Range) -> Range:
        return Range(self.low - other.low, self.typical - other.typical, self.high - other.high)

    def __mul__(self, other: Range) -> Range:
        return Range(self.low * other.low, self.typical * other.typical, self.high * other.high)

    @property
    def certain(self) -> bool:
        """Whether all three are the same."""
        return self.low == self.typical == self.high


ZERO = Range(0, 0, 0)


def exactly(figure: float) -> Range:
    """A figure that is known."""
    return Range(figure, figure, figure)


def total(ranges: Iterable[Range]) -> Range:
    """The sum of all, case by case."""
    return sum(ranges, ZERO)
