"""Latencies as HdrHistogram counts them: 1 us to 10 minutes, three significant digits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from hdrh.histogram import HdrHistogram

if TYPE_CHECKING:
    from collections.abc import Iterable

_MICROSECONDS = 1_000_000
_LONGEST_S = 600
_LONGEST_US = _LONGEST_S * _MICROSECONDS
_DIGITS = 3
_EXACT = 2048
"""Below it each microsecond has a count of its own, at three digits."""
_EXACT_BITS = _EXACT.bit_length() - 1


class Latencies:
    """A distribution of durations, given and returned in seconds.

    Durations are counted in HdrHistogram's own buckets, a tenth of the time that its Python
    form takes for each; nothing is lost by adding distributions up.
    """

    __slots__ = ("_counts", "_total")

    def __init__(self, seconds: Iterable[float] = ()) -> None:
        self._counts: dict[int, int] = {}
        self._total = 0
        for value in seconds:
            self.add(value)

    @classmethod
    def decoded(cls, encoded: str) -> Self:
        """The distribution that `encoded` wrote."""
        latencies = cls()
        for item in HdrHistogram.decode(encoded).get_recorded_iterator():
            latencies._count(item.value_iterated_to, item.count_at_value_iterated_to)
        return latencies

    def __len__(self) -> int:
        return self._total

    def add(self, seconds: float) -> None:
        """Count one; shorter than 1 us counts as 1 us, longer than 10 minutes as 10 minutes."""
        value = int(seconds * _MICROSECONDS + 0.5)
        self._count(min(max(value, 1), _LONGEST_US), 1)

    def merge(self, other: Latencies) -> None:
        """Count everything that the other did."""
        for value, count in other._counts.items():
            self._count(value, count)

    def _count(self, value: int, count: int) -> None:
        if value >= _EXACT:
            shift = value.bit_length() - _EXACT_BITS
            value = value >> shift << shift
        self._counts[value] = self._counts.get(value, 0) + count
        self._total += count

    def percentile(self, percent: float) -> float:
        """The duration within which that share lies; 0 where there is none."""
        wanted = max(1, int(percent * self._total / 100 + 0.5))
        seen = 0
        for value in sorted(self._counts):
            seen += self._counts[value]
            if seen >= wanted:
                return _highest_of(value) / _MICROSECONDS
        return 0.0

    @property
    def longest(self) -> float:
        """The longest; 0 where there is none."""
        return self.percentile(100)

    @property
    def encoded(self) -> str:
        """HdrHistogram's compressed base64 form, V2."""
        histogram = HdrHistogram(1, _LONGEST_US, _DIGITS)
        for value, count in self._counts.items():
            histogram.record_value(value, count)
        return bytes(histogram.encode()).decode()


def _highest_of(value: int) -> int:
    """The highest number of microseconds that is counted together with this one."""
    return value + (1 << max(0, value.bit_length() - _EXACT_BITS)) - 1
