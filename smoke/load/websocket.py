"""A WebSocket under load: a message, and the first one that comes back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import aiohttp

from smoke.load.pool import Pool
from smoke.load.sample import Sample, timed

if TYPE_CHECKING:
    import ssl


class WebSocketTarget:
    """Each connection carries one message at a time.

    Args:
        url: `ws://` or `wss://`.
        message: What is sent.
        tls: What to trust; needed for wss.
        timeout_s: For each request, a new connection's handshake included.
    """

    def __init__(
        self,
        url: str,
        message: str,
        *,
        tls: ssl.SSLContext | None = None,
        timeout_s: float = 60.0,
    ) -> None:
        self._url = url
        self._message = message
        self._tls = tls
        self._timeout_s = timeout_s
        self._session: aiohttp.ClientSession | None = None
        self._pool = Pool(self._connect, self._disconnect)

    async def open(self) -> None:
        """Belong to the running event loop."""
        connector = aiohttp.TCPConnector(limit=0, ssl=self._tls or True)
        self._session = aiohttp.ClientSession(connector=connector)

    async def close(self) -> None:
        """Close its connections."""
        await self._pool.close()
        if self._session is not None:
            await self._session.close()

    async def _connect(self) -> aiohttp.ClientWebSocketResponse:
        if self._session is None:
            raise ConnectionError("the target has not been opened")
        try:
            return await self._session.ws_connect(self._url)
        except aiohttp.ServerDisconnectedError as error:
            raise ConnectionResetError("the server closed the connection") from error

    @staticmethod
    async def _disconnect(connection: aiohttp.ClientWebSocketResponse) -> None:
        await connection.close()

    async def request(self, due: float) -> Sample:
        """Send the message and wait for one."""
        return await timed(due, self._timeout_s, self._ask(), (aiohttp.WSServerHandshakeError,))

    async def _ask(self) -> bool:
        async with self._pool.lease() as (connection, reused):
            await connection.send_str(self._message)
            answer = await connection.receive()
            if answer.type not in {aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY}:
                raise ConnectionResetError("the server closed the connection without an answer")
        return reused
