"""Holds predictions to what came of them."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING

from smoke.capacity.level import broken, interval, late, missed_for_sure
from smoke.capacity.model import SHARE
from smoke.statistics import samples_needed
from smoke.verdict import Check, judged
from smoke.wording import percent, prefix, seconds

if TYPE_CHECKING:
    from smoke.capacity.trial import Measured, Proof

MOST_ERROR = 0.25
_check = partial(Check, "capacity")


def error_of(tested: Proof) -> float:
    """By which share of the measured percentile the predicted one is off; above 0 too high."""
    return tested.predicted_p95_s / tested.load.first_token_p95_s - 1


def judge(found: Measured) -> list[Check]:
    """Every claim about a route's prediction."""
    checks = [_CLAIMS[tested.at](found, tested) for tested in found.tests]
    if found.fault or not checks:
        detail = found.fault or "no rate holds the service level: there is nothing to test"
        claim = prefix(found.name, "could be measured")
        checks.append(_check(claim, "yes", "no", "inconclusive", detail=detail))
    return checks


def _percentile(found: Measured, tested: Proof) -> Check:
    """The predicted percentile: what lies within the measured one's own doubt is not wrong."""
    error, load = error_of(tested), tested.load
    low_s, high_s = interval(load)
    held = abs(error) <= MOST_ERROR or low_s <= tested.predicted_p95_s <= high_s
    few = abs(error) > MOST_ERROR and load.requests < samples_needed(SHARE)
    fault = late(found.route, load)
    upper = "unknown" if math.isinf(high_s) else seconds(high_s)
    return _check(
        name=prefix(found.name, f"{_where(tested)}: the predicted percentile is off by at most"),
        target=percent(MOST_ERROR),
        figure=f"{error * 100:+.0f} %",
        verdict="inconclusive" if fault or few else judged(held),
        detail=fault
        or f"95 % began within {seconds(load.first_token_p95_s)} ({seconds(low_s)} to {upper}), "
        f"predicted {seconds(tested.predicted_p95_s)}",
        samples=load.requests,
    )


def _holds(found: Measured, tested: Proof) -> Check:
    missed = missed_for_sure(found.route, tested.load)
    return _level(found, tested, "yes", "no" if missed else "yes", missed)


def _breaks(found: Measured, tested: Proof) -> Check:
    missed = broken(found.route, tested.load)
    return _level(found, tested, "no", "no" if missed else "yes", missed)


def _level(found: Measured, tested: Proof, expected: str, figure: str, missed: str) -> Check:
    fault = late(found.route, tested.load)
    if not fault and not missed and not tested.shows:
        fault = (
            "the load was too short for a test, queues had no time to grow; "
            "give it more (--most-seconds)"
        )
    begun = seconds(tested.load.first_token_p95_s)
    return _check(
        name=prefix(found.name, f"{_where(tested)}: the service level holds"),
        target=expected,
        figure=figure,
        verdict="inconclusive" if fault else judged(figure == expected),
        detail=fault or missed or f"95 % began within {begun}",
        samples=tested.load.requests,
    )


_CLAIMS = {0.7: _percentile, 0.9: _holds, 1.2: _breaks}


def _where(tested: Proof) -> str:
    return f"at {tested.at * 100:.0f} % of it ({tested.load.per_minute:.0f} a minute)"
