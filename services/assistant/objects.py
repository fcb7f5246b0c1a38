"""An S3 bucket: puts and gets objects, signed with AWS Signature Version 4."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote, urlsplit

import aiohttp
from yarl import URL

from services.assistant.circuit import Away, Circuit
from services.assistant.settings import Objects

_EMPTY = hashlib.sha256(b"").hexdigest()
_OK = 200
_NOT_FOUND = 404
_SERVICE = "s3"


@dataclass(frozen=True)
class Keys:
    """Who signs, and for which region."""

    access_key: str
    secret_key: str
    region: str


def signed(  # noqa: PLR0913 - what a signature covers
    keys: Keys,
    method: str,
    path: str,
    *,
    headers: Mapping[str, str],
    payload_sha256: str,
    at: datetime,
) -> dict[str, str]:
    """The headers of a request without a query, with its signature.

    Args:
        keys: who signs.
        method: such as `GET`.
        path: encoded as it is sent, from the slash on.
        headers: those to be signed, `Host` among them.
        payload_sha256: of the body, hexadecimal.
        at: the present, with its zone.
    """
    moment = at.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    told = {**headers, "x-amz-content-sha256": payload_sha256, "x-amz-date": moment}
    lowered = sorted((name.lower(), value.strip()) for name, value in told.items())
    names = ";".join(name for name, _ in lowered)
    lines = "".join(f"{name}:{value}\n" for name, value in lowered)
    canonical = f"{method}\n{path}\n\n{lines}\n{names}\n{payload_sha256}"
    scope = f"{moment[:8]}/{keys.region}/{_SERVICE}/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{_sha256(canonical.encode())}"
    signature = _hmac(_signing_key(keys, moment[:8]), text).hex()
    told["Authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={keys.access_key}/{scope},"
        f"SignedHeaders={names},Signature={signature}"
    )
    return told


def _signing_key(keys: Keys, day: str) -> bytes:
    key = f"AWS4{keys.secret_key}".encode()
    for part in (day, keys.region, _SERVICE, "aws4_request"):
        key = _hmac(key, part)
    return key


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


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
            payload_sha256=_sha256(data) if data else _EMPTY,
            at=datetime.now(UTC),
        )
        url = URL(self._origin + path, encoded=True)
        return await self._session.request(method, url, data=data or None, headers=told)


def _expect_ok(response: aiohttp.ClientResponse) -> None:
    if response.status != _OK:
        raise Away("objects", f"status {response.status}")
