"""What changed since another run of the same suites: distributions, shares, verdicts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from smoke.statistics import Distribution, quantile_change, same_distribution, same_share
from smoke.wording import percent, seconds

if TYPE_CHECKING:
    from smoke.load.record import LoadRecord
    from smoke.report import Report

Change = Literal["none", "better", "worse", "other"]

DOUBT = 0.01
"""A difference is seen where chance alone would bring one as large less often than this."""

TITLES = {
    "response": "response",
    "service": "service",
    "first_token": "first token",
    "between_tokens": "between tokens",
    "lag": "generator's lateness",
}
"""Of a load's histograms, in the order in which they are shown."""

_COMPARED = ("response", "service", "first_token", "between_tokens")
_QUANTILES = ((0.95, "p95"), (0.5, "p50"))


@dataclass(frozen=True, slots=True)
class Difference:
    """One comparison.

    Args:
        subject: What was compared: a load's name, or a check's suite and name.
        what: Such as `response`.
        change: `other` is neither better nor worse, or cannot be compared.
        text: `slower: p95 72 ms to 95 ms (p < 0.01)`.
    """

    subject: str
    what: str
    change: Change
    text: str


def differences(before: Report, now: Report) -> list[Difference]:
    """Every comparison that two reports allow, loads first."""
    loads = {load.name: load for load in before.loads}
    compared = [
        d for load in now.loads if load.name in loads for d in compare(loads[load.name], load)
    ]
    return [*compared, *_verdicts(before, now)]


def compare(before: LoadRecord, now: LoadRecord) -> list[Difference]:
    """Two loads of one name; only where they offered the same."""
    if before.offered != now.offered:
        text = f"not compared: {before.offered} was offered then, {now.offered} now"
        return [Difference(now.name, "load", "other", text)]
    return [_answered(before, now), *_latencies(before, now)]


def _latencies(before: LoadRecord, now: LoadRecord) -> Iterator[Difference]:
    for name in _COMPARED:
        if name not in before.histograms or name not in now.histograms:
            continue
        old = Distribution.decode(before.histograms[name])
        new = Distribution.decode(now.histograms[name])
        if len(old) and len(new):
            change, text = _latency(old, new)
            yield Difference(now.name, TITLES[name], change, text)


def _latency(old: Distribution, new: Distribution) -> tuple[Change, str]:
    """Worded by the 95th percentile; by the median where only that is sure to have moved."""
    chance = same_distribution(old, new)
    if chance >= DOUBT:
        return "none", f"no difference seen ({_chance(chance)})"
    for share, title in _QUANTILES:
        low, high = quantile_change(old, new, share)
        if low > 0 or high < 0:
            change: Change = "worse" if low > 0 else "better"
            word = "slower" if low > 0 else "faster"
            was, became = seconds(old.quantile(share)), seconds(new.quantile(share))
            moved = f"{word}: {title} {was} to {became}"
            return change, f"{moved}, a change of {_span(low, high)} ({_chance(chance)})"
    return "other", f"another shape, with p50 and p95 about the same ({_chance(chance)})"


def _span(low: float, high: float) -> str:
    """`+10 ms to +31 ms`."""
    return " to ".join(("-" if edge < 0 else "+") + seconds(abs(edge)) for edge in (low, high))


def _chance(chance: float) -> str:
    for limit in (0.001, DOUBT):
        if chance < limit:
            return f"p < {limit:g}"
    return f"p = {chance:.2f}"


def _answered(before: LoadRecord, now: LoadRecord) -> Difference:
    old, new = _outcomes(before), _outcomes(now)
    if not old[1] or not new[1]:
        return Difference(now.name, "good answers", "other", "not compared: a run has no answers")
    chance = same_share(old, new)
    if chance >= DOUBT:
        text = f"no difference seen ({_chance(chance)})"
        return Difference(now.name, "good answers", "none", text)
    was, became = old[0] / old[1], new[0] / new[1]
    change: Change = "better" if became > was else "worse"
    word = "more" if became > was else "fewer"
    text = f"{word}: {percent(was)} to {percent(became)} ({_chance(chance)})"
    return Difference(now.name, "good answers", change, text)


def _outcomes(load: LoadRecord) -> tuple[int, int]:
    """Good answers, and all."""
    good = sum(second.complete for second in load.timeline)
    return good, good + sum(second.failed for second in load.timeline)


def _verdicts(before: Report, now: Report) -> Iterator[Difference]:
    """The checks that came out differently."""
    old = {(check.suite, check.name): check for check in before.checks}
    for check in now.checks:
        was = old.get((check.suite, check.name))
        if was is None or was.verdict == check.verdict:
            continue
        change: Change = (
            "worse" if check.verdict == "fail" else "better" if was.verdict == "fail" else "other"
        )
        text = f"{was.verdict} ({was.figure or '-'}) to {check.verdict} ({check.figure or '-'})"
        yield Difference(check.suite, check.name, change, text)
