"""Connections that serve one request at a time and are kept for later ones."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

C = TypeVar("C")


class Pool(Generic[C]):
    """As many connections as there are requests under way.

    Args:
        connect: Opens one.
        disconnect: Closes one.
    """

    def __init__(
        self, connect: Callable[[], Awaitable[C]], disconnect: Callable[[C], Awaitable[None]]
    ) -> None:
        self._connect = connect
        self._disconnect = disconnect
        self._idle: list[C] = []

    @asynccontextmanager
    async def lease(self) -> AsyncIterator[tuple[C, bool]]:
        """A connection, and whether it has served before; closed if the block fails."""
        reused = bool(self._idle)
        connection = self._idle.pop() if reused else await self._connect()
        try:
            yield connection, reused
        except BaseException:
            await self._disconnect(connection)
            raise
        self._idle.append(connection)

    async def close(self) -> None:
        """Close those that are kept."""
        while self._idle:
            await self._disconnect(self._idle.pop())
