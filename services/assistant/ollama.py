"""The Ollama beside this program."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp

from services.assistant.circuit import Away

_OK = 200
# Ollama may think for minutes before a token comes; the gateway's own limit is shorter.
_STREAM = aiohttp.ClientTimeout(total=None, connect=3, sock_read=600)
_SHORT = aiohttp.ClientTimeout(total=3)


@dataclass(frozen=True)
class Fetched:
    """A short answer, whole."""

    status: int
    content_type: str
    body: bytes


class Ollama:
    """Its methods raise `Away` where no connection is had."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = url
        self.why: str | None = None

    async def open(self, target: str, body: bytes) -> aiohttp.ClientResponse:
        """Send a request; the response has its status and an unread body, the caller closes it."""
        try:
            return await self._session.post(
                self._url + target,
                data=body,
                headers={"Content-Type": "application/json", "Accept-Encoding": "identity"},
                timeout=_STREAM,
            )
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Away("ollama", type(error).__name__) from error

    async def fetch(self, target: str) -> Fetched:
        """Get something short."""
        try:
            async with self._session.get(self._url + target, timeout=_SHORT) as response:
                return Fetched(
                    response.status,
                    response.headers.get("Content-Type", "application/json"),
                    await response.read(),
                )
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Away("ollama", type(error).__name__) from error

    async def probe(self) -> None:
        """Ask whether it answers; `why` tells what was wrong."""
        try:
            status = (await self.fetch("/api/version")).status
        except Away as error:
            self.why = error.why
            raise
        self.why = None if status == _OK else f"status {status}"
        if self.why is not None:
            raise Away("ollama", self.why)

    async def loaded(self) -> list[Mapping[str, Any]]:
        """The models in memory, as in `/api/ps`."""
        fetched = await self.fetch("/api/ps")
        try:
            return list(json.loads(fetched.body).get("models") or [])
        except (ValueError, AttributeError, TypeError):
            return []
