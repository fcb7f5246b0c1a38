"""The loads that the engine is timed with: `python -m tests.bench_load_sender`."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from functools import partial
from pathlib import Path

from smoke.load.arrivals import constant
from smoke.load.clock import new_loop
from smoke.load.engine import Scenario, Users, run
from smoke.load.http import HttpTarget
from smoke.load.latency import Latencies

PER_MINUTE = 60_000
PUNCTUAL_S = 10


async def users(url: str, count: int, seconds: int) -> None:
    """So many at once, without pauses."""
    load = Users(count=count, seconds=seconds)
    await run(Scenario("bench", f"{count} users", load, partial(HttpTarget, url)))


async def punctual(url: str) -> dict[str, float]:
    """How late requests leave that are due each millisecond, and how busy the machine was."""
    schedule = constant(PER_MINUTE, PER_MINUTE * PUNCTUAL_S // 60)
    before, began = _waited_s(), time.perf_counter()
    scenario = Scenario("bench", f"{PER_MINUTE} a minute", schedule, partial(HttpTarget, url))
    result = await run(scenario)
    waited, took = _waited_s() - before, time.perf_counter() - began
    lag = Latencies.decoded(result.record.histograms["lag"])
    return {
        "p50_ms": round(lag.percentile(50) * 1000, 3),
        "p99_ms": round(lag.percentile(99) * 1000, 3),
        "waiting": round(waited / took, 4),
    }


def _waited_s() -> float:
    """How long this process was ready to run and had no processor, in seconds."""
    return int(Path("/proc/self/schedstat").read_text().split()[1]) / 1e9


def event_loop(name: str) -> asyncio.AbstractEventLoop:
    """Ours, or asyncio's own."""
    return new_loop() if name == "hearth" else asyncio.new_event_loop()


def main(what: str, url: str, how: str, seconds: str = "0") -> None:
    """Sends one of them."""
    if what == "users":
        with asyncio.Runner(loop_factory=new_loop) as runner:
            runner.run(users(url, int(how), int(seconds)))
        return
    with asyncio.Runner(loop_factory=partial(event_loop, how)) as runner:
        print(json.dumps(runner.run(punctual(url))))  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:])
