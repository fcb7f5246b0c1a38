"""An S3 bucket under load: objects put or fetched, signed with AWS Signature Version 4."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from typing import TYPE_CHECKING, Literal
from urllib.parse import quote, urlsplit

from smoke.load.http import Client, Timeouts, encode, sample_of

if TYPE_CHECKING:
    import ssl

    from smoke.load.sample import Sample


@dataclass(frozen=True, slots=True)
class Keys:
    """Who signs, and for which region."""

    access_key: str
    secret_key: str = field(repr=False)
    region: str = "us-east-1"


def signed(keys: Keys, method: str, url: str, body: bytes, at: datetime) -> dict[str, str]:
    """The headers of a request without a query, with its signature.

    Args:
        keys: Who signs.
        method: Such as `GET`.
        url: With its path encoded as it is sent.
        body: What is sent.
        at: The present, with its zone.
    """
    parts = urlsplit(url)
    moment = at.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    digest = hashlib.sha256(body).hexdigest()
    told = {"host": parts.netloc, "x-amz-content-sha256": digest, "x-amz-date": moment}
    names = ";".join(told)
    lines = "".join(f"{name}:{value}\n" for name, value in told.items())
    canonical = f"{method}\n{parts.path}\n\n{lines}\n{names}\n{digest}"
    scope = f"{moment[:8]}/{keys.region}/s3/aws4_request"
    summary = hashlib.sha256(canonical.encode()).hexdigest()
    key = f"AWS4{keys.secret_key}".encode()
    for part in (*scope.split("/"), f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{summary}"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    authorization = (
        f"AWS4-HMAC-SHA256 Credential={keys.access_key}/{scope},"
        f"SignedHeaders={names},Signature={key.hex()}"
    )
    del told["host"]
    return {**told, "Authorization": authorization}


class S3Target:
    """Objects of a bucket, one after the other over and over again.

    Args:
        endpoint: Such as `http://pi51:9000`.
        bucket: Which has to be there.
        keys: Who signs.
        operation: What is done to the objects.
        objects: How many there are, `load/0` and so on.
        size: Bytes of an object that is put.
        tls: What to trust; needed for https.
        timeouts: For each request.
    """

    def __init__(  # noqa: PLR0913 - what a request is
        self,
        endpoint: str,
        bucket: str,
        keys: Keys,
        *,
        operation: Literal["PUT", "GET"],
        objects: int = 100,
        size: int = 4096,
        tls: ssl.SSLContext | None = None,
        timeouts: Timeouts | None = None,
    ) -> None:
        self._root = f"{endpoint.rstrip('/')}/{quote(bucket)}/load/"
        self._keys = keys
        self._operation = operation
        self._objects = objects
        self._body = bytes(size) if operation == "PUT" else b""
        self._numbers = count()
        self._client = Client(endpoint, tls=tls, timeouts=timeouts)

    async def open(self) -> None:
        """Belong to the running event loop."""
        await self._client.open()

    async def close(self) -> None:
        """Close its connections."""
        await self._client.close()

    async def request(self, due: float) -> Sample:
        """Put or fetch the next object."""
        url = f"{self._root}{next(self._numbers) % self._objects}"
        headers = signed(self._keys, self._operation, url, self._body, datetime.now(UTC))
        request = encode(self._operation, url, headers, self._body)
        return sample_of(due, await self._client.exchange(request))
