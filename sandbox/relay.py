"""Relay connections from inherited listening sockets into the network this process lives in.

Run by path, with the standard library alone: `relay.py GROUPS DESCRIPTOR=ADDRESS:PORT ...`.
The sockets listen where they were made, in the host's namespace; what this process opens is in
the lab's.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from contextlib import suppress
from functools import partial
from pathlib import Path

CHUNK = 65536


async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copy one direction until its end, and pass the end on."""
    with suppress(OSError):
        while chunk := await reader.read(CHUNK):
            writer.write(chunk)
            await writer.drain()
    with suppress(OSError, RuntimeError):
        writer.write_eof()


async def relay(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str, port: int
) -> None:
    """Join one connection to its target; a target that is down closes it."""
    try:
        inner_reader, inner_writer = await asyncio.open_connection(host, port)
    except OSError:
        writer.close()
        return
    try:
        await asyncio.gather(copy(reader, inner_writer), copy(inner_reader, writer))
    finally:
        for end in (inner_writer, writer):
            end.close()


async def serve(routes: dict[int, tuple[str, int]]) -> None:
    """Serve every listening socket for ever."""
    for descriptor, (host, port) in routes.items():
        listener = socket.socket(fileno=descriptor)
        listener.setblocking(False)
        await asyncio.start_server(
            partial(relay, host=host, port=port),
            sock=listener,
        )
    await asyncio.Event().wait()


def parse(argument: str) -> tuple[int, tuple[str, int]]:
    """Read `DESCRIPTOR=ADDRESS:PORT`."""
    descriptor, _, target = argument.partition("=")
    host, _, port = target.rpartition(":")
    return int(descriptor), (host, int(port))


def main(arguments: list[str]) -> None:
    """Join the control groups given, then relay."""
    for group in arguments[0].split(":"):
        (Path(group) / "cgroup.procs").write_text(str(os.getpid()))
    with suppress(KeyboardInterrupt):
        asyncio.run(serve(dict(map(parse, arguments[1:]))))


if __name__ == "__main__":
    main(sys.argv[1:])
