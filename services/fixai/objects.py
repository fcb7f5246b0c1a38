"""Buckets of the S3 store."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import quote, urlsplit

import httpx

from services.fixai.database import Away
from services.fixai.settings import Objects, Secrets
from services.s3 import Keys, signed

_SECONDS = 20
_OK, _NOT_FOUND, _CONFLICT = 200, 404, 409


class Bucket:
    """One bucket; its methods raise `Away` where the store is, or does not let us in.

    Args:
        client: of the process; whoever made it closes it.
        told: where.
        secrets: `minio/access-key` and `minio/secret-key`.
        name: of the bucket.
    """

    def __init__(
        self, client: httpx.AsyncClient, told: Objects, secrets: Secrets, name: str
    ) -> None:
        self._client = client
        self._endpoint = told.endpoint
        self._name = name
        access, secret = secrets.read("minio", "access-key"), secrets.read("minio", "secret-key")
        self._keys = Keys(access, secret, told.region)

    async def create(self) -> bool:
        """Make the bucket; False where it is there."""
        if (await self._send("HEAD", "")).status_code == _OK:
            return False
        response = await self._send("PUT", "")
        if response.status_code == _CONFLICT:  # another process was faster
            return False
        self._expect_ok(response)
        return True

    async def put(self, key: str, data: bytes, content_type: str) -> None:
        """Store an object; once this returns it is stored."""
        response = await self._send("PUT", key, data, {"Content-Type": content_type})
        self._expect_ok(response)

    async def get(self, key: str) -> tuple[bytes, str] | None:
        """An object and its content type; None where there is none."""
        response = await self._send("GET", key)
        if response.status_code == _NOT_FOUND:
            return None
        self._expect_ok(response)
        return response.content, response.headers.get("Content-Type", "application/octet-stream")

    async def _send(
        self, method: str, key: str, data: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        path = f"/{quote(self._name)}" + (f"/{quote(key)}" if key else "")
        told = signed(
            self._keys,
            method,
            path,
            headers={"Host": urlsplit(self._endpoint).netloc, **(headers or {})},
            payload_sha256=hashlib.sha256(data).hexdigest(),
            at=datetime.now(UTC),
        )
        try:
            return await self._client.request(
                method, self._endpoint + path, content=data, headers=told, timeout=_SECONDS
            )
        except httpx.HTTPError as error:
            raise Away(f"the object store does not answer ({type(error).__name__})") from None

    def _expect_ok(self, response: httpx.Response) -> None:
        if response.status_code != _OK:
            told = f"answers {response.status_code} for the bucket {self._name}"
            raise Away(f"the object store {told}; see the secret minio and the role migrate")
