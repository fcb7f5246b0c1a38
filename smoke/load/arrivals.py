"""Open-model arrivals: requests are due by the clock, however slow the answers are."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence
    from typing import Any

T = TypeVar("T")


def constant(per_minute: float, count: int) -> list[float]:
    """When each request is due, in seconds from the start, evenly spaced."""
    return [index * 60 / per_minute for index in range(count)]


async def drive(
    schedule: Sequence[float],
    send: Callable[[float], Coroutine[Any, Any, T]],
    *,
    start: float | None = None,
) -> list[T]:
    """Send each request when it is due, without waiting for those before it.

    Args:
        schedule: Seconds from the start, ascending.
        send: Gets the time at which it was due, on the event loop's clock.
        start: The schedule's zero on that clock; now, if left out.

    Returns:
        What `send` returned, in the schedule's order.
    """
    loop = asyncio.get_running_loop()
    zero = loop.time() if start is None else start
    async with asyncio.TaskGroup() as group:
        tasks = []
        for offset in schedule:
            due = zero + offset
            await asyncio.sleep(max(0.0, due - loop.time()))
            tasks.append(group.create_task(send(due)))
    return [task.result() for task in tasks]
