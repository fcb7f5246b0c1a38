"""Latencies in a HdrHistogram: 1 us to 10 minutes, three significant digits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hdrh.histogram import HdrHistogram

if TYPE_CHECKING:
    from collections.abc import Iterable

_MICROSECONDS = 1_000_000
_LONGEST_S = 600

P95_SAMPLES = 40
"""Fewer, and a 95th percentile rests on a single observation."""


class Latencies:
    """A distribution of durations, given and returned in seconds."""

    def __init__(self, seconds: Iterable[float]) -> None:
        self._histogram = HdrHistogram(1, _LONGEST_S * _MICROSECONDS, 3)
        for value in seconds:
            clamped = min(max(value, 0.0), _LONGEST_S)
            self._histogram.record_value(max(1, int(clamped * _MICROSECONDS)))

    def __len__(self) -> int:
        return int(self._histogram.get_total_count())

    def percentile(self, percent: float) -> float:
        """The duration within which that share lies; 0 where there is none."""
        return float(self._histogram.get_value_at_percentile(percent)) / _MICROSECONDS

    @property
    def encoded(self) -> str:
        """HdrHistogram's compressed base64 form."""
        return bytes(self._histogram.encode()).decode()
