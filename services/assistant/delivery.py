"""From the spool to PostgreSQL: in order, each record once, however often either goes away."""

from __future__ import annotations

import asyncio
import contextlib
import logging

from services.assistant.circuit import Away
from services.assistant.metrics import Metrics
from services.assistant.records import Record
from services.assistant.spool import Batch, Entry, Spool, SpoolFull
from services.assistant.store import POISON, Store

_LAST_CHANCE_SECONDS = 5.0
_LOG = logging.getLogger(__name__)


class Recorder:
    """Keeps records: on disk at once, in PostgreSQL as soon as it takes them.

    Args:
        store: None where there is no database: nothing is kept.
    """

    def __init__(self, spool: Spool, store: Store | None, metrics: Metrics) -> None:
        self._spool = spool
        self._store = store
        self._metrics = metrics
        self._keeping: set[asyncio.Task[None]] = set()
        self._delivering: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Start to deliver, first what an earlier process left."""
        if self._store is not None:
            await self._spool.open()
            self._delivering = asyncio.create_task(self._deliver_forever(self._store))

    async def close(self) -> None:
        """Deliver what can be delivered within seconds; the rest stays on disk."""
        if self._keeping:
            await asyncio.wait(self._keeping, timeout=_LAST_CHANCE_SECONDS)
        if self._delivering is None or self._store is None:
            return
        if self._store.circuit.up:
            await self._spool.settle(_LAST_CHANCE_SECONDS)
        self._delivering.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._delivering
        await self._spool.close()
        if self._spool.records:
            _LOG.info("left in the spool for the next start", extra={"count": self._spool.records})

    def keep(self, record: Record) -> asyncio.Task[None]:
        """Take a record, in order; the task is done when it is on disk or in PostgreSQL.

        The task never fails: a record that neither took is counted and told in the log.
        """
        written: asyncio.Future[None] | None = None
        if self._store is not None:
            with contextlib.suppress(SpoolFull):
                written = self._spool.append(record)
        task = asyncio.create_task(self._keep(record, written))
        self._keeping.add(task)
        task.add_done_callback(self._keeping.discard)
        return task

    async def settle(self, timeout_seconds: float) -> bool:
        """Wait until PostgreSQL has all; whether it was in time."""
        return await self._spool.settle(timeout_seconds)

    async def _keep(self, record: Record, written: asyncio.Future[None] | None) -> None:
        if self._store is None:
            return
        with contextlib.suppress(OSError):
            if written is not None:
                await written
                return
        try:
            await self._store.apply(None, [Entry(None, record, b"")])
        except (Away, *POISON) as error:
            self._metrics.lost.inc()
            _LOG.error(
                "a record is lost: neither spool nor database took it (%s)", type(error).__name__
            )

    async def _deliver_forever(self, store: Store) -> None:
        while True:
            batch = await self._spool.peek()
            try:
                await self._deliver(store, batch)
            except Away as error:
                await asyncio.sleep(error.retry_after)
            except Exception:  # noqa: BLE001 - one surprise must not end all deliveries
                _LOG.exception("the spool could not be delivered; trying again")
                await asyncio.sleep(2)

    async def _deliver(self, store: Store, batch: Batch) -> None:
        try:
            await store.apply(self._spool.id, batch.entries)
        except POISON:
            await self._deliver_singly(store, batch)
        else:
            for entry in batch.entries:
                if entry.record is None:
                    await self._reject(entry)
        await self._spool.advance(batch)

    async def _deliver_singly(self, store: Store, batch: Batch) -> None:
        for entry in batch.entries:
            try:
                await store.apply(self._spool.id, [entry])
            except POISON:
                await self._reject(entry)
            else:
                if entry.record is None:
                    await self._reject(entry)

    async def _reject(self, entry: Entry) -> None:
        self._metrics.lost.inc()
        _LOG.error("a record cannot be applied; it lies in the spool's rejected.jsonl")
        await self._spool.reject(entry)
