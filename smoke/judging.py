"""Claims about percentiles and shares, held to their targets with a word on how sure that is.

What comes back are the fields of a `Check` that the suite has not named itself.
"""

from __future__ import annotations

import math
from typing import TypedDict

from smoke.statistics import (
    CONFIDENCE,
    Distribution,
    quantile_interval,
    samples_needed,
    share_interval,
)
from smoke.verdict import Verdict, judged
from smoke.wording import duration, ordinal, percent, seconds


class Found(TypedDict):
    """What was found: `_check(name=..., target=..., **found)`."""

    figure: str
    verdict: Verdict
    detail: str
    samples: int
    interval: tuple[str, str] | None


def judge_percentile(
    measured: Distribution, share: float, *, within_s: float, per_minute: float
) -> Found:
    """Whether that share of the durations lies within the target.

    Too few observations to bound the percentile are inconclusive, unless even so it is sure to
    lie beyond the target: that fails.

    Args:
        measured: The durations.
        share: Such as 0.95.
        within_s: The target.
        per_minute: The route's rate, which tells how long more observations take.
    """
    count = len(measured)
    if not count:
        return _found("", "inconclusive", too_few(0, share, per_minute), 0, None)
    value = measured.quantile(share)
    low, high = quantile_interval(measured, share)
    detail = ""
    verdict = judged(value <= within_s)
    if low <= within_s < high:
        detail = "not sure: the true figure may lie on either side of the target"
    if math.isinf(high) and low <= within_s:
        verdict, detail = "inconclusive", too_few(count, share, per_minute)
    upper = "unknown" if math.isinf(high) else seconds(high)
    return _found(seconds(value), verdict, detail, count, (seconds(low), upper))


def too_few(count: int, share: float, per_minute: float) -> str:
    """That there are, how many it takes, and how long those take at the route's rate."""
    needed = samples_needed(share)
    return (
        f"{count} answers are too few to be {percent(CONFIDENCE)} sure of a "
        f"{ordinal(share * 100)} percentile; {needed} are needed, "
        f"{duration(needed / per_minute * 60)} at {per_minute:g} a minute"
    )


def judge_share(good: int, total: int, *, least: float) -> Found:
    """Whether at least that share was good; nothing at all is inconclusive."""
    if not total:
        return _found("", "inconclusive", "there is nothing to judge", 0, None)
    low, high = share_interval(good, total)
    verdict = judged(good / total >= least)
    return _found(percent(good / total), verdict, "", total, (percent(low), percent(high)))


def _found(
    figure: str, verdict: Verdict, detail: str, samples: int, interval: tuple[str, str] | None
) -> Found:
    return Found(figure=figure, verdict=verdict, detail=detail, samples=samples, interval=interval)
