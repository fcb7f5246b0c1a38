"""When backups are made, and which stay."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from datetime import time as time_of_day
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.keeper.retention import kept
from services.keeper.serve import RETRY, RETRY_FIRST, START, Schedule, due
from services.keeper.settings import Keep
from services.keeper.snapshot import id_of, time_of
from services.keeper.store import Store

KEEP = Keep(daily=7, weekly=4, monthly=6)
AT = time_of_day(3, 0)
NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


def nightly(days: int, last: datetime = NOW) -> list[str]:
    """A backup at 03:00 of each of the last days."""
    latest = last.replace(hour=3, minute=0)
    return [id_of(latest - timedelta(days=n)) for n in range(days)]


def test_days_weeks_and_months_keep_their_newest() -> None:
    days = [f"{time_of(name):%Y-%m-%d}" for name in sorted(kept(nightly(400), KEEP), reverse=True)]
    assert days == [
        *("2026-11-21", "2026-11-20", "2026-11-19", "2026-11-18", "2026-11-17", "2026-11-16"),
        "2026-11-15",  # the seventh day, and a Sunday
        *("2026-11-08", "2026-11-01"),  # Sundays
        *("2026-10-31", "2026-09-30", "2026-08-31", "2026-07-31", "2026-06-30"),
    ]


def test_many_of_one_day_leave_its_newest() -> None:
    ids = [id_of(NOW - timedelta(hours=n)) for n in range(6)]
    assert kept(ids, Keep(daily=7, weekly=0, monthly=0)) == {ids[0]}


def test_days_without_a_backup_do_not_count() -> None:
    ids = nightly(3) + nightly(3, NOW - timedelta(days=300))
    assert kept(ids, Keep(daily=5, weekly=0, monthly=0)) == set(sorted(ids)[-5:])


def test_without_any_nothing_stays() -> None:
    assert kept([], KEEP) == frozenset()


moments = st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1)).map(  # noqa: DTZ001 - UTC next
    lambda at: id_of(at.replace(tzinfo=UTC))
)


@settings(database=None)
@given(st.lists(moments, unique=True, max_size=60), st.integers(1, 9), st.integers(0, 5))
def test_whatever_there_is_the_newest_stays_and_pruning_twice_is_pruning_once(
    ids: list[str], daily: int, weekly: int
) -> None:
    keep = Keep(daily=daily, weekly=weekly, monthly=2)
    stay = kept(ids, keep)
    assert stay <= set(ids)
    assert not ids or max(ids) in stay
    assert len(stay) <= daily + weekly + 2
    assert kept(stay, keep) == stay


@pytest.mark.parametrize(
    ("now", "last", "wanted"),
    [
        ("2026-11-21T12:00", "2026-11-21T03:00", "2026-11-22T03:00"),
        ("2026-11-21T12:00", "2026-11-20T03:00", "2026-11-21T03:00"),  # missed
        ("2026-11-21T02:59", "2026-11-20T03:00", "2026-11-21T03:00"),
        ("2026-11-21T12:00", "2026-11-21T02:00", "2026-11-21T03:00"),  # by hand, before its time
        ("2026-11-21T12:00", None, "2026-11-21T03:00"),
        ("2026-11-21T01:00", None, "2026-11-20T03:00"),
    ],
)
def test_one_is_due_each_day_and_at_once_where_it_was_missed(
    now: str, last: str | None, wanted: str
) -> None:
    at = [datetime.fromisoformat(f"{text}+00:00") for text in (now, wanted)]
    before = datetime.fromisoformat(f"{last}+00:00") if last else None
    assert due(at[0], AT, before) == at[1]


class Clock:
    """A clock that a test turns, and a program that succeeds or not."""

    def __init__(self, store: Store) -> None:
        self.now = NOW
        self.store = store
        self.succeeds = True
        self.made: list[datetime] = []
        self.schedule = Schedule(store, AT, self.make, lambda: self.now)

    def make(self) -> bool:
        """Make a backup now."""
        self.made.append(self.now)
        if self.succeeds:
            (self.store.folder / id_of(self.now)).mkdir()
        return self.succeeds

    def turn(self, by: timedelta, step: timedelta = START) -> None:
        """Let time pass."""
        until = self.now + by
        while self.now < until:
            self.schedule.tick()
            self.now += step


@pytest.fixture
def clock(tmp_path: Path) -> Clock:
    return Clock(Store(tmp_path))


def test_a_missed_one_is_made_soon_after_the_start_and_the_next_at_its_time(clock: Clock) -> None:
    clock.turn(timedelta(days=2))
    assert clock.made == [NOW + START, *(NOW.replace(day=d, hour=3) for d in (22, 23))]


def test_the_first_that_failed_is_tried_again_soon(clock: Clock) -> None:
    clock.succeeds = False
    clock.turn(timedelta(minutes=5))
    assert clock.made[:3] == [NOW + START + n * RETRY_FIRST for n in range(3)]


def test_a_later_one_that_failed_is_tried_again(clock: Clock) -> None:
    clock.turn(timedelta(minutes=5))
    clock.succeeds = False
    clock.turn(timedelta(days=1))
    missed = NOW.replace(day=22, hour=3)
    assert clock.made[1:4] == [missed + n * RETRY for n in range(3)]
    clock.succeeds = True
    clock.turn(timedelta(hours=2))
    assert clock.made[-1] < clock.now - timedelta(hours=1)
