"""PostgreSQL under load: a statement, and all of its rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import asyncpg

from smoke.load.sample import Sample, timed

if TYPE_CHECKING:
    from collections.abc import Sequence

    Connections = asyncpg.Pool[asyncpg.Record]


_GONE = (
    asyncpg.InterfaceError,
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
)
"""The server is not there, rather than against what it is asked."""


class PostgresTarget:
    """Waiting for one of its connections is part of an answer's time, as in an application.

    Args:
        server: Connection URI of libpq's form; it may bear a password and is never told.
        statement: With `$1` and so on for its arguments.
        arguments: For each of them a value.
        connections: How many there are, all opened beforehand.
        timeout_s: For each request.
    """

    def __init__(
        self,
        server: str,
        statement: str,
        *,
        arguments: Sequence[object] = (),
        connections: int = 10,
        timeout_s: float = 60.0,
    ) -> None:
        self._server = server
        self._statement = statement
        self._arguments = arguments
        self._connections = connections
        self._timeout_s = timeout_s
        self._pool: Connections | None = None

    async def open(self) -> None:
        """Open the connections."""
        try:
            self._pool = await asyncpg.create_pool(
                self._server,
                min_size=self._connections,
                max_size=self._connections,
                timeout=self._timeout_s,
            )
        except asyncpg.PostgresError as error:
            raise ConnectionRefusedError(f"PostgreSQL: {error}") from error

    async def close(self) -> None:
        """Close the connections at once."""
        if self._pool is not None:
            self._pool.terminate()

    async def request(self, due: float) -> Sample:
        """Run the statement."""
        return await timed(due, self._timeout_s, self._run(), (asyncpg.PostgresError,))

    async def _run(self) -> bool:
        if self._pool is None:
            raise ConnectionError("the target has not been opened")
        try:
            async with self._pool.acquire() as connection:
                await connection.fetch(self._statement, *self._arguments)
        except _GONE as error:
            raise ConnectionResetError(str(error)) from error
        return True
