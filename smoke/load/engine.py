"""Sends a scenario's load from this process; `smoke.load.spread` does it from several."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from smoke.load.arrivals import drive, sessions
from smoke.load.recorder import Live, Recorder
from smoke.load.sample import Sample, Target
from smoke.load.tally import ServiceLevel, Tally

if TYPE_CHECKING:
    from smoke.load.record import LoadRecord, Mark

TELL_S = 1.0
"""How often progress is told."""


@dataclass(frozen=True, slots=True)
class Users:
    """A closed model.

    Attributes:
        count: How many send at once.
        seconds: After so long no request begins any more.
        think_s: Seconds that a user pauses after each answer.
    """

    count: int
    seconds: float
    think_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Scenario:
    """A load to be sent.

    Attributes:
        name: What is asked: `chat`.
        offered: The load, for people: `50 a minute, Poisson`.
        load: When each request is due, in seconds from the start, ascending (an open model), or
            users who wait for their answers.
        target: Makes what it is sent to, once in each process; for `spread` it has to be
            picklable, such as a function of a module, or a `partial` of one.
        level: What makes an answer a good one.
    """

    name: str
    offered: str
    load: Sequence[float] | Users
    target: Callable[[], Target]
    level: ServiceLevel = field(default_factory=ServiceLevel)

    def part(self, index: int, of: int) -> Scenario:
        """What one of several processes sends: every so-many-th request, or as many users."""
        if isinstance(self.load, Users):
            count = len(range(index, self.load.count, of))
            return replace(self, load=replace(self.load, count=count))
        return replace(self, load=tuple(self.load[index::of]))


@dataclass(frozen=True, slots=True)
class Result:
    """What a load came to."""

    record: LoadRecord
    tally: Tally


async def run(
    scenario: Scenario,
    *,
    progress: Callable[[Live], None] | None = None,
    marks: Sequence[Mark] = (),
) -> Result:
    """Send a scenario from this process, on the running event loop.

    Being cancelled ends the load: the result is what was counted until then.

    Args:
        scenario: The load.
        progress: Told once a second how it goes.
        marks: For the record; others may be added while the load runs.

    Raises:
        OSError: The target cannot be used at all.
    """
    target = scenario.target()
    await target.open()
    try:
        return await send(scenario, target, progress=progress, marks=marks)
    finally:
        await target.close()


async def send(
    scenario: Scenario,
    target: Target,
    *,
    start: tuple[float, float] | None = None,
    progress: Callable[[Live], None] | None = None,
    marks: Sequence[Mark] = (),
) -> Result:
    """Send a scenario's load to a target that is open.

    Args:
        scenario: The load.
        target: In place of the scenario's own.
        start: When it begins, on the event loop's clock, and in seconds since the epoch, UTC;
            now, if left out.
        progress: Told once a second how it goes.
        marks: For the record; others may be added while the load runs.
    """
    loop = asyncio.get_running_loop()
    zero, began = (loop.time(), time.time()) if start is None else start
    recorder = Recorder(
        scenario.name,
        scenario.offered,
        zero=zero,
        began=began,
        from_due=not isinstance(scenario.load, Users),
        level=scenario.level,
    )
    telling = asyncio.create_task(_tell(recorder, progress, zero)) if progress else None
    try:
        await _send(scenario.load, target, recorder, zero)
    finally:
        if telling is not None:
            telling.cancel()
    return Result(recorder.record(marks), recorder.tally)


async def _send(
    load: Sequence[float] | Users, target: Target, recorder: Recorder, zero: float
) -> None:
    async def one(due: float) -> None:
        recorder.sending()
        sent = loop.time()
        try:
            recorder.take(await target.request(due))
        except asyncio.CancelledError:
            recorder.take(Sample(due, sent, None, loop.time(), "stopped"))
            raise

    loop = asyncio.get_running_loop()
    if isinstance(load, Users):
        await sessions(load.count, one, seconds=load.seconds, think_s=load.think_s, start=zero)
    else:
        await drive(load, one, start=zero)


async def _tell(recorder: Recorder, progress: Callable[[Live], None], zero: float) -> None:
    loop = asyncio.get_running_loop()
    due = zero
    while True:
        due += TELL_S
        await asyncio.sleep(due - loop.time())
        progress(recorder.live(loop.time()))
