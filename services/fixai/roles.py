"""The frame of every role that has no API: its health, its connections, its end at SIGTERM."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, TypeVar

from services.fixai import bus
from services.fixai.bus import Consumer, Handler, Hooks
from services.fixai.database import Database
from services.fixai.health import Health, serving
from services.fixai.settings import Settings
from services.fixai.store import Store

T = TypeVar("T")
Role = Callable[[Settings, asyncio.Event], Awaitable[None]]
"""Works until the event is set."""


@asynccontextmanager
async def stored(settings: Settings) -> AsyncIterator[Store]:
    """The database, as soon as it and its tables are there."""
    secrets, told = settings.secrets, settings.cassandra
    user, password = secrets.read("cassandra", "user"), secrets.read("cassandra", "password")
    database = await Database.wait(told, user, password)
    try:
        yield Store(database, settings.outbox.buckets)
    finally:
        await database.close()


Make = Callable[[Settings, Store, Health], Awaitable[Handler]]
"""Makes a consumer's handler once the store is there; it may add figures and parts to health."""


async def consume(
    name: str, make: Make, settings: Settings, stop: asyncio.Event, hooks: Hooks | None = None
) -> None:
    """Be a consumer until told to stop.

    Args:
        name: of the group.
        make: its handler.
        settings: the process's.
        stop: is set when it is to end.
        hooks: of tests.
    """
    health = Health()
    health.parts["started"] = lambda: False
    async with serving(settings.listen, health), AsyncExitStack() as stack:

        async def assembled() -> Consumer:
            store = await stack.enter_async_context(stored(settings))
            producer = await stack.enter_async_context(bus.connected(settings.kafka))
            handle = await make(settings, store, health)
            metrics = bus.Metrics(health.registry, name)
            told = settings.consumers
            return Consumer(settings.kafka, told, name, handle, producer, metrics, hooks=hooks)

        consumer = await before(stop, assembled())
        if consumer is None:
            return
        health.parts["kafka"] = lambda: consumer.ready
        health.parts["started"] = lambda: True
        async with stopped_by(stop, consumer.stop):
            await consumer.run()


async def before(stop: asyncio.Event, work: Coroutine[Any, Any, T]) -> T | None:
    """What the work returns; None where the process is told to stop first."""
    task = asyncio.create_task(work)
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({task, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        return None
    finally:
        for left in (task, stopping):
            left.cancel()
        await asyncio.gather(task, stopping, return_exceptions=True)


@asynccontextmanager
async def stopped_by(stop: asyncio.Event, call: Callable[[], None]) -> AsyncIterator[None]:
    """Call this when the process is told to stop, while the block runs."""

    async def wait() -> None:
        await stop.wait()
        call()

    waiting = asyncio.create_task(wait())
    try:
        yield
    finally:
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)


async def run(role: Role, settings: Settings) -> None:
    """Run a role until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await role(settings, stop)
