"""One load from several processes: nothing is lost, nothing stays behind."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from inventory.errors import HearthError
from smoke.load.arrivals import constant
from smoke.load.engine import Result, Scenario, Users, run
from smoke.load.latency import Latencies
from smoke.load.record import Mark
from smoke.load.recorder import Live
from smoke.load.sample import Sample
from smoke.load.spread import spread


class Numbers:
    """Writes down in a file of its process when each request was due; answers after a while."""

    def __init__(self, folder: Path, took_s: float) -> None:
        self._folder = folder
        self._took_s = took_s

    async def open(self) -> None:
        """Nothing to open."""

    async def close(self) -> None:
        """Nothing to close."""

    async def request(self, due: float) -> Sample:
        """Good; from which process, its server tells."""
        loop = asyncio.get_running_loop()
        sent = loop.time()
        with (self._folder / str(os.getpid())).open("a") as file:
            file.write(f"{due}\n")
        await asyncio.sleep(self._took_s)
        return Sample(due, sent, None, loop.time(), "complete", server=str(os.getpid()))


class Closed(Numbers):
    """Cannot be used."""

    async def open(self) -> None:
        """It is not there."""
        raise ConnectionRefusedError("nobody listens on 127.0.0.1:1")


class Broken(Numbers):
    """Has a fault of its own."""

    async def request(self, due: float) -> Sample:  # noqa: ARG002
        """The process is killed, as by the kernel when memory runs out."""
        os.kill(os.getpid(), signal.SIGKILL)
        await asyncio.sleep(60)
        raise AssertionError


def scenario(
    folder: Path, kind: type[Numbers] = Numbers, *, load: list[float] | Users, took_s: float = 0.01
) -> Scenario:
    return Scenario("numbers", "test", load, partial(kind, folder, took_s))


def test_each_request_is_sent_once_at_the_same_time_as_from_one_process(tmp_path: Path) -> None:
    schedule = constant(6000, 60)
    marks = [Mark(0.1, "began")]
    result = asyncio.run(spread(scenario(tmp_path, load=schedule), 3, marks=marks))
    files = [sorted(map(float, path.read_text().split())) for path in tmp_path.iterdir()]
    sent = sorted(due for file in files for due in file)
    assert [len(file) for file in files] == [20, 20, 20]
    assert [due - sent[0] for due in sent] == pytest.approx(schedule, abs=1e-6)
    assert result.tally.outcomes == {"complete": 60}
    assert len(Latencies.decoded(result.record.histograms["response"])) == 60
    servers = result.record.timeline[0].by_server
    assert set(servers) == {path.name for path in tmp_path.iterdir()}
    assert result.record.timeline[0].due == 60
    assert result.record.marks == tuple(marks)
    assert multiprocessing.active_children() == []


def test_there_may_be_more_processes_than_requests(tmp_path: Path) -> None:
    result = asyncio.run(spread(scenario(tmp_path, load=[0.0]), 2))
    assert result.tally.outcomes == {"complete": 1}
    assert sum(second.due for second in result.record.timeline) == 1


def test_users_are_divided_among_the_processes(tmp_path: Path) -> None:
    load = Users(count=3, seconds=0.1)
    result = asyncio.run(spread(scenario(tmp_path, load=load, took_s=0.5), 2))
    assert result.tally.outcomes == {"complete": 3}
    assert set(result.record.histograms) == {"service"}


@pytest.mark.parametrize("processes", [0, 2], ids=["this process", "two processes"])
def test_a_load_that_is_cancelled_has_the_result_until_then(tmp_path: Path, processes: int) -> None:
    async def stopped() -> tuple[Result, int]:
        told: list[Live] = []
        begun = asyncio.Event()

        def tell(live: Live) -> None:
            told.append(live)
            begun.set()

        wanted = scenario(tmp_path, load=[*constant(600, 8), 3.0, 60.0], took_s=0.001)
        loading = (
            spread(wanted, processes, progress=tell) if processes else run(wanted, progress=tell)
        )
        task = asyncio.create_task(loading)
        await begun.wait()
        task.cancel()
        return await task, sum(live.answered for live in told)

    result, answered = asyncio.run(stopped())
    assert result.tally.outcomes == {"complete": 8}
    assert answered == 8
    assert multiprocessing.active_children() == []


def test_what_is_under_way_at_the_end_is_told_as_stopped(tmp_path: Path) -> None:
    async def stopped() -> Result:
        task = asyncio.create_task(run(scenario(tmp_path, load=[0.0, 60.0], took_s=60)))
        await asyncio.sleep(0.2)
        task.cancel()
        return await task

    assert asyncio.run(stopped()).tally.outcomes == {"stopped": 1}


def assert_fails(make: Callable[[], Scenario], message: str) -> None:
    with pytest.raises(HearthError, match=message):
        asyncio.run(spread(make(), 2))
    assert multiprocessing.active_children() == []


def test_a_target_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    message = "the load cannot be sent: ConnectionRefusedError: nobody listens on 127.0.0.1:1"
    assert_fails(lambda: scenario(tmp_path, Closed, load=[0.0]), message)


def test_a_process_that_is_killed_is_told(tmp_path: Path) -> None:
    message = "a process of the load ended with code -9 before its result"
    assert_fails(lambda: scenario(tmp_path, Broken, load=[0.0, 60.0]), message)
