"""A forwarded connection carries both directions, and outlives its target's absence."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress

from sandbox import relay


def listener() -> socket.socket:
    server = socket.socket()
    server.bind(("127.0.0.1", 0))
    server.listen()
    return server


async def shout(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write((await reader.read()).upper())
    writer.close()


async def ask(port: int) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"hello")
    writer.write_eof()
    answer = b""
    with suppress(ConnectionError):
        answer = await reader.read()
    writer.close()
    return answer


def relayed(*, target_up: bool) -> bytes:
    """What a client hears through the relay."""

    async def play() -> bytes:
        target, front = listener(), listener()
        port = target.getsockname()[1]
        if not target_up:
            target.close()
        server = await asyncio.start_server(shout, sock=target) if target_up else None
        own = front.getsockname()[1]
        task = asyncio.create_task(relay.serve({front.detach(): ("127.0.0.1", port)}))
        answer = await asyncio.wait_for(ask(own), 2)
        task.cancel()
        if server is not None:
            server.close()
        return answer

    return asyncio.run(play())


def test_both_directions_are_carried() -> None:
    assert relayed(target_up=True) == b"HELLO"


def test_a_target_that_is_down_closes_the_connection() -> None:
    assert relayed(target_up=False) == b""


def test_routes_are_read_from_arguments() -> None:
    assert relay.parse("5=192.168.1.147:80") == (5, ("192.168.1.147", 80))
