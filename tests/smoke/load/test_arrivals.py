"""Schedules, and how they are sent."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from statistics import mean, stdev

import pytest

from smoke.load.arrivals import constant, drive, poisson, ramp, sessions
from smoke.load.clock import new_loop


def test_poisson_arrivals_come_at_their_rate_each_by_itself() -> None:
    schedule = poisson(6000, 100, seed=1)
    gaps = [later - earlier for earlier, later in pairwise(schedule)]
    assert len(schedule) == pytest.approx(10_000, rel=0.03)
    # The spread of independent arrivals' gaps is as large as their mean.
    assert mean(gaps) == pytest.approx(0.01, rel=0.03)
    assert stdev(gaps) == pytest.approx(0.01, rel=0.05)
    assert 0 < schedule[0] < schedule[-1] < 100
    assert schedule == sorted(schedule)


def test_a_seed_stands_for_a_schedule() -> None:
    assert poisson(600, 10, seed=7) == poisson(600, 10, seed=7)
    assert poisson(600, 10, seed=7) != poisson(600, 10, seed=8)


def test_a_ramp_goes_evenly_from_one_rate_to_the_other() -> None:
    schedule = ramp(600, 1800, 10)
    assert len(schedule) == 200
    # 10 a second at the beginning, 20 in the middle, 30 at the end.
    counts = [sum(second <= due < second + 1 for due in schedule) for second in range(10)]
    assert counts == pytest.approx([11, 13, 15, 17, 19, 21, 23, 25, 27, 29], abs=1)


@pytest.mark.parametrize(("first", "last", "count"), [(600, 600, 100), (0, 600, 50), (600, 0, 50)])
def test_a_ramp_may_be_flat_begin_at_nothing_or_end_there(
    first: float, last: float, count: int
) -> None:
    schedule = ramp(first, last, 10)
    assert len(schedule) == count
    assert schedule[0] == 0
    assert schedule == sorted(schedule)
    assert schedule[-1] < 10
    if first == last:
        assert schedule == pytest.approx(constant(first, count))


def test_a_timer_of_a_third_of_a_millisecond_does_not_wait_for_a_whole_one() -> None:
    async def scenario() -> float:
        loop = asyncio.get_running_loop()
        took = []
        for _ in range(100):
            began = loop.time()
            await asyncio.sleep(0.0003)
            took.append(loop.time() - began)
        return min(took)

    # A busy machine delays most timers, but not each; asyncio's own loop delays each.
    with asyncio.Runner(loop_factory=new_loop) as runner:
        assert 0.0003 <= runner.run(scenario()) < 0.0009


def test_a_cancelled_drive_returns_what_has_ended() -> None:
    async def scenario() -> tuple[list[float], bool]:
        cancelled = False

        async def send(due: float) -> float:
            nonlocal cancelled
            try:
                await asyncio.sleep(0 if due < third else 60)
            except asyncio.CancelledError:
                cancelled = True
                raise
            return due - zero

        zero = asyncio.get_running_loop().time()
        third = zero + 0.019
        driving = asyncio.create_task(drive([0, 0.01, 0.02, 60], send, start=zero))
        await asyncio.sleep(0.2)
        driving.cancel()
        return await driving, cancelled

    results, cancelled = asyncio.run(scenario())
    assert results == pytest.approx([0, 0.01])
    assert cancelled


def test_a_drive_ends_when_its_time_is_over() -> None:
    async def scenario() -> tuple[int, float]:
        loop = asyncio.get_running_loop()

        async def send(_due: float) -> None:
            await asyncio.sleep(0 if loop.time() < zero + 0.05 else 60)

        zero = loop.time()
        results = await drive([0, 0.1, 60], send, within_s=0.2)
        return len(results), loop.time() - zero

    count, took = asyncio.run(scenario())
    assert count == 1
    assert 0.2 <= took < 5


def test_results_are_in_the_schedules_order_whichever_ends_first() -> None:
    async def scenario() -> list[float]:
        async def send(due: float) -> float:
            await asyncio.sleep(0.2 - (due - zero) * 10)
            return round(due - zero, 2)

        zero = asyncio.get_running_loop().time()
        return await drive([0, 0.01, 0.02], send, start=zero)

    assert asyncio.run(scenario()) == [0, 0.01, 0.02]


def test_an_error_in_the_sender_ends_the_drive() -> None:
    async def send(_due: float) -> None:
        raise LookupError("no such model")

    with pytest.raises(LookupError, match="no such model"):
        asyncio.run(drive([0, 60], send))


def test_a_drive_of_nothing_returns_nothing() -> None:
    async def send(_due: float) -> None:
        pytest.fail("nothing is due")

    assert asyncio.run(drive([], send)) == []


def test_each_user_waits_for_the_answer_and_thinks() -> None:
    async def scenario() -> tuple[int, int]:
        at_once = most = 0

        async def send(_now: float) -> None:
            nonlocal at_once, most
            at_once += 1
            most = max(most, at_once)
            await asyncio.sleep(0.02)
            at_once -= 1

        results = await sessions(3, send, seconds=0.5, think_s=0.03)
        return len(results), most

    count, most = asyncio.run(scenario())
    assert most == 3
    # Each takes 50 ms a turn, or longer on a busy machine: at most ten and one that just began.
    assert 3 <= count <= 33


def test_cancelled_sessions_return_what_has_ended() -> None:
    async def scenario() -> list[int]:
        async def send(_now: float) -> int:
            await asyncio.sleep(60 if waiting.is_set() else 0.001)
            waiting.set()
            return 1

        waiting = asyncio.Event()
        running = asyncio.create_task(sessions(1, send, seconds=60))
        await waiting.wait()
        running.cancel()
        return await running

    assert asyncio.run(scenario()) == [1]
