"""The role `backend`: the API, its connections, its live updates."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, contextmanager

import httpx
import uvicorn

from services.fixai import bus, events, roles
from services.fixai.backend.accounts import Tokens
from services.fixai.backend.app import build
from services.fixai.backend.live import Hub
from services.fixai.backend.memory import Memory
from services.fixai.backend.problems import Problem
from services.fixai.backend.service import Service
from services.fixai.bus import Hooks
from services.fixai.health import Health
from services.fixai.objects import Bucket
from services.fixai.settings import Settings

_FAREWELL_SECONDS = 15
_PING_SECONDS = 20
_FRAME_BYTES = 16 * 1024
_AGAIN_SECONDS = 1
_log = logging.getLogger(__name__)


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """The role has the signals."""
        yield


class Parts:
    """The service, once the database is there."""

    def __init__(self) -> None:
        self._service: Service | None = None

    def take(self, service: Service) -> None:
        """It is there."""
        self._service = service

    def __call__(self) -> Service:
        """The service.

        Raises:
            Problem: it is not there yet.
        """
        if self._service is None:
            raise Problem(503, "the backend starts; try again in 5 seconds", retry_after=5)
        return self._service

    @property
    def there(self) -> bool:
        """Whether it is there."""
        return self._service is not None


@asynccontextmanager
async def serviced(
    settings: Settings, health: Health, hooks: Hooks | None = None
) -> AsyncIterator[Service]:
    """The service, as soon as the database is there, with live updates."""
    secrets, told = settings.secrets, settings.backend
    tokens = Tokens(secrets.read("backend", "token-key"), told.token_minutes)
    password = secrets.read("redis", "password")
    memory = Memory(settings.redis, password, told.cache_seconds, health.registry)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(memory.close)
        client = await stack.enter_async_context(httpx.AsyncClient())
        pictures = Bucket(client, settings.objects, secrets, settings.objects.pictures)
        store = await stack.enter_async_context(roles.stored(settings))
        hub = Hub(health.registry)
        service = Service(told, store, memory, pictures, tokens, hub, hooks)
        listening = asyncio.create_task(_listening(settings, service))
        try:
            yield service
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)


async def _listening(settings: Settings, service: Service) -> None:
    while True:
        try:
            async with aclosing(bus.listen(settings.kafka, events.TOPICS)) as happening:
                async for event in happening:
                    await service.happened(event)
        except Exception:  # noqa: BLE001 - live updates go on after a mistake of this program
            _log.exception("live updates failed; beginning again")
            await asyncio.sleep(_AGAIN_SECONDS)


async def role(settings: Settings, stop: asyncio.Event, hooks: Hooks | None = None) -> None:
    """Serve until told to stop; health is answered before the database is there."""
    health, parts = Health(), Parts()
    health.parts["cassandra"] = lambda: parts.there
    app = build(parts, settings.backend, health)
    server = _Server(
        uvicorn.Config(
            app,
            host=settings.listen.host,
            port=settings.listen.port,
            log_config=None,
            access_log=False,
            server_header=False,
            lifespan="off",
            timeout_graceful_shutdown=_FAREWELL_SECONDS,
            ws_ping_interval=_PING_SECONDS,
            ws_ping_timeout=_PING_SECONDS,
            ws_max_size=_FRAME_BYTES,
        )
    )
    serving = asyncio.create_task(server.serve())
    async with AsyncExitStack() as stack:
        starting = stack.enter_async_context(serviced(settings, health, hooks))
        service = await roles.before(stop, starting)
        if service is not None:
            parts.take(service)
            waiting = asyncio.create_task(stop.wait())
            await asyncio.wait({waiting, serving}, return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
        server.should_exit = True
        await serving
