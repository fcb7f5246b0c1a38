"""What the assistant adds to a streamed answer: `python -m tests.services.bench`.

The same requests straight to a fake Ollama and through an assistant with PostgreSQL and Redis,
all on this machine; prints milliseconds, the median and the 95th percentile, and memory.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import time
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path

import aiohttp

from services.assistant.migrate import migrate
from tests.services.assistants import Lab, Own, eventually
from tests.services.fakes import FakeOllama, chat_lines
from tests.services.servers import ROLE, Postgres, RedisServer, folder

TOKENS = 32
TOKEN_SECONDS = 0.005
ROUNDS = 60
BODY = {"model": "llama3.2", "messages": [{"role": "user", "content": "Tell me."}]}
Times = list[tuple[float, float]]  # to the first byte and to the end, in ms


async def _ask(session: aiohttp.ClientSession, path: str) -> tuple[float, float]:
    started = time.perf_counter()
    async with session.post(path, json=BODY) as response:
        await response.content.readline()
        first = time.perf_counter()
        await response.read()
    return (first - started) * 1000, (time.perf_counter() - started) * 1000


async def _rounds(session: aiohttp.ClientSession, path: str, at_once: int) -> Times:
    times: Times = []

    async def one_after_the_other() -> None:
        for _ in range(ROUNDS // at_once):
            times.append(await _ask(session, path))

    await asyncio.gather(*(one_after_the_other() for _ in range(at_once)))
    return times


def _told(name: str, times: Times) -> None:
    for what, series in zip(("first byte", "whole"), zip(*times, strict=True), strict=True):
        percentile = statistics.quantiles(series, n=20)[-1]
        line = f"{name:24} {what:10} p50 {statistics.median(series):8.2f}   p95 {percentile:8.2f}"
        sys.stdout.write(line + " ms\n")


async def _token(_place: int) -> None:
    await asyncio.sleep(TOKEN_SECONDS)


async def _schema(postgres: Postgres) -> None:
    await postgres.start()
    connection = await postgres.connect()
    await connection.execute(f"CREATE ROLE {ROLE} LOGIN")
    await migrate(connection)
    await connection.close()


async def _run(stack: ExitStack) -> None:
    place = stack.enter_context(folder())
    postgres, redis = Postgres(place / "data"), RedisServer(place)
    postgres.make()
    stack.callback(postgres.kill)
    stack.callback(redis.kill)
    await _schema(postgres)
    await redis.start()
    home = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    lab = Lab(home).with_database(postgres, "postgres").with_cache(redis)
    ollama = FakeOllama(lines=chat_lines(*["word "] * TOKENS), before=_token)
    async with AsyncExitStack() as running:
        await running.enter_async_context(ollama.running())
        own = await running.enter_async_context(lab.process(ollama))
        straight = await running.enter_async_context(aiohttp.ClientSession(ollama.url))
        for at_once in (1, 10):
            for name, session, path in (
                ("straight", straight, "/api/chat"),
                ("through the assistant", own.session, "/api/v1/chat"),
            ):
                await _rounds(session, path, at_once)  # warm
                _told(f"{name}, {at_once} at once", await _rounds(session, path, at_once))
        await eventually(lambda: _all_stored(own))
        for figure in ("process_resident_memory_bytes", "process_cpu_seconds_total"):
            sys.stdout.write(f"{figure} {await own.figure(figure):.1f}\n")


async def _all_stored(own: Own) -> bool:
    return await own.figure("assistant_spool_messages") == 0


if __name__ == "__main__":
    with ExitStack() as everything:
        asyncio.run(_run(everything))
