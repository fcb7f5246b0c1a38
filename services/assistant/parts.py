"""What the routes share: one of everything, made once a process."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Self

import aiohttp

from services.assistant.analysis import Analyses, SonarQube
from services.assistant.answers import Answer
from services.assistant.circuit import Away, Circuit
from services.assistant.comfyui import ComfyUI
from services.assistant.delivery import Recorder
from services.assistant.metrics import Metrics
from services.assistant.objects import Bucket
from services.assistant.ollama import Ollama
from services.assistant.records import Usage
from services.assistant.sessions import Sessions
from services.assistant.settings import Settings
from services.assistant.spool import Spool
from services.assistant.store import Store

PROBE_SECONDS = 5.0
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Parts:
    """One assistant; a part is None where the settings have none."""

    settings: Settings
    metrics: Metrics
    ollama: Ollama
    spool: Spool
    recorder: Recorder
    store: Store | None
    sessions: Sessions | None
    bucket: Bucket | None
    comfyui: ComfyUI | None
    analyses: Analyses

    @classmethod
    def of(cls, settings: Settings, session: aiohttp.ClientSession) -> Self:
        """Make them; nothing is connected yet."""
        metrics = Metrics(settings.name)
        store = Store(settings.database) if settings.database else None
        spool = Spool(settings.spool)
        recorder = Recorder(spool, store, metrics)
        analyser = (
            SonarQube(session, settings.analysis, settings.name, settings.spool / "scanner")
            if settings.analysis
            else None
        )
        parts = cls(
            settings=settings,
            metrics=metrics,
            ollama=Ollama(session, settings.ollama.url),
            spool=spool,
            recorder=recorder,
            store=store,
            sessions=Sessions(settings.redis) if settings.redis else None,
            bucket=Bucket(session, settings.objects) if settings.objects else None,
            comfyui=ComfyUI(session, settings.images.url) if settings.images else None,
            analyses=Analyses(analyser, recorder),
        )
        metrics.watch_spool(lambda: spool.size_bytes, lambda: spool.records)
        metrics.watch_dependency("ollama", lambda: parts.ollama.why is None)
        for circuit, _ in parts.dependencies():
            metrics.watch_dependency(circuit.name, partial(getattr, circuit, "up"))
        return parts

    def dependencies(self) -> list[tuple[Circuit, Callable[[], Awaitable[None]]]]:
        """What the settings name besides Ollama, each with how it is probed."""
        named = (self.store, self.sessions, self.bucket, self.comfyui)
        return [(part.circuit, part.probe) for part in named if part is not None]

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Everything started; afterwards everything written down and stopped."""
        if self.store is not None:
            await self.store.open()
        await self.recorder.open()
        probing = asyncio.create_task(self._probe_forever())
        analysing = asyncio.create_task(self.analyses.run())
        try:
            yield
        finally:
            for task in (probing, analysing):
                task.cancel()
            await asyncio.wait({probing, analysing})
            await self.recorder.close()
            if self.store is not None:
                await self.store.close()
            if self.sessions is not None:
                await self.sessions.close()

    def count(self, route: str, model: str, answer: Answer, *, cached: bool = False) -> Usage:
        """The usage of one answered request, counted in the metrics as well."""
        if answer.broken:
            return Usage(route=route, error=True)
        if not answer.complete:
            self.metrics.truncated.labels(route).inc()
        if cached:
            return Usage(route=route)
        self._measure(route, model, answer)
        return Usage(
            route=route,
            prompt_tokens=answer.prompt_tokens,
            generated_tokens=answer.generated_tokens,
        )

    def _measure(self, route: str, model: str, answer: Answer) -> None:
        metrics = self.metrics
        if answer.first_token is not None:
            seconds = answer.first_token - answer.started
            metrics.first_token_seconds.labels(route, model).observe(seconds)
        if answer.tokens_per_second is not None:
            metrics.tokens_per_second.labels(route, model).observe(answer.tokens_per_second)
        metrics.prompt_tokens.labels(route, model).inc(answer.prompt_tokens)
        metrics.generated_tokens.labels(route, model).inc(answer.generated_tokens)

    async def _probe_forever(self) -> None:
        while True:
            probes = [probe() for _, probe in self.dependencies()]
            for outcome in await asyncio.gather(
                *probes, self._probe_ollama(), return_exceptions=True
            ):
                if isinstance(outcome, Exception) and not isinstance(outcome, Away):
                    _LOG.error("a probe failed: %s", type(outcome).__name__, exc_info=outcome)
            await asyncio.sleep(PROBE_SECONDS)

    async def _probe_ollama(self) -> None:
        try:
            await self.ollama.probe()
            self.metrics.loaded(await self.ollama.loaded())
        except Away:
            self.metrics.loaded([])
            raise
