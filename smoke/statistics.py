"""How sure a figure is: intervals of percentiles and shares, and tests of two runs.

Textbook methods in a few lines each, on distributions as histograms hold them. They take
observations as independent; those of one busy minute are not quite, so the real uncertainty
is larger than what is said here, never smaller.
"""

from __future__ import annotations

import math
import random
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from statistics import NormalDist

from hdrh.histogram import HdrHistogram

CONFIDENCE = 0.95
"""Of every interval: of a hundred runs, some 95 have the true figure within theirs."""

Interval = tuple[float, float]

_MICROSECONDS = 1_000_000
_DRAWS = 2000


@dataclass(frozen=True)
class Distribution:
    """Observations in buckets.

    Args:
        values: Of each bucket that has any, ascending: the highest that it holds, in seconds.
        counts: How many observations are in each.
    """

    values: tuple[float, ...]
    counts: tuple[int, ...]

    @classmethod
    def of(cls, values: Iterable[float]) -> Distribution:
        """Of figures in seconds, each as it is."""
        counted = sorted(Counter(values).items())
        return cls(tuple(value for value, _ in counted), tuple(count for _, count in counted))

    @classmethod
    def decode(cls, encoded: str) -> Distribution:
        """From a HdrHistogram of microseconds, in its compressed base64 form."""
        held = [
            (bucket.value_iterated_to / _MICROSECONDS, int(bucket.count_at_value_iterated_to))
            for bucket in HdrHistogram.decode(encoded).get_recorded_iterator()
            # An empty histogram yields one bucket without a count.
            if bucket.count_at_value_iterated_to
        ]
        return cls(tuple(value for value, _ in held), tuple(count for _, count in held))

    @cached_property
    def cumulated(self) -> tuple[int, ...]:
        """How many observations are in each bucket and those below it."""
        return tuple(accumulate(self.counts))

    def __len__(self) -> int:
        return self.cumulated[-1] if self.counts else 0

    def ranked(self, rank: int) -> float:
        """The observation of that rank, counted from 1 for the smallest."""
        return self.values[bisect_left(self.cumulated, rank)]

    def quantile(self, share: float) -> float:
        """The smallest observation that at least this share does not exceed."""
        return self.ranked(max(1, math.ceil(share * len(self) - 1e-9)))

    def share_within(self, limit: float) -> float:
        """The share of the observations that do not exceed the limit."""
        return self._within(limit) / len(self)

    def _within(self, limit: float) -> int:
        below = bisect_left(self.values, limit + 1e-12)
        return self.cumulated[below - 1] if below else 0


def quantile_ranks(
    share: float, count: int, confidence: float = CONFIDENCE
) -> tuple[int, int | None]:
    """The ranks between which the true quantile lies; None where no observation bounds it above.

    An order statistic of rank r lies above the quantile with the chance that a binomial variable
    stays below r, whatever the distribution (David and Nagaraja, Order Statistics, 7.1). The
    tails are equal, unless the upper one would not be bounded by any observation: then it gets
    what it needs, and the lower one the rest. Rank 0 stands for no bound below.
    """
    doubt = 1 - confidence
    above_all = share**count
    upper_doubt = max(doubt / 2, above_all)
    if above_all > doubt:
        return _last_rank(share, count, doubt / 2), None
    lower_doubt = max(0.0, doubt - upper_doubt)
    return _last_rank(share, count, lower_doubt), _first_rank(share, count, 1 - upper_doubt)


def quantile_interval(
    measured: Distribution, share: float, confidence: float = CONFIDENCE
) -> Interval:
    """Within what the true quantile lies; 0 and infinity where nothing bounds it."""
    low, high = quantile_ranks(share, len(measured), confidence)
    return (
        measured.ranked(low) if low else 0.0,
        math.inf if high is None else measured.ranked(high),
    )


def samples_needed(share: float, confidence: float = CONFIDENCE) -> int:
    """The fewest observations of which the largest bounds that quantile from above.

    59 for a 95th percentile with 95 % confidence (Wilks, 1941).
    """
    return math.ceil(math.log(1 - confidence) / math.log(share) - 1e-9)


def _last_rank(share: float, count: int, chance: float) -> int:
    """The largest rank that lies above the quantile with at most this chance; 0 for none."""
    rank, below = 0, 0.0
    while rank < count:
        below += _binomial(rank, count, share)
        if below > chance + 1e-12:
            break
        rank += 1
    return rank


def _first_rank(share: float, count: int, chance: float) -> int:
    """The smallest rank that lies above the quantile with at least this chance."""
    rank, below = 0, 0.0
    while rank < count:
        below += _binomial(rank, count, share)
        rank += 1
        if below >= chance - 1e-12:
            break
    return rank


def _binomial(successes: int, trials: int, share: float) -> float:
    log = (
        math.lgamma(trials + 1)
        - math.lgamma(successes + 1)
        - math.lgamma(trials - successes + 1)
        + successes * math.log(share)
        + (trials - successes) * math.log1p(-share)
    )
    return math.exp(log)


def share_interval(good: int, total: int, confidence: float = CONFIDENCE) -> Interval:
    """Within what the true share lies (Wilson, 1927); 0 to 1 where there is none."""
    if not total:
        return 0.0, 1.0
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share, weight = good / total, z * z / total
    middle = (share + weight / 2) / (1 + weight)
    reach = z / (1 + weight) * math.sqrt(share * (1 - share) / total + weight / (4 * total))
    return max(0.0, middle - reach), min(1.0, middle + reach)


def same_distribution(one: Distribution, other: Distribution) -> float:
    """The chance of so large a distance between two samples of one distribution.

    Two-sample Kolmogorov-Smirnov with Stephens' correction for small samples. Values in one
    bucket count as equal, which makes it err towards "no difference".
    """
    return _kolmogorov(one, other, distance(one, other))


def distance(one: Distribution, other: Distribution) -> float:
    """The largest difference between two samples' shares within any limit."""
    limits = sorted({*one.values, *other.values})
    return max(abs(one.share_within(limit) - other.share_within(limit)) for limit in limits)


def _kolmogorov(one: Distribution, other: Distribution, d: float) -> float:
    root = math.sqrt(len(one) * len(other) / (len(one) + len(other)))
    scaled = (root + 0.12 + 0.11 / root) * d
    if scaled < 0.2:  # noqa: PLR2004 - the series is 1 to nine digits here and converges slowly
        return 1.0
    terms = ((1 if k % 2 else -1) * math.exp(-2 * (k * scaled) ** 2) for k in range(1, 101))
    return min(1.0, max(0.0, 2 * sum(terms)))


def quantile_change(
    before: Distribution, now: Distribution, share: float, confidence: float = CONFIDENCE
) -> Interval:
    """Within what the change of a quantile lies, in seconds: the bootstrap's percentiles.

    A resample's order statistic is the sample's quantile at a beta-distributed share, so
    nothing is resampled. The draws are the same in every call.
    """
    source = random.Random(0)  # noqa: S311 - statistics, not secrets
    changes = sorted(
        _redrawn(now, share, source) - _redrawn(before, share, source) for _ in range(_DRAWS)
    )
    tail = round((1 - confidence) / 2 * _DRAWS)
    return changes[tail], changes[-1 - tail]


def _redrawn(sample: Distribution, share: float, source: random.Random) -> float:
    rank = max(1, math.ceil(share * len(sample) - 1e-9))
    return sample.quantile(source.betavariate(rank, len(sample) - rank + 1))


def same_share(one: Sequence[int], other: Sequence[int]) -> float:
    """The chance of so large a difference between two shares that are one: a pooled z test.

    Args:
        one: How many were good, of how many.
        other: The same of the second sample.
    """
    (good, total), (other_good, other_total) = one, other
    pooled = (good + other_good) / (total + other_total)
    variance = pooled * (1 - pooled) * (1 / total + 1 / other_total)
    if variance == 0:
        return 1.0
    z = (good / total - other_good / other_total) / math.sqrt(variance)
    return math.erfc(abs(z) / math.sqrt(2))
