"""A lean HTTP/1.1 client for load: connections kept open, bodies handed on as they come.

One core sends some ten thousand requests a second with it. It has neither redirects, cookies,
compression nor proxies: a load asks for what it means.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from itertools import cycle
from typing import TYPE_CHECKING, Protocol, cast
from urllib.parse import urlsplit

import httptools

from smoke.load.sample import Outcome, Sample, Tokens

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping, Sequence

SERVED_BY = "X-Served-By"
"""The response header in which a gateway names who answered."""

_BUFFER = 256 * 1024
_LEAST_TICK_S = 0.005
_MOST_TICK_S = 0.25
_OK, _OK_END = 200, 300


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long to wait, in seconds; exceeded by a fiftieth, or a quarter second, at most.

    Attributes:
        connect_s: For a connection, TLS included.
        first_byte_s: From the request to the first byte of the answer.
        total_s: For all of it.
    """

    connect_s: float = 5.0
    first_byte_s: float = 30.0
    total_s: float = 60.0


class Body(Protocol):
    """Takes the body of an answer."""

    def feed(self, chunk: bytes, now: float) -> None:
        """Take what one read brought at that time on the event loop's clock."""


class TokenStream(Body, Protocol):
    """The body of a language model's answer."""

    @property
    def first(self) -> float | None:
        """When the first token came."""

    @property
    def gaps(self) -> Sequence[float]:
        """Seconds between one token and the next."""

    @property
    def tokens(self) -> Tokens:
        """The server's own counters."""

    @property
    def whole(self) -> bool:
        """Whether it came to its proper end."""

    @property
    def fault(self) -> str:
        """What was wrong with it, for people."""


class Exchange:
    """A request and its answer; times are seconds on the event loop's clock.

    Attributes:
        sent: When the client was given it.
        on_wire: When it was written, the connection being up.
        first_byte: When the answer's first byte came.
        ended: When its last came, or it failed.
        status: None where no answer began.
        headers: As they came.
        received: Bytes of the body.
        fault: Why it failed, for people; empty where it did not.
        timed_out: Whether it failed as its time was over.
        reused: Whether it went over a connection that had served another.
        retried: Whether that one turned out to be closed, and it was sent again.
    """

    __slots__ = (
        "ended",
        "fault",
        "first_byte",
        "headers",
        "on_wire",
        "received",
        "retried",
        "reused",
        "sent",
        "status",
        "timed_out",
    )

    def __init__(self, sent: float) -> None:
        self.sent = sent
        self.on_wire: float | None = None
        self.first_byte: float | None = None
        self.ended = sent
        self.status: int | None = None
        self.headers: list[tuple[bytes, bytes]] = []
        self.received = 0
        self.fault = ""
        self.timed_out = False
        self.reused = False
        self.retried = False

    @property
    def succeeded(self) -> bool:
        """Whether the status is one of success, wherever the body ended."""
        return self.status is not None and _OK <= self.status < _OK_END

    def header(self, name: str) -> str:
        """The last header of that name; empty without one."""
        wanted = name.lower().encode()
        found = b""
        for each, value in self.headers:
            if each.lower() == wanted:
                found = value
        return found.decode("latin-1")

    def outcome(self, stream: TokenStream | None = None) -> Outcome:
        """How it ended, its body being that stream."""
        if self.timed_out:
            return "timed out"
        if self.status is None:
            return "unreachable"
        if not self.succeeded:
            return "refused"
        whole = not self.fault and (stream is None or (stream.whole and not stream.fault))
        return "complete" if whole else "truncated"


def encode(
    method: str, url: str, headers: Mapping[str, str] | None = None, body: bytes = b""
) -> bytes:
    """A request as it is sent.

    Raises:
        ValueError: A header has a line break in it.
    """
    parts = urlsplit(url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    told = {"Host": parts.netloc.rpartition("@")[2], **(headers or {})}
    if body or method in {"POST", "PUT", "PATCH"}:
        told["Content-Length"] = str(len(body))
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in told.items())]
    for line in lines:
        if "\r" in line or "\n" in line:
            raise ValueError(f"{line.split(':')[0]}: a line break in a header; take it out")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


class Client:
    """Connections to one server; as many as there are requests under way, kept for later ones.

    A request over a kept connection that the server closes before it answers is sent once more
    over a new one: that is a race that any client may lose. Nothing else is tried again.

    Args:
        origin: Such as `https://gateway.lan:8443`; a path in it is not looked at.
        tls: What to trust; needed for https.
        timeouts: For each request.

    Attributes:
        connections: How many were opened.
        reused: How many requests went over one that had served another.
        retried: How many were sent again.
    """

    def __init__(
        self, origin: str, *, tls: ssl.SSLContext | None = None, timeouts: Timeouts | None = None
    ) -> None:
        parts = urlsplit(origin)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError(f"{origin}: no address of a server; write http(s)://host:port")
        if (parts.scheme == "https") != (tls is not None):
            raise ValueError(f"{origin}: https needs certificates to trust, http cannot use them")
        self._host = parts.hostname
        self._port = parts.port or (443 if tls else 80)
        self._tls = tls
        self._timeouts = timeouts or Timeouts()
        self._idle: list[_Connection] = []
        self._sweeper: asyncio.TimerHandle | None = None
        shortest = min(self._timeouts.first_byte_s, self._timeouts.total_s)
        self._tick_s = min(max(shortest / 50, _LEAST_TICK_S), _MOST_TICK_S)
        # Reads are handled one at a time: all connections share the room for one.
        self._buffer = memoryview(bytearray(_BUFFER))
        self._busy: set[_Connection] = set()
        self.connections = 0
        self.reused = 0
        self.retried = 0

    async def open(self) -> None:
        """Belong to the running event loop."""
        self._sweep()

    async def close(self) -> None:
        """Close what is kept; requests under way fail."""
        if self._sweeper is not None:
            self._sweeper.cancel()
        for connection in (*self._idle, *self._busy):
            connection.close()
        await asyncio.sleep(0)

    def _sweep(self) -> None:
        """Give up what has waited too long. A timer a request would cost more than it does."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        for connection in [each for each in self._busy if each.deadline < now]:
            connection.give_up(now)
        self._sweeper = loop.call_later(self._tick_s, self._sweep)

    async def exchange(self, request: bytes, body: Body | None = None) -> Exchange:
        """Send a request that `encode` made; failures are part of the answer.

        Args:
            request: As it is sent.
            body: Takes the answer's body where its status is one of success.
        """
        loop = asyncio.get_running_loop()
        exchange = Exchange(loop.time())
        end = exchange.sent + self._timeouts.total_s
        if self._idle:
            self.reused += 1
            exchange.reused = True
            if await self._idle.pop().send(request, exchange, body, end):
                return exchange
            self.retried += 1
            exchange.retried, exchange.reused = True, False
        connection = await self._connect(exchange)
        if connection is None:
            exchange.ended = loop.time()
        else:
            await connection.send(request, exchange, body, end)
        return exchange

    async def _connect(self, exchange: Exchange) -> _Connection | None:
        loop = asyncio.get_running_loop()
        limit_s = min(self._timeouts.connect_s, self._timeouts.total_s)
        try:
            async with asyncio.timeout(limit_s):
                _, connection = await loop.create_connection(
                    lambda: _Connection(loop, self._buffer, self._idle, self._busy),
                    self._host,
                    self._port,
                    ssl=self._tls,
                )
        except TimeoutError:
            exchange.timed_out = True
            exchange.fault = f"no connection within {limit_s:g} s"
        except OSError as error:
            exchange.fault = f"{type(error).__name__}: {error}"
        else:
            self.connections += 1
            connection.first_byte_s = self._timeouts.first_byte_s
            return connection
        return None


class _Connection(asyncio.BufferedProtocol):
    """One connection; serves one request at a time.

    Attributes:
        deadline: When what it waits for at present should be there.
        first_byte_s: How long the first byte of an answer may take.
    """

    __slots__ = (
        "_body",
        "_buffer",
        "_busy",
        "_chunks",
        "_complete",
        "_end",
        "_exchange",
        "_idle",
        "_keep",
        "_loop",
        "_parser",
        "_transport",
        "_waiter",
        "deadline",
        "first_byte_s",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        buffer: memoryview,
        idle: list[_Connection],
        busy: set[_Connection],
    ) -> None:
        self._loop = loop
        self._buffer = buffer
        self._idle = idle
        self._busy = busy
        self._parser = httptools.HttpResponseParser(self)
        self._exchange: Exchange | None = None
        self._body: Body | None = None
        self._chunks: list[bytes] = []
        self._complete = False
        self._keep = False
        self._end = 0.0
        self.deadline = 0.0
        self.first_byte_s = 0.0

    async def send(self, request: bytes, exchange: Exchange, body: Body | None, end: float) -> bool:
        """Fill the exchange; false where the server had closed a used connection before it.

        Args:
            request: As it is sent.
            exchange: Gets the answer.
            body: Gets its body.
            end: When the whole of it has to be there.
        """
        self._exchange = exchange
        self._body = body
        self._complete = False
        self._end = end
        exchange.on_wire = self._loop.time()
        self.deadline = min(end, exchange.on_wire + self.first_byte_s)
        self._waiter: asyncio.Future[bool] = self._loop.create_future()
        self._busy.add(self)
        self._transport.write(request)
        try:
            return await self._waiter
        except asyncio.CancelledError:
            self._release()
            self._transport.abort()
            raise

    def give_up(self, now: float) -> None:
        """The deadline is over."""
        exchange = cast("Exchange", self._exchange)
        exchange.timed_out = True
        begun = exchange.first_byte is not None
        exchange.fault = f"no {'end' if begun else 'first byte'} within {now - exchange.sent:.1f} s"
        self._finish(now)
        self._transport.abort()

    def close(self) -> None:
        """Close it; a request that is under way fails."""
        self._transport.close()

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def get_buffer(self, _sizehint: int) -> memoryview:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        now = self._loop.time()
        exchange = self._exchange
        if exchange is None:  # an answer that nobody asked for
            self._transport.abort()
            return
        if exchange.first_byte is None:
            exchange.first_byte = now
            self.deadline = self._end
        try:
            self._parser.feed_data(self._buffer[:nbytes])
        except httptools.HttpParserError as error:
            exchange.fault = f"no HTTP ({error})"
            self._finish(now)
            self._transport.abort()
            return
        if self._chunks:
            self._hand_on(exchange, now)
        if self._complete:
            self._finish(now)
            if self._keep:
                self._idle.append(self)
            else:
                self._transport.close()

    def _hand_on(self, exchange: Exchange, now: float) -> None:
        chunk = b"".join(self._chunks)
        self._chunks.clear()
        exchange.received += len(chunk)
        if self._body is not None and exchange.succeeded:
            self._body.feed(chunk, now)

    def eof_received(self) -> None:
        """The other side has said all; the transport closes itself."""

    def connection_lost(self, error: Exception | None) -> None:
        exchange = self._exchange
        if exchange is None:
            if self in self._idle:
                self._idle.remove(self)
            return
        if exchange.first_byte is None and exchange.reused:
            self._release()
            self._waiter.set_result(False)
            return
        if not self._ends_with_the_connection(exchange) or error is not None:
            begun = "within the answer" if exchange.first_byte else "without an answer"
            exchange.fault = f"the server closed the connection {begun}"
            exchange.fault += f" ({error})" if error is not None else ""
        self._finish(self._loop.time())

    @staticmethod
    def _ends_with_the_connection(exchange: Exchange) -> bool:
        """Whether an answer does not tell how long it is."""
        told = exchange.header("Content-Length") or exchange.header("Transfer-Encoding")
        return exchange.status is not None and not told

    def _finish(self, now: float) -> None:
        exchange = cast("Exchange", self._exchange)
        exchange.ended = now
        self._release()
        if not self._waiter.done():
            self._waiter.set_result(True)

    def _release(self) -> None:
        self._exchange = None
        self._body = None
        self._chunks.clear()
        self._busy.discard(self)

    # What the parser calls.

    def on_message_begin(self) -> None:
        """More than one answer to a request: nothing on this connection can be trusted."""
        self._keep = not self._complete

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep it."""
        if not self._complete:
            cast("Exchange", self._exchange).headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Keep the status."""
        if not self._complete:
            cast("Exchange", self._exchange).status = self._parser.get_status_code()

    def on_body(self, data: bytes) -> None:
        """Keep a part; what one read brought is handed on at once."""
        if not self._complete:
            self._chunks.append(data)

    def on_message_complete(self) -> None:
        """The end, unless more is to come."""
        exchange = cast("Exchange", self._exchange)
        if self._complete:
            return
        if exchange.status is not None and exchange.status < _OK:  # "go on", "early hints"
            exchange.status = None
            exchange.headers.clear()
            return
        self._keep = self._keep and self._parser.should_keep_alive()
        self._complete = True


class HttpTarget:
    """A URL under load.

    Args:
        url: With its scheme.
        method: Such as `POST`.
        headers: Beside those that HTTP needs.
        bodies: What is sent, in turn.
        tls: What to trust; needed for https.
        timeouts: For each request.
        stream: Makes what reads an answer of tokens; None for answers of other kinds.
    """

    def __init__(  # noqa: PLR0913 - what a request is
        self,
        url: str,
        *,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        bodies: Sequence[bytes] = (b"",),
        tls: ssl.SSLContext | None = None,
        timeouts: Timeouts | None = None,
        stream: Callable[[], TokenStream] | None = None,
    ) -> None:
        self.client = Client(url, tls=tls, timeouts=timeouts)
        self._requests = cycle([encode(method, url, headers, body) for body in bodies])
        self._stream = stream

    async def open(self) -> None:
        """Belong to the running event loop."""
        await self.client.open()

    async def close(self) -> None:
        """Close its connections."""
        await self.client.close()

    async def request(self, due: float) -> Sample:
        """Send the next body."""
        stream = self._stream() if self._stream is not None else None
        exchange = await self.client.exchange(next(self._requests), stream)
        return sample_of(due, exchange, stream)


def sample_of(due: float, exchange: Exchange, stream: TokenStream | None = None) -> Sample:
    """An exchange as a sample; `due` is when it should have been sent."""
    fault = exchange.fault
    if not fault and exchange.status is not None and not exchange.succeeded:
        fault = f"status {exchange.status}"
    if stream is not None:
        fault = fault or stream.fault
    outcome = exchange.outcome(stream)
    if outcome == "truncated" and not fault:
        fault = "the stream ended without its last part"
    return Sample(
        due=due,
        sent=exchange.sent,
        first=exchange.first_byte if stream is None else stream.first,
        ended=exchange.ended,
        outcome=outcome,
        # After a retry a gateway lists all whom it tried: the last one answered.
        server=exchange.header(SERVED_BY).rpartition(",")[2].strip(),
        gaps=() if stream is None else stream.gaps,
        tokens=None if stream is None else stream.tokens,
        status=exchange.status,
        fault=fault,
        retry_after=_seconds(exchange.header("Retry-After")),
        reused=exchange.reused,
        retried=exchange.retried,
    )


def _seconds(header: str) -> float | None:
    """The header in its form as seconds; the form as a date is nobody's here."""
    return float(header) if header.isdigit() else None
