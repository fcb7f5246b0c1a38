"""Which backups stay: the newest of each of the last days, weeks and months that have one."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime

from services.keeper.settings import Keep
from services.keeper.snapshot import time_of


def kept(ids: Collection[str], keep: Keep) -> frozenset[str]:
    """Those that stay. The newest always does; days are UTC's, weeks begin on Monday."""
    newest_first = sorted(ids, reverse=True)
    stay = set(newest_first[:1])
    rules: tuple[tuple[int, Callable[[datetime], object]], ...] = (
        (keep.daily, lambda at: at.date()),
        (keep.weekly, lambda at: at.isocalendar()[:2]),
        (keep.monthly, lambda at: (at.year, at.month)),
    )
    for count, period in rules:
        newest: dict[object, str] = {}
        for snapshot_id in newest_first:
            newest.setdefault(period(time_of(snapshot_id)), snapshot_id)
        stay |= set(list(newest.values())[:count])
    return frozenset(stay)
