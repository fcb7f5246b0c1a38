"""Requests to an S3 store, signed with AWS Signature Version 4."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote

EMPTY = hashlib.sha256(b"").hexdigest()
"""The digest of a request without a body."""
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
    query: str = "",
) -> dict[str, str]:
    """The headers of a request, with its signature.

    Args:
        keys: who signs.
        method: such as `GET`.
        path: encoded as it is sent, from the slash on.
        headers: those to be signed, `Host` among them.
        payload_sha256: of the body, hexadecimal.
        at: the present, with its zone.
        query: as `query_string` writes it.
    """
    moment = at.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    told = {**headers, "x-amz-content-sha256": payload_sha256, "x-amz-date": moment}
    lowered = sorted((name.lower(), value.strip()) for name, value in told.items())
    names = ";".join(name for name, _ in lowered)
    lines = "".join(f"{name}:{value}\n" for name, value in lowered)
    canonical = f"{method}\n{path}\n{query}\n{lines}\n{names}\n{payload_sha256}"
    scope = f"{moment[:8]}/{keys.region}/{_SERVICE}/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{_sha256(canonical.encode())}"
    signature = _hmac(_signing_key(keys, moment[:8]), text).hex()
    told["Authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={keys.access_key}/{scope},"
        f"SignedHeaders={names},Signature={signature}"
    )
    return told


def query_string(parameters: Mapping[str, str]) -> str:
    """Parameters as they are sent and signed: by name, encoded as S3 does."""
    pairs = (f"{quote(k, safe='')}={quote(v, safe='')}" for k, v in parameters.items())
    return "&".join(sorted(pairs))


def _signing_key(keys: Keys, day: str) -> bytes:
    key = f"AWS4{keys.secret_key}".encode()
    for part in (day, keys.region, _SERVICE, "aws4_request"):
        key = _hmac(key, part)
    return key


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
