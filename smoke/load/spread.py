"""One scenario from several processes, so that no single core is what limits a load."""

from __future__ import annotations

import asyncio
import multiprocessing
import signal
import time
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from inventory.errors import HearthError
from smoke.load.arrivals import uncancel
from smoke.load.clock import new_loop
from smoke.load.engine import Result, send
from smoke.load.latency import Latencies
from smoke.load.record import merged
from smoke.load.recorder import Live
from smoke.load.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from multiprocessing.connection import Connection
    from multiprocessing.context import SpawnContext

    from smoke.load.engine import Scenario
    from smoke.load.record import Mark
    from smoke.load.sample import Target

_READY = "ready"
_STOP = "stop"
_HEAD_START_S = 0.05
_END_S = 5.0


async def spread(
    scenario: Scenario,
    processes: int,
    *,
    progress: Callable[[Live], None] | None = None,
    marks: Sequence[Mark] = (),
) -> Result:
    """Send a scenario from so many new processes, which begin at the same moment.

    Each sends every so-many-th request of the schedule, or its part of the users; what they count
    is added up exactly. Being cancelled ends the load: the result is what was counted until then.

    Args:
        scenario: The load; it has to be picklable.
        processes: How many; more than the machine has cores brings nothing.
        progress: Told once a second how it goes, all of them together.
        marks: For the record; others may be added while the load runs.

    Raises:
        HearthError: The target cannot be used at all, or a process was killed.
    """
    context = multiprocessing.get_context("spawn")
    workers: list[_Worker] = []
    board = _Board(progress)
    try:
        for index in range(processes):
            worker = _Worker(context, scenario.part(index, processes))
            workers.append(worker)  # at once: if the next one fails, this one has to end
        for worker in workers:
            await worker.ready()
        # The monotonic clock is the machine's: the same in all processes.
        zero = time.monotonic() + _HEAD_START_S
        start = (zero, time.time() + _HEAD_START_S)
        for worker in workers:
            worker.tell(start)
        try:
            await _results(workers, board)
        except asyncio.CancelledError:
            uncancel()
            for worker in workers:
                worker.tell(_STOP)
            await _results(workers, board)
    finally:
        for worker in workers:
            await worker.end()
    return _merged([worker.result for worker in workers if worker.result is not None], marks)


def _merged(results: Sequence[Result], marks: Sequence[Mark]) -> Result:
    tally = Tally()
    for result in results:
        tally.merge(result.tally)
    record = merged([result.record for result in results])
    return Result(replace(record, marks=tuple(marks)), tally)


async def _results(workers: Sequence[_Worker], board: _Board) -> None:
    try:
        async with asyncio.TaskGroup() as group:
            for worker in workers:
                if worker.result is None:
                    group.create_task(worker.finish(board))
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None


class _Board:
    """Puts together what the processes tell of the same second."""

    def __init__(self, progress: Callable[[Live], None] | None) -> None:
        self._progress = progress
        self._told: dict[_Worker, list[Live]] = {}
        self._failed = 0

    def join(self, worker: _Worker) -> None:
        self._told.setdefault(worker, [])

    def leave(self, worker: _Worker, result: Result) -> None:
        self._failed += result.tally.failed
        self._told.pop(worker)
        self._tell()

    def take(self, worker: _Worker, live: Live) -> None:
        self._told[worker].append(live)
        self._tell()

    def _tell(self) -> None:
        while self._told and all(self._told.values()):
            lives = [told.pop(0) for told in self._told.values()]
            latencies = Latencies()
            for live in lives:
                latencies.merge(live.latencies)
            if self._progress is not None:
                self._progress(
                    Live(
                        at=max(live.at for live in lives),
                        answered=sum(live.answered for live in lives),
                        over_s=max(live.over_s for live in lives),
                        in_flight=sum(live.in_flight for live in lives),
                        failed=self._failed + sum(live.failed for live in lives),
                        latencies=latencies,
                    )
                )


class _Worker:
    """A process, seen from the one that started it.

    Attributes:
        result: What it counted, once it is done.
    """

    def __init__(self, context: SpawnContext, scenario: Scenario) -> None:
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_main, args=(theirs, scenario), daemon=True)
        self._process.start()
        theirs.close()
        self.result: Result | None = None

    async def ready(self) -> None:
        """Return once its target is open."""
        told = await self._receive()
        if told != _READY:
            raise HearthError(f"the load cannot be sent: {told}")

    def tell(self, what: object) -> None:
        """Say when to begin, or to stop; one that has ended needs to know neither."""
        with suppress(OSError):
            self._connection.send(what)

    async def finish(self, board: _Board) -> None:
        """Return once it has its result."""
        board.join(self)
        while self.result is None:
            told = await self._receive()
            if isinstance(told, Live):
                board.take(self, told)
            elif isinstance(told, Result):
                self.result = told
                board.leave(self, told)
            else:
                raise HearthError(f"a process of the load failed: {told}")

    async def _receive(self) -> object:
        if not self._connection.poll():
            await _readable(self._connection)
        try:
            return self._connection.recv()
        except (EOFError, OSError) as error:
            await asyncio.to_thread(self._process.join, _END_S)
            raise HearthError(
                f"a process of the load ended with code {self._process.exitcode} before its "
                "result; see what it printed, or whether memory ran out"
            ) from error

    async def end(self) -> None:
        """Leave no process behind."""
        self._connection.close()
        if self.result is None:
            self._process.terminate()
        await asyncio.to_thread(self._process.join, _END_S)
        if self._process.is_alive():
            self._process.kill()


async def _readable(connection: Connection) -> None:
    loop = asyncio.get_running_loop()
    ready: asyncio.Event = asyncio.Event()
    loop.add_reader(connection.fileno(), ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(connection.fileno())


def _main(connection: Connection, scenario: Scenario) -> None:
    """A process of the load; the one that started it decides when it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with suppress(BrokenPipeError), asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(_work(connection, scenario))


async def _work(connection: Connection, scenario: Scenario) -> None:
    target = scenario.target()
    try:
        await target.open()
    except OSError as error:
        connection.send(f"{type(error).__name__}: {error}")
        return
    try:
        connection.send(_READY)
        await _readable(connection)
        await _send(connection, scenario, target)
    finally:
        await target.close()


async def _send(connection: Connection, scenario: Scenario, target: Target) -> None:
    loop = asyncio.get_running_loop()

    def stop() -> None:
        loop.remove_reader(connection.fileno())
        load.cancel()

    try:
        start = connection.recv()
    except EOFError:  # the other process has ended
        return
    load = asyncio.create_task(send(scenario, target, start=start, progress=connection.send))
    # Whatever comes next, the end of the other process included, ends the load.
    loop.add_reader(connection.fileno(), stop)
    try:
        connection.send(await load)
    finally:
        loop.remove_reader(connection.fileno())
