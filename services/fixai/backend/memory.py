"""Redis: rate limits and cached reports. The API works without it, with less.

Away, each process counts for itself: the limits hold for each process instead of for all. Reports
are read from the database.

    limit:<name>    the time from which the next is allowed, less what may come at once (GCRA)
    report:<id>     a report as JSON, or `-` for a moment after it changed
"""

from __future__ import annotations

import logging
import math
import time
from collections import OrderedDict
from dataclasses import dataclass
from uuid import UUID

from prometheus_client import CollectorRegistry, Counter, Gauge
from redis.asyncio import Redis as Client
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from services.fixai import settings

_CHANGED = b"-"
_CHANGED_SECONDS = 5
"""Longer than any read that began before the change."""
_AWAY_SECONDS = 2.0
"""After a failure Redis is not asked for this long: requests must not wait for it one by one."""
_OWN_NAMES = 10_000
_GCRA = """
local now = tonumber(ARGV[1])
local step, burst = tonumber(ARGV[2]), tonumber(ARGV[3])
local at = math.max(tonumber(redis.call('GET', KEYS[1]) or 0), now)
if at + step - burst > now then return tostring(at + step - burst - now) end
redis.call('SET', KEYS[1], tostring(at + step), 'PX', math.ceil((at + step - now) * 1000) + 1000)
return '0'
"""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Rate:
    """So many in so many seconds; all of them may come at once."""

    count: int
    seconds: float

    @property
    def step(self) -> float:
        """Seconds between two in the long run."""
        return self.seconds / self.count


class Memory:
    """The cache and the limits.

    Args:
        told: where Redis is.
        password: its.
        cache_seconds: a report is kept.
        registry: of the process's figures.
    """

    def __init__(
        self, told: settings.Redis, password: str, cache_seconds: int, registry: CollectorRegistry
    ) -> None:
        self._client = Client(
            host=told.host,
            port=told.port,
            password=password,
            socket_timeout=told.timeout_seconds,
            socket_connect_timeout=told.timeout_seconds,
            retry=Retry(NoBackoff(), 0),
            max_connections=64,
        )
        self._script = self._client.register_script(_GCRA)
        self._seconds = cache_seconds
        self._away_until = 0.0
        self._changed: OrderedDict[UUID, None] = OrderedDict()
        self._own: OrderedDict[str, float] = OrderedDict()
        self._cache = Counter(
            "fixai_cache", "Reports asked of the cache", ["result"], registry=registry
        )
        self._limited = Counter(
            "fixai_limited", "Requests over a limit", ["limit"], registry=registry
        )
        self._up = Gauge("fixai_redis_up", "1 while Redis answers", registry=registry)

    async def close(self) -> None:
        """Disconnect."""
        await self._client.aclose()

    async def wait(self, limit: str, who: str, rate: Rate) -> int:
        """Count one; 0 where it is allowed, else the seconds until it will be."""
        name, now = f"limit:{limit}:{who}", time.time()
        if self._asked():
            try:
                told = await self._script([name], [now, rate.step, rate.seconds])
            except RedisError as error:
                self._failed(error)
                seconds = self._counted(name, now, rate)
            else:
                seconds = float(told)
                self._up.set(1)
        else:
            seconds = self._counted(name, now, rate)
        if seconds > 0:
            self._limited.labels(limit).inc()
        return math.ceil(seconds)

    def _counted(self, name: str, now: float, rate: Rate) -> float:
        """The same count, of this process alone."""
        at = max(self._own.pop(name, 0.0), now)
        allowed = at + rate.step - rate.seconds <= now
        self._own[name] = at + rate.step if allowed else at
        while len(self._own) > _OWN_NAMES:
            self._own.popitem(last=False)
        return 0 if allowed else at + rate.step - rate.seconds - now

    async def report(self, report_id: UUID) -> bytes | None:
        """A report as it was kept."""
        found = None
        if self._asked():
            try:
                await self._forget_changed()
                found = await self._client.get(_key(report_id))
                self._up.set(1)
            except RedisError as error:
                self._failed(error)
        kept = found if isinstance(found, bytes) and found != _CHANGED else None
        self._cache.labels("miss" if kept is None else "hit").inc()
        return kept

    async def keep_report(self, report_id: UUID, data: bytes) -> None:
        """Keep a report, unless it changed since it was read."""
        if self._asked():
            try:
                await self._client.set(_key(report_id), data, ex=self._seconds, nx=True)
            except RedisError as error:
                self._failed(error)

    async def changed(self, report_id: UUID) -> None:
        """Forget a report; what was read of it before is not kept any more."""
        self._changed[report_id] = None
        if self._asked():
            try:
                await self._forget_changed()
            except RedisError as error:
                self._failed(error)
        while len(self._changed) > _OWN_NAMES:  # they expire by themselves meanwhile
            self._changed.popitem(last=False)

    async def _forget_changed(self) -> None:
        """Also what changed while Redis was away."""
        for report_id in list(self._changed):
            await self._client.set(_key(report_id), _CHANGED, ex=_CHANGED_SECONDS)
            self._changed.pop(report_id, None)

    def _asked(self) -> bool:
        return time.monotonic() >= self._away_until

    def _failed(self, error: RedisError) -> None:
        self._away_until = time.monotonic() + _AWAY_SECONDS
        self._up.set(0)
        _log.warning("redis does not answer (%s); each process counts alone", type(error).__name__)


def _key(report_id: UUID) -> str:
    return f"report:{report_id}"
