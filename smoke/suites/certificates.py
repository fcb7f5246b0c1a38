"""The certificate that the gateway shows is one that people can trust, for some time to come."""

from __future__ import annotations

import asyncio
import ssl
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from smoke.verdict import Check, judged

if TYPE_CHECKING:
    from smoke.access import Access
    from smoke.bench import Bench

LEAST = timedelta(days=21)
"""Enough to notice and to renew it; the alert CertificateExpiresSoon has the same figure."""
_TIMEOUT_S = 10
_check = partial(Check, "certificates")


async def suite(bench: Bench) -> list[Check]:
    """Open a connection to the gateway and look at what it shows."""
    if urlsplit(bench.access.gateway_url).scheme != "https":
        return []
    try:
        expires = await _expiry(bench.access)
    except (OSError, ssl.SSLError, TimeoutError) as error:
        return [judge(None, str(error) or type(error).__name__)]
    return [judge(expires - datetime.now(UTC), "")]


async def _expiry(access: Access) -> datetime:
    """When the gateway's certificate ends; what it is signed by is verified on the way."""
    parts = urlsplit(access.gateway_url)
    trust = ssl.create_default_context(cafile=access.ca_file)
    opening = asyncio.open_connection(parts.hostname, parts.port or 443, ssl=trust)
    _, writer = await asyncio.wait_for(opening, _TIMEOUT_S)
    try:
        ends = str(writer.get_extra_info("peercert")["notAfter"])
    finally:
        writer.close()
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(ends), UTC)


def judge(left: timedelta | None, fault: str) -> Check:
    """Hold the time that is left to what renewing takes; None where the certificate is refused."""
    return _check(
        name="gateway's certificate is trusted, and valid for at least",
        target=f"{LEAST.days} days",
        figure="refused" if left is None else f"{left.days} days",
        verdict=judged(left is not None and left >= LEAST),
        detail=fault,
        samples=1,
    )
