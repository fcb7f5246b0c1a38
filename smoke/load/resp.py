"""Redis under load: a command, and its reply (RESP 2)."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from smoke.load.pool import Pool
from smoke.load.sample import Sample, timed

if TYPE_CHECKING:
    from collections.abc import Sequence

Reply: TypeAlias = "bytes | int | list[Reply] | None"


class RefusedError(Exception):
    """The server answered with an error."""


def encode(command: Sequence[str | bytes]) -> bytes:
    """A command as it is sent."""
    parts = [part.encode() if isinstance(part, str) else part for part in command]
    sized = b"".join(b"$%d\r\n%b\r\n" % (len(part), part) for part in parts)
    return b"*%d\r\n%b" % (len(parts), sized)


@dataclass(frozen=True, slots=True)
class Connection:
    """One connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def ask(self, request: bytes) -> Reply:
        """Send a command and read its reply.

        Raises:
            RefusedError: The reply is an error.
            EOFError: The connection was closed.
        """
        self.writer.write(request)
        return await self._reply()

    async def _reply(self) -> Reply:
        line = await self.reader.readuntil(b"\r\n")
        kind, rest = line[:1], line[1:-2]
        if kind == b"+":
            return rest
        if kind == b"-":
            raise RefusedError(rest.decode(errors="replace"))
        if kind == b":":
            return int(rest)
        if kind == b"$":
            return await self._text(int(rest))
        if kind == b"*":
            return [await self._reply() for _ in range(int(rest))] if int(rest) >= 0 else None
        raise ConnectionError(f"not a reply of Redis: {line[:40]!r}")

    async def _text(self, size: int) -> bytes | None:
        return (await self.reader.readexactly(size + 2))[:-2] if size >= 0 else None


class RedisTarget:
    """Each connection carries one command at a time.

    Args:
        host: Address or name.
        port: TCP port.
        command: Such as `("GET", "session")`.
        password: Empty where it needs none.
        timeout_s: For each request, a new connection's login included.
    """

    def __init__(
        self,
        host: str,
        port: int,
        command: Sequence[str | bytes],
        *,
        password: str = "",
        timeout_s: float = 60.0,
    ) -> None:
        self._host = host
        self._port = port
        self._password = password
        self._timeout_s = timeout_s
        self._request = encode(command)
        self._pool = Pool(self._connect, self._disconnect)

    async def open(self) -> None:
        """Connections are opened as they are needed."""

    async def close(self) -> None:
        """Close its connections."""
        await self._pool.close()

    async def _connect(self) -> Connection:
        connection = Connection(*await asyncio.open_connection(self._host, self._port))
        if self._password:
            await connection.ask(encode(("AUTH", self._password)))
        return connection

    @staticmethod
    async def _disconnect(connection: Connection) -> None:
        connection.writer.close()

    async def request(self, due: float) -> Sample:
        """Send the command and read its reply."""
        return await timed(due, self._timeout_s, self._ask(), (RefusedError,))

    async def _ask(self) -> bool:
        async with self._pool.lease() as (connection, reused):
            await connection.ask(self._request)
        return reused
