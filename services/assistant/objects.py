"""An S3 bucket: puts and gets objects."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from urllib.parse import quote, urlsplit

import aiohttp
from yarl import URL

from services.assistant.circuit import Away, Circuit
from services.assistant.settings import Objects
from services.s3 import EMPTY, Keys, signed

_OK = 200
_NOT_FOUND = 404


class Bucket:
    """Its methods raise `Away` where it is, or does not let us in."""

    def __init__(self, session: aiohttp.ClientSession, objects: Objects) -> None:
        self._session = session
        endpoint = urlsplit(objects.endpoint)
        self._origin = f"{endpoint.scheme}://{endpoint.netloc}"
        self._host = endpoint.netloc
        self._root = f"{endpoint.path}/{quote(objects.bucket)}"
        self._keys = Keys(
            objects.access_key.get_secret_value(),
            objects.secret_key.get_secret_value(),
            objects.region,
        )
        self.circuit = Circuit("objects", (aiohttp.ClientError,), limit_seconds=10)

    async def probe(self) -> None:
        """Ask whether the bucket is there and ours."""
        async with self.circuit.call(3), self._request("HEAD", "") as response:
            _expect_ok(response)

    async def put(self, key: str, data: bytes, content_type: str) -> None:
        """Store an object; once this returns it is stored."""
        async with (
            self.circuit.call(),
            self._request("PUT", f"/{key}", data, {"Content-Type": content_type}) as response,
        ):
            _expect_ok(response)

    async def get(self, key: str) -> aiohttp.ClientResponse | None:
        """An object with its body unread, for the caller to close; None where there is none."""
        async with self.circuit.call():
            response = await self._send("GET", f"/{key}", b"", {})
            if response.status == _NOT_FOUND:
                response.release()
                return None
            try:
                _expect_ok(response)
            except Away:
                response.release()
                raise
        return response

    @asynccontextmanager
    async def _request(
        self, method: str, path: str, data: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        async with await self._send(method, path, data, headers or {}) as response:
            yield response

    async def _send(
        self, method: str, path: str, data: bytes, headers: Mapping[str, str]
    ) -> aiohttp.ClientResponse:
        path = self._root + quote(path)
        told = signed(
            self._keys,
            method,
            path,
            headers={"Host": self._host, **headers},
            payload_sha256=hashlib.sha256(data).hexdigest() if data else EMPTY,
            at=datetime.now(UTC),
        )
        url = URL(self._origin + path, encoded=True)
        return await self._session.request(method, url, data=data or None, headers=told)


def _expect_ok(response: aiohttp.ClientResponse) -> None:
    if response.status != _OK:
        raise Away("objects", f"status {response.status}")
