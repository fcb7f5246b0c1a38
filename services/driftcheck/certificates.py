"""Until when a certificate holds that is really served.

Unserved       there is none to see, or not one that the lab's authority signed
"""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass

from services.driftcheck.settings import Certificate

_NO_CHECK_TIME = 0x200000
"""OpenSSL's X509_V_FLAG_NO_CHECK_TIME: how long ago one expired is to be seen as well."""
_PATIENCE_SECONDS = 10.0


class Unserved(Exception):  # noqa: N818 - an outcome, told in the page
    """No certificate could be judged; says why."""


@dataclass(frozen=True, slots=True)
class Served:
    """A certificate.

    Attributes:
        subject_name: `CN=...`.
        expiry: in seconds since 1970.
    """

    subject_name: str
    expiry: float


async def served(where: Certificate, authority: str) -> Served:
    """The certificate that is served there.

    Raises:
        Unserved: nothing answers, or what it shows is not signed by the authority for its address.
    """
    context = ssl.create_default_context(cadata=authority)
    context.verify_flags |= _NO_CHECK_TIME
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            _, writer = await asyncio.open_connection(where.address, where.port, ssl=context)
    except (OSError, TimeoutError) as error:
        why = error.verify_message if isinstance(error, ssl.SSLCertVerificationError) else error
        raise Unserved(f"{where.address}:{where.port}: {why or type(error).__name__}") from None
    try:
        shown = writer.get_extra_info("peercert")
    finally:
        writer.close()
    names = {key: value for part in shown["subject"] for key, value in part}
    expiry = float(ssl.cert_time_to_seconds(shown["notAfter"]))
    return Served(f"CN={names.get('commonName', '')}", expiry)
