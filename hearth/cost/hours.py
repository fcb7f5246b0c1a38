"""How many of a month's hours are off-peak, ordinary and at peak."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import time

from hearth.cost.figures import DAYS, HOURS
from inventory.cloud.model import OffPeak, Traffic

WEEK = 7 * 24
_WORKDAYS, _WEEKEND_HOURS = 5, 2 * 24


@dataclass(frozen=True, slots=True)
class Hours:
    """A month's hours by how many GPU nodes run in them; 730 in all."""

    peak: float
    ordinary: float
    off_peak: float


def off_peak_hours_a_week(off_peak: OffPeak | None) -> float:
    """How many of a week's 168 hours are off-peak.

    By the clock of the schedule's own time zone, which goes forward an hour once a year and back
    an hour once: over a year every zone has the same hours.
    """
    if off_peak is None:
        return 0
    night = (_hour(off_peak.ends) - _hour(off_peak.begins)) % 24
    return _WORKDAYS * night + _WEEKEND_HOURS if off_peak.weekends else 7 * night


def hours(off_peak: OffPeak | None, traffic: Traffic) -> Hours:
    """A month's hours.

    A peak day's requests come within as many hours as its busiest hour's share allows: 15 % in an
    hour are all within 6.7. They take ordinary hours first, and off-peak ones where those are used
    up.
    """
    peak = min(HOURS, peak_days(traffic) * min(24.0, 100 / traffic.peak_hour_share))
    away = HOURS * off_peak_hours_a_week(off_peak) / WEEK
    ordinary = max(0.0, HOURS - away - peak)
    return Hours(peak, ordinary, HOURS - peak - ordinary)


def peak_days(traffic: Traffic) -> float:
    """Days of a month that are peak days; a month has 30.4."""
    return min(DAYS, traffic.peak_days_a_month)


def requests_a_month(traffic: Traffic) -> float:
    """Of ordinary days and of peak days."""
    peaks = peak_days(traffic)
    return traffic.peak_requests_per_day * peaks + traffic.requests_per_day * (DAYS - peaks)


def _hour(moment: time) -> float:
    return moment.hour + moment.minute / 60
