"""One request to a service of the lab, its answer read as it comes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import BinaryIO
from urllib.parse import urlsplit

from services.keeper.errors import KeeperError, Unreachable

_SECONDS = 60
_OK = range(200, 300)


@contextmanager
def request(  # noqa: PLR0913 - what a request is
    service: str,
    url: str,
    method: str,
    path: str,
    *,
    headers: Mapping[str, str],
    body: bytes | BinaryIO | None = None,
    accepted: tuple[int, ...] = (),
) -> Iterator[HTTPResponse]:
    """The answer, for as long as the block lasts.

    Args:
        service: `host.service`, for errors.
        url: scheme and place.
        method: such as `GET`.
        path: encoded, with its query.
        headers: `Content-Length` among them where the body is a file.
        body: sent as it is.
        accepted: statuses that are no error, beside those of success.

    Raises:
        Unreachable: nothing answers, or not in time.
        KeeperError: another status.
    """
    found = urlsplit(url)
    kind = HTTPSConnection if found.scheme == "https" else HTTPConnection
    connection = kind(found.netloc, timeout=_SECONDS)
    try:
        connection.request(method, path, body=body, headers=dict(headers))
        response = connection.getresponse()
        if response.status not in _OK and response.status not in accepted:
            raise KeeperError(f"{service}: answers {response.status} to {method} {path}")
        yield response
    except (OSError, HTTPException) as error:
        what = str(error) or type(error).__name__
        raise Unreachable(f"{service}: does not answer ({what}); start it") from None
    finally:
        connection.close()
