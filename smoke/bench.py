"""What the suites of one run share: the site, the way in, and load that is sent only once."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import aiohttp

from inventory.errors import HearthError
from smoke.load import chat
from smoke.load.ollama import CHAT_PATHS, ask, chat_body, tracing

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping
    from typing import Any

    from inventory.model import Route, Site
    from smoke.access import Access
    from smoke.load.ollama import Answer

_LEAST_TIMEOUT_S = 30.0
_TIMEOUT_PER_TARGET = 10
LONGEST_QUIET_S = 60


class Bench:
    """The shared state of one run.

    Args:
        site: What the lab should be.
        access: How it is reached.
        session: The HTTP client, trusting the gateway's certificate.
        progress: Told what happens, for people.
    """

    def __init__(
        self,
        site: Site,
        access: Access,
        session: aiohttp.ClientSession,
        progress: Callable[[str], None],
    ) -> None:
        self.site = site
        self.access = access
        self.session = session
        self.progress = progress
        self.histograms: dict[str, str] = {}
        self._loads: dict[str, chat.ChatLoad] = {}
        self._last_asked: dict[str, float] = {}

    async def chat_load(self, name: str) -> chat.ChatLoad:
        """The measured load on a chat route: sent at the first call, then remembered."""
        if name not in self._loads:
            self._loads[name] = await self._measure(name)
        return self._loads[name]

    async def _measure(self, name: str) -> chat.ChatLoad:
        route = self.site.routes[name]
        per_minute = route.service_level.requests_per_minute.high
        count = chat.request_count(per_minute)
        self.progress(f"{name}: {count} requests at {per_minute:g} a minute")

        async def send(tokens: int, due: float | None = None) -> Answer:
            return await self.ask(name, chat_body(route.model or "", tokens), due)

        return await chat.measure(
            route, send, lambda answer: upstream_of(self.site, route, answer.served_by)
        )

    async def ask(self, name: str, body: Mapping[str, Any], due: float | None = None) -> Answer:
        """Send one request to a route."""
        route = self.site.routes[name]
        answer = await ask(
            self.session,
            self.access.gateway_url.rstrip("/") + route.path,
            body,
            timeout_s=_timeout_s(route),
            due=due,
        )
        self._last_asked[name] = asyncio.get_running_loop().time()
        return answer

    async def pace(self, name: str) -> None:
        """Wait until one more request is well within the route's limit."""
        limit = self.site.routes[name].rate_limit
        last = self._last_asked.get(name, 0.0)
        until = last + 1.25 * limit.window_seconds / limit.requests
        await asyncio.sleep(max(0.0, until - asyncio.get_running_loop().time()))

    async def quiet(self, name: str) -> None:
        """Wait until the route's limiter has forgotten this run's own requests."""
        last = self._last_asked.get(name)
        if last is None:
            return
        # Two windows: a sliding limiter still counts part of the one before.
        until = last + 2 * self.site.routes[name].rate_limit.window_seconds
        await asyncio.sleep(max(0.0, until - asyncio.get_running_loop().time()))


@asynccontextmanager
async def open_bench(
    site: Site, access: Access, progress: Callable[[str], None]
) -> AsyncIterator[Bench]:
    """A bench with a client that never makes a request wait for another's connection."""
    connector = aiohttp.TCPConnector(limit=0, ssl=_trust(access))
    async with aiohttp.ClientSession(connector=connector, trace_configs=[tracing()]) as session:
        yield Bench(site, access, session, progress)


def _trust(access: Access) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=access.ca_file)
    except (OSError, ssl.SSLError) as error:
        raise HearthError(
            f"{access.ca_file}: cannot be read as certificates ({error}); "
            "bring the lab up again, which writes it"
        ) from error


def _timeout_s(route: Route) -> float:
    """Long enough to tell slow from dead, short enough to bound a run."""
    target_s = route.service_level.first_byte_p95.total_seconds()
    bound = max(_LEAST_TIMEOUT_S, _TIMEOUT_PER_TARGET * target_s)
    return min(route.response_timeout.total_seconds(), bound)


def chat_routes(site: Site) -> dict[str, Route]:
    """The served routes that speak Ollama's chat form."""
    return {
        name: route
        for name, route in site.served_routes.items()
        if route.upstream_path in CHAT_PATHS and route.model is not None
    }


def upstream_of(site: Site, route: Route, served_by: str) -> str | None:
    """The route's upstream that an `X-Served-By` header names, by reference or by address.

    After a retry an engine lists every address that it tried: the last one answered.
    """
    last = served_by.rsplit(",", maxsplit=1)[-1].strip()
    for upstream in route.upstreams:
        if last in {upstream.service, site.placement(upstream.service).address}:
            return upstream.service
    return None
