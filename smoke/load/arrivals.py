"""When requests are due, and sending them then.

In an open model requests are due by the clock, however slow the answers are: waiting in line at
a slow server is part of what is measured. In a closed model each user sends the next request
after the last answer, so that a slow server gets fewer: its latencies are service times only.

`drive` is as punctual as its event loop: `smoke.load.clock.new_loop`.
"""

from __future__ import annotations

import asyncio
import random
from functools import partial
from math import sqrt
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence
    from typing import Any

T = TypeVar("T")


def constant(per_minute: float, count: int) -> list[float]:
    """When each request is due, in seconds from the start, evenly spaced."""
    return [index * 60 / per_minute for index in range(count)]


def poisson(per_minute: float, seconds: float, *, seed: int) -> list[float]:
    """The same on average, at random and each by itself, as many people send them.

    Args:
        per_minute: The average rate.
        seconds: All are due before then.
        seed: The same one gives the same schedule.
    """
    chance = random.Random(seed)  # noqa: S311 - nothing secret hangs on it
    schedule = []
    due = chance.expovariate(per_minute / 60)
    while due < seconds:
        schedule.append(due)
        due += chance.expovariate(per_minute / 60)
    return schedule


def ramp(first_per_minute: float, last_per_minute: float, seconds: float) -> list[float]:
    """From one rate to another, which changes evenly over so many seconds."""
    first, last = first_per_minute / 60, last_per_minute / 60
    slope = (last - first) / seconds
    count = round((first + last) / 2 * seconds, 9)
    # The n-th is due when n = first * t + slope * t^2 / 2, in the form that bears a slope of 0.
    return [
        2 * index / (first + sqrt(max(0.0, first * first + 2 * slope * index))) if index else 0.0
        for index in range(int(count))
    ]


async def drive(
    schedule: Sequence[float],
    send: Callable[[float], Coroutine[Any, Any, T]],
    *,
    start: float | None = None,
    within_s: float | None = None,
) -> list[T]:
    """Send each request when it is due, without waiting for those before it: an open model.

    Being cancelled is no error: nothing more is sent, what is under way is cancelled, and what
    ended before is returned.

    Args:
        schedule: Seconds from the start, ascending.
        send: Gets the time at which it was due, on the event loop's clock.
        start: The schedule's zero on that clock; now, if left out.
        within_s: So long after the start everything is ended in the same way.

    Returns:
        What `send` returned, in the schedule's order; fewer than it has if it was ended early.

    Raises:
        Exception: What `send` raised first.
    """
    return await _Drive(schedule, send, start, within_s).run()


class _Drive(Generic[T]):
    """A schedule that is being sent; requests begin right in the timer's callback."""

    def __init__(
        self,
        schedule: Sequence[float],
        send: Callable[[float], Coroutine[Any, Any, T]],
        start: float | None,
        within_s: float | None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._schedule = schedule
        self._send = send
        self._zero = self._loop.time() if start is None else start
        self._within_s = within_s
        self._next = 0
        self._under_way: set[asyncio.Task[T]] = set()
        self._results: dict[int, T] = {}
        self._timers: list[asyncio.TimerHandle] = []
        self._error: BaseException | None = None
        self._done: asyncio.Future[None] = self._loop.create_future()

    async def run(self) -> list[T]:
        limit = None
        if self._within_s is not None:
            limit = self._loop.call_at(self._zero + self._within_s, self._stop)
        self._fire()
        try:
            await self._done
        except asyncio.CancelledError:
            uncancel()
            self._stop()
            if self._under_way:
                await asyncio.wait(self._under_way)
        finally:
            self._stop()
            if limit is not None:
                limit.cancel()
        if self._error is not None:
            raise self._error
        return [self._results[index] for index in sorted(self._results)]

    def _fire(self) -> None:
        """Begin all that are due; the timer for the next is set."""
        now = self._loop.time()
        self._timers.clear()
        while self._next < len(self._schedule):
            due = self._zero + self._schedule[self._next]
            if due > now:
                self._timers.append(self._loop.call_at(due, self._fire))
                return
            task = self._loop.create_task(self._send(due))
            self._under_way.add(task)
            task.add_done_callback(partial(self._ended, self._next))
            self._next += 1
        self._finish_if_idle()

    def _ended(self, index: int, task: asyncio.Task[T]) -> None:
        self._under_way.discard(task)
        if not task.cancelled():
            error = task.exception()
            if error is None:
                self._results[index] = task.result()
            elif self._error is None:
                self._error = error
                self._stop()
        self._finish_if_idle()

    def _finish_if_idle(self) -> None:
        sent_all = self._next >= len(self._schedule)
        if sent_all and not self._under_way and not self._done.done():
            self._done.set_result(None)

    def _stop(self) -> None:
        self._next = len(self._schedule)
        for timer in self._timers:
            timer.cancel()
        for task in self._under_way:
            task.cancel()
        self._finish_if_idle()


async def sessions(
    users: int,
    send: Callable[[float], Coroutine[Any, Any, T]],
    *,
    seconds: float,
    think_s: float = 0.0,
    start: float | None = None,
) -> list[T]:
    """So many users at once, each sending after the last answer and a pause: a closed model.

    There is no time at which a request should have been sent, so there is no response time: what
    can be recorded is how long it took from when it was sent. A stall of the server is seen by
    each user once, however long it is. Ends early as `drive` does.

    Args:
        users: How many.
        send: Gets the present on the event loop's clock.
        seconds: So long after the start no request begins any more.
        think_s: Seconds that a user pauses after each answer.
        start: When all of them begin, on the event loop's clock; now, if left out.

    Returns:
        What `send` returned, in the order in which they ended.

    Raises:
        Exception: What `send` raised first.
    """
    loop = asyncio.get_running_loop()
    zero = loop.time() if start is None else start
    results: list[T] = []

    async def user() -> None:
        await asyncio.sleep(zero - loop.time())
        while loop.time() < zero + seconds:
            results.append(await send(loop.time()))
            if think_s:
                await asyncio.sleep(think_s)

    everyone = [asyncio.create_task(user()) for _ in range(users)]
    try:
        await asyncio.gather(*everyone)
    except asyncio.CancelledError:
        uncancel()
    finally:
        for task in everyone:
            task.cancel()
        await asyncio.gather(*everyone, return_exceptions=True)
    return results


def uncancel() -> None:
    """The present task's cancellation has been dealt with."""
    task = asyncio.current_task()
    if task is not None:
        task.uncancel()
