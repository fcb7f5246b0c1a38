"""What the suites of one run share: the site, the way in, and load that is sent only once."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import asynccontextmanager
from time import time
from typing import TYPE_CHECKING

from inventory.errors import HearthError
from inventory.model import KEY_HEADER
from smoke.load import streams
from smoke.load.http import Client, Timeouts, encode
from smoke.load.ollama import CHAT_PATHS, GENERATE_PATHS, ask, body_for
from smoke.load.recorder import Recorder

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
    from typing import Any

    from inventory.model import RateLimit, Route, Site
    from smoke.access import Access
    from smoke.load.http import Exchange
    from smoke.load.ollama import Answer
    from smoke.load.record import LoadRecord, Mark

_LEAST_TIMEOUT_S = 30.0
_TIMEOUT_PER_TARGET = 10
_LIMITER_ROOM = 1.25
LONGEST_QUIET_S = 60
IMAGE_PATH = "/api/v1/image"


class Bench:
    """The shared state of one run.

    Args:
        site: What the lab should be.
        access: How it is reached.
        tls: What to trust; None where the gateway speaks no TLS.
        progress: Told what happens, for people.

    Attributes:
        loads: What was sent, for the report.
    """

    def __init__(
        self,
        site: Site,
        access: Access,
        tls: ssl.SSLContext | None,
        progress: Callable[[str], None],
    ) -> None:
        self.site = site
        self.access = access
        self.progress = progress
        self.loads: list[LoadRecord] = []
        self._tls = tls
        self._clients: dict[str, Client] = {}
        self._loads: dict[str, streams.StreamLoad] = {}
        self._last_asked: dict[str, float] = {}

    async def stream_load(self, name: str) -> streams.StreamLoad:
        """The measured load on a route of `stream_routes`: sent at the first call, then kept."""
        if name not in self._loads:
            self._loads[name] = await self._measure(name)
        return self._loads[name]

    async def _measure(self, name: str) -> streams.StreamLoad:
        route = self.site.routes[name]
        model = route.model or ""
        per_minute = route.service_level.requests_per_minute.high
        count = streams.request_count(per_minute)
        self.progress(f"{name}: {count} requests at {per_minute:g} a minute")

        async def send(tokens: int, due: float | None = None) -> Answer:
            return await self.ask(name, body_for(route.upstream_path, model, tokens), due)

        load = await streams.measure(
            route, send, lambda answer: upstream_of(self.site, route, answer.served_by)
        )
        self.keep(name, f"{per_minute:g} a minute", load.answers)
        return load

    def keep(
        self, name: str, offered: str, answers: Sequence[Answer], marks: Sequence[Mark] = ()
    ) -> None:
        """Have a load in the report.

        Args:
            name: What was asked.
            offered: The load, for people.
            answers: In the order in which they were due.
            marks: What happened meanwhile.
        """
        if not answers:
            return
        zero = answers[0].due
        began = time() - (asyncio.get_running_loop().time() - zero)
        recorder = Recorder(name, offered, zero=zero, began=began)
        for answer in answers:
            recorder.take(answer.sample)
        self.loads.append(recorder.record(marks))

    async def ask(self, name: str, body: Mapping[str, Any], due: float | None = None) -> Answer:
        """Send one request to a route."""
        answer = await self.ask_as(self.access.api_key, name, body, due)
        self._last_asked[name] = asyncio.get_running_loop().time()
        return answer

    async def ask_as(
        self, api_key: str, name: str, body: Mapping[str, Any], due: float | None = None
    ) -> Answer:
        """Send one request to a route with some key, or none where it is empty."""
        route = self.site.routes[name]
        return await ask(
            await self._client(name),
            self.access.gateway_url.rstrip("/") + route.path,
            body,
            headers={KEY_HEADER: api_key} if api_key else {},
            due=due,
        )

    async def exchange(
        self, name: str, method: str, path: str, body: bytes = b""
    ) -> tuple[Exchange, bytes]:
        """Send a request that is no stream of a model's, to a route or below it."""
        told = {"Content-Type": "application/json"} if body else {}
        if self.access.api_key:
            told[KEY_HEADER] = self.access.api_key
        whole = _Whole()
        url = self.access.gateway_url.rstrip("/") + path
        client = await self._client(name)
        exchange = await client.exchange(encode(method, url, told, body), whole)
        self._last_asked[name] = asyncio.get_running_loop().time()
        return exchange, bytes(whole.data)

    async def _client(self, name: str) -> Client:
        """A client a route, as each has a time limit of its own."""
        if name not in self._clients:
            limit_s = _timeout_s(self.site.routes[name])
            timeouts = Timeouts(connect_s=limit_s, first_byte_s=limit_s, total_s=limit_s)
            client = Client(self.access.gateway_url, tls=self._tls, timeouts=timeouts)
            await client.open()
            self._clients[name] = client
        return self._clients[name]

    async def close(self) -> None:
        """Close all connections."""
        for client in self._clients.values():
            await client.close()

    async def pace(self, name: str) -> None:
        """Wait until one more request is well within the route's limit."""
        limit = self.site.routes[name].rate_limit
        last = self._last_asked.get(name, 0.0)
        until = last + let_through_s(limit)
        await asyncio.sleep(max(0.0, until - asyncio.get_running_loop().time()))

    async def quiet(self, name: str) -> None:
        """Wait until the route's limiter has forgotten this run's own requests."""
        last = self._last_asked.get(name)
        if last is None:
            return
        # Two windows: a sliding limiter still counts part of the one before.
        until = last + 2 * self.site.routes[name].rate_limit.window_seconds
        await asyncio.sleep(max(0.0, until - asyncio.get_running_loop().time()))


class _Whole:
    """A body as a whole."""

    def __init__(self) -> None:
        self.data = bytearray()

    def feed(self, chunk: bytes, _now: float) -> None:
        self.data += chunk


@asynccontextmanager
async def open_bench(
    site: Site, access: Access, progress: Callable[[str], None]
) -> AsyncIterator[Bench]:
    """A bench, closed at the end."""
    bench = Bench(site, access, _trust(access), progress)
    try:
        yield bench
    finally:
        await bench.close()


def _trust(access: Access) -> ssl.SSLContext | None:
    if not access.gateway_url.startswith("https:"):
        return None
    try:
        return ssl.create_default_context(cafile=access.ca_file)
    except (OSError, ssl.SSLError) as error:
        raise HearthError(
            f"{access.ca_file}: cannot be read as certificates ({error}); "
            "bring the lab up again, which writes it"
        ) from error


def let_through_s(limit: RateLimit) -> float:
    """Seconds between one client's requests that a limiter is sure to let through."""
    return _LIMITER_ROOM * limit.window_seconds / limit.requests


def _timeout_s(route: Route) -> float:
    """Long enough to tell slow from dead, short enough to bound a run."""
    target_s = route.service_level.first_byte_p95.total_seconds()
    bound = max(_LEAST_TIMEOUT_S, _TIMEOUT_PER_TARGET * target_s)
    return min(route.response_timeout.total_seconds(), bound)


def chat_routes(site: Site) -> dict[str, Route]:
    """The served routes that speak Ollama's chat form."""
    return _of_form(site, CHAT_PATHS)


def code_routes(site: Site) -> dict[str, Route]:
    """The served routes that speak Ollama's form of plain completions."""
    return _of_form(site, GENERATE_PATHS)


def stream_routes(site: Site) -> dict[str, Route]:
    """The served routes whose answers a model streams."""
    return chat_routes(site) | code_routes(site)


def image_routes(site: Site) -> dict[str, Route]:
    """The served routes that draw images."""
    return {
        name: route
        for name, route in site.served_routes.items()
        if route.upstream_path == IMAGE_PATH
    }


def _of_form(site: Site, paths: Collection[str]) -> dict[str, Route]:
    return {
        name: route
        for name, route in site.served_routes.items()
        if route.upstream_path in paths and route.model is not None
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
