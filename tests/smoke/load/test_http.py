"""The HTTP client against servers that do one thing each."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from smoke.load.http import Client, Exchange, HttpTarget, Timeouts, encode
from smoke.load.ollama import Stream
from smoke.load.openai import CompletionStream
from smoke.load.sample import Sample

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Collected:
    """A body and when its parts came."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.times: list[float] = []

    def feed(self, chunk: bytes, now: float) -> None:
        """Keep it."""
        self.parts.append(chunk)
        self.times.append(now)

    @property
    def whole(self) -> bytes:
        """All of it."""
        return b"".join(self.parts)


async def request_of(reader: asyncio.StreamReader) -> bytes:
    """A request's head and body."""
    head = await reader.readuntil(b"\r\n\r\n")
    size = head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0]
    return head + await reader.readexactly(int(size or 0))


def answering(*answers: bytes, then_close: bool = False) -> Handler:
    """Answers the requests of each connection in turn; the last one for ever."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for number in range(1000):
            await request_of(reader)
            writer.write(answers[min(number, len(answers) - 1)])
            if then_close and number + 1 >= len(answers):
                writer.close()
                return

    return handle


@asynccontextmanager
async def served(handler: Handler, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """The origin of a server on loopback."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await handler(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client has gone
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=tls)
    port = server.sockets[0].getsockname()[1]
    try:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{port}"
    finally:
        server.close()


@asynccontextmanager
async def client_of(
    handler: Handler, timeouts: Timeouts | None = None
) -> AsyncIterator[tuple[Client, bytes]]:
    """A client of such a server, and a request for it."""
    async with served(handler) as origin:
        client = Client(origin, timeouts=timeouts)
        await client.open()
        try:
            yield client, encode("GET", origin)
        finally:
            await client.close()


def asked(
    handler: Handler, count: int = 1, timeouts: Timeouts | None = None
) -> tuple[list[Exchange], list[Collected], Client]:
    """So many exchanges, one after the other."""

    async def scenario() -> tuple[list[Exchange], list[Collected], Client]:
        bodies = [Collected() for _ in range(count)]
        async with client_of(handler, timeouts) as (client, request):
            return [await client.exchange(request, body) for body in bodies], bodies, client

    return asyncio.run(scenario())


def test_requests_are_sent_as_http_says() -> None:
    sent = encode("POST", "http://pi51:8080/api/chat?a=b", {"Accept": "*/*"}, b"{}")
    assert sent == (
        b"POST /api/chat?a=b HTTP/1.1\r\nHost: pi51:8080\r\nAccept: */*\r\n"
        b"Content-Length: 2\r\n\r\n{}"
    )
    assert encode("GET", "http://pi51") == b"GET / HTTP/1.1\r\nHost: pi51\r\n\r\n"


def test_a_header_cannot_smuggle_another() -> None:
    with pytest.raises(ValueError, match="X-User: a line break in a header"):
        encode("GET", "http://pi51/", {"X-User": "a\r\nX-Admin: yes"})


@pytest.mark.parametrize(
    ("origin", "message"),
    [
        ("ftp://pi51", "no address of a server"),
        ("pi51:80", "no address of a server"),
        ("https://pi51", "https needs certificates"),
    ],
)
def test_an_origin_that_cannot_be_used_is_told(origin: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Client(origin)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nhello world",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"6\r\nhello \r\n5\r\nworld\r\n0\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
        b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nhello world",
    ],
    ids=["with its length", "in chunks", "after an early hint"],
)
def test_a_body_ends_where_it_should_and_its_connection_serves_the_next(answer: bytes) -> None:
    exchanges, bodies, client = asked(answering(answer), count=3)
    assert [exchange.outcome() for exchange in exchanges] == ["complete"] * 3
    assert [body.whole for body in bodies] == [b"hello world"] * 3
    assert [exchange.reused for exchange in exchanges] == [False, True, True]
    assert (client.connections, client.reused, client.retried) == (1, 2, 0)
    assert exchanges[0].received == 11
    assert not exchanges[0].header("Link")


def test_a_body_without_a_length_ends_with_its_connection() -> None:
    handler = answering(b"HTTP/1.1 200 OK\r\n\r\nhello", then_close=True)
    exchanges, bodies, client = asked(handler, count=2)
    assert [exchange.outcome() for exchange in exchanges] == ["complete"] * 2
    assert bodies[0].whole == b"hello"
    assert client.connections == 2


def test_a_connection_that_is_to_be_closed_is_not_used_again() -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
    _, _, client = asked(answering(answer), count=2)
    assert (client.connections, client.reused) == (2, 0)


def test_a_second_answer_that_nobody_asked_for_ends_the_connection() -> None:
    exchanges, bodies, client = asked(answering(OK + OK), count=2)
    assert [exchange.outcome() for exchange in exchanges] == ["complete"] * 2
    assert bodies[1].whole == b"ok"
    assert client.connections == 2


def test_what_one_read_brings_is_handed_on_once_with_its_time() -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request_of(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        writer.write(b"1\r\na\r\n1\r\nb\r\n")
        await asyncio.sleep(0.2)
        writer.write(b"1\r\nc\r\n0\r\n\r\n")

    [exchange], [body], _ = asked(handle)
    assert body.whole == b"abc"
    assert body.parts[-1] == b"c"
    assert body.times[-1] - body.times[0] >= 0.15
    assert exchange.first_byte is not None
    assert exchange.sent <= exchange.first_byte <= body.times[0]
    assert exchange.ended == body.times[-1]


def test_a_used_connection_that_is_closed_before_the_answer_is_tried_once_more() -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request_of(reader)
        writer.write(OK)
        await request_of(reader)  # the second one is read, and never answered

    exchanges, _, client = asked(handle, count=3)
    assert [exchange.outcome() for exchange in exchanges] == ["complete"] * 3
    assert [exchange.retried for exchange in exchanges] == [False, True, True]
    assert (client.connections, client.reused, client.retried) == (3, 2, 2)


def test_a_new_connection_that_is_closed_before_the_answer_is_not_tried_again() -> None:
    requests = 0

    async def handle(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        nonlocal requests
        await request_of(reader)
        requests += 1

    [exchange], _, client = asked(handle)
    assert exchange.outcome() == "unreachable"
    assert exchange.fault == "the server closed the connection without an answer"
    assert (requests, client.retried) == (1, 0)


def test_a_used_connection_that_is_closed_within_the_answer_is_not_tried_again() -> None:
    cut = b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nhalf"
    exchanges, bodies, client = asked(answering(OK, cut, then_close=True), count=2)
    assert exchanges[1].outcome() == "truncated"
    assert exchanges[1].fault == "the server closed the connection within the answer"
    assert bodies[1].whole == b"half"
    assert client.retried == 0


def test_chunks_that_stop_before_their_end_are_truncated() -> None:
    cut = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"
    [exchange], _, _ = asked(answering(cut, then_close=True))
    assert exchange.outcome() == "truncated"


def test_an_answer_with_another_status_is_refused_and_its_body_is_no_stream() -> None:
    busy = b"HTTP/1.1 429 Too Many\r\nretry-after: 7\r\nContent-Length: 4\r\n\r\nbusy"
    [exchange], [body], _ = asked(answering(busy))
    assert (exchange.outcome(), exchange.status) == ("refused", 429)
    assert exchange.header("Retry-After") == "7"
    assert body.whole == b""


def test_what_is_no_http_is_unreachable() -> None:
    [exchange], _, _ = asked(answering(b"SSH-2.0-OpenSSH\r\n\r\n"))
    assert exchange.outcome() == "unreachable"
    assert exchange.fault.startswith("no HTTP (")


def test_who_does_not_listen_is_unreachable() -> None:
    async def scenario() -> Exchange:
        with socket.create_server(("127.0.0.1", 0)) as server:
            origin = f"http://127.0.0.1:{server.getsockname()[1]}"
        return await Client(origin).exchange(encode("GET", origin))

    exchange = asyncio.run(scenario())
    assert exchange.outcome() == "unreachable"
    assert exchange.fault.startswith("ConnectionRefusedError")


def test_a_connection_that_is_not_accepted_times_out() -> None:
    async def scenario() -> Exchange:
        with socket.socket() as server:
            server.bind(("127.0.0.1", 0))
            server.listen(0)
            address = server.getsockname()
            # The kernel accepts one or two itself; then it leaves them unanswered.
            fillers = [socket.socket() for _ in range(3)]
            for filler in fillers:
                filler.setblocking(False)
                filler.connect_ex(address)
            origin = f"http://127.0.0.1:{address[1]}"
            client = Client(origin, timeouts=Timeouts(connect_s=0.2))
            exchange = await client.exchange(encode("GET", origin))
            for filler in fillers:
                filler.close()
        return exchange

    exchange = asyncio.run(scenario())
    assert exchange.outcome() == "timed out"
    assert exchange.fault == "no connection within 0.2 s"


def test_a_first_byte_that_does_not_come_times_out() -> None:
    async def handle(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await request_of(reader)
        await reader.read()

    [exchange], _, _ = asked(handle, timeouts=Timeouts(first_byte_s=0.2))
    assert exchange.outcome() == "timed out"
    assert exchange.fault.startswith("no first byte within 0.")
    assert 0.2 <= exchange.ended - exchange.sent < 5


def test_an_end_that_does_not_come_times_out_however_much_flows() -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request_of(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n")
        while not writer.is_closing():
            writer.write(b".")
            await asyncio.sleep(0.01)

    [exchange], [body], _ = asked(handle, timeouts=Timeouts(first_byte_s=0.3, total_s=0.6))
    assert exchange.outcome() == "timed out"
    assert exchange.fault.startswith("no end within 0.")
    assert 0.6 <= exchange.ended - exchange.sent < 5
    assert len(body.parts) > 1


def test_requests_at_once_do_not_wait_for_each_others_connections() -> None:
    async def scenario() -> tuple[list[Exchange], Client, int]:
        waiting = 0
        all_here = asyncio.Event()

        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal waiting
            while True:
                await request_of(reader)
                waiting += 1
                if waiting == 50:
                    all_here.set()
                await all_here.wait()
                writer.write(OK)

        async with client_of(handle) as (client, request):
            exchanges = await asyncio.gather(*(client.exchange(request) for _ in range(50)))
            await asyncio.gather(*(client.exchange(request) for _ in range(50)))
            return exchanges, client, waiting

    exchanges, client, waiting = asyncio.run(scenario())
    assert {exchange.outcome() for exchange in exchanges} == {"complete"}
    assert (client.connections, client.reused, waiting) == (50, 50, 100)


def test_a_cancelled_request_does_not_give_its_connection_to_another() -> None:
    async def scenario() -> tuple[Exchange, int]:
        first = True

        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal first
            while True:
                await request_of(reader)
                if first:
                    first = False
                    reached.set()
                    await asyncio.sleep(0.1)
                writer.write(OK)

        reached = asyncio.Event()
        async with client_of(handle) as (client, request):
            task = asyncio.create_task(client.exchange(request))
            await reached.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            return await client.exchange(request), client.connections

    exchange, connections = asyncio.run(scenario())
    assert exchange.outcome() == "complete"
    assert not exchange.reused
    assert connections == 2


def certificate(folder: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """What a server shows, and what trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = datetime.now(UTC)
    names = x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))])
    shown = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(names, critical=False)
        .sign(key, hashes.SHA256())
    )
    pem, key_pem = folder / "cert.pem", folder / "key.pem"
    pem.write_bytes(shown.public_bytes(serialization.Encoding.PEM))
    key_pem.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(pem, key_pem)
    return server, ssl.create_default_context(cafile=str(pem))


def test_tls_is_spoken_with_who_can_be_trusted_and_nobody_else(tmp_path: Path) -> None:
    shown, trusting = certificate(tmp_path)

    async def scenario(trust: ssl.SSLContext) -> tuple[list[Exchange], bytes]:
        body = Collected()
        async with served(answering(OK), shown) as origin:
            client = Client(origin, tls=trust)
            await client.open()
            exchanges = [await client.exchange(encode("GET", origin), body) for _ in range(2)]
            await client.close()
            return exchanges, body.whole

    exchanges, body = asyncio.run(scenario(trusting))
    assert [exchange.outcome() for exchange in exchanges] == ["complete"] * 2
    assert exchanges[1].reused
    assert body == b"okok"
    exchanges, _ = asyncio.run(scenario(ssl.create_default_context()))
    assert exchanges[0].outcome() == "unreachable"
    assert "CERTIFICATE_VERIFY_FAILED" in exchanges[0].fault


def sampled(answer: bytes, stream: Callable[[], Stream | CompletionStream] | None) -> Sample:
    """A target's sample of that answer."""

    async def scenario() -> Sample:
        async with served(answering(answer, then_close=True)) as origin:
            target = HttpTarget(f"{origin}/api/chat", method="POST", bodies=[b"{}"], stream=stream)
            await target.open()
            try:
                return await target.request(asyncio.get_running_loop().time() - 1)
            finally:
                await target.close()

    return asyncio.run(scenario())


def test_a_stream_with_its_last_line_is_complete_and_has_its_counters() -> None:
    lines = (
        b'{"message":{"content":"a"}}\n{"message":{"content":"b"}}\n'
        b'{"done":true,"eval_count":2,"prompt_eval_count":5,"eval_duration":100000000,'
        b'"load_duration":2000000000}\n'
    )
    head = b"HTTP/1.1 200 OK\r\nX-Served-By: 10.0.0.4:1, agx0\r\nContent-Length: %d\r\n\r\n"
    sample = sampled(head % len(lines) + lines, Stream)
    assert sample.outcome == "complete"
    assert sample.tokens == (5, 2, 0.1, 2.0)
    assert sample.server == "agx0"
    assert len(sample.gaps) == 1
    assert sample.first is not None
    assert sample.sent - sample.due >= 1
    assert sample.sent <= sample.first <= sample.ended


def test_a_stream_without_its_last_line_is_truncated_whatever_its_length_says() -> None:
    line = b'{"message":{"content":"a"}}\n'
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(line)
    sample = sampled(head + line, Stream)
    assert (sample.outcome, sample.fault) == (
        "truncated",
        "the stream ended without its last part",
    )


def test_events_are_read_as_a_stream_of_tokens_too() -> None:
    events = b'data: {"choices":[{"delta":{"content":"a"}}]}\n\ndata: [DONE]\n\n'
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(events)
    assert sampled(head + events, CompletionStream).outcome == "complete"


def test_a_sample_of_any_other_answer_has_its_first_byte_and_no_tokens() -> None:
    sample = sampled(b"HTTP/1.1 503 Busy\r\nRetry-After: 2\r\nContent-Length: 0\r\n\r\n", None)
    assert (sample.outcome, sample.status, sample.fault) == ("refused", 503, "status 503")
    assert (sample.retry_after, sample.tokens) == (2.0, None)
    assert sample.first is not None
