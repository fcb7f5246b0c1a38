"""The cluster's API, asked as the node's kubelet: lists, and what changes afterwards."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

Document = dict[str, Any]

ANSWERS_WITHIN_S = 30
WATCHES_FOR_S = 60
"""Then the server ends a watch, and the next begins with a key that may have changed."""
PAGE = 500
_GONE = 410
_ALIVE = {socket.TCP_KEEPIDLE: 5, socket.TCP_KEEPINTVL: 2, socket.TCP_KEEPCNT: 3}
"""Seconds, seconds, questions: a server whose machine is off is given up after 11 s."""


class ApiError(Exception):
    """The API answers, but not what was asked for."""


class GoneError(ApiError):
    """What happened since then is not known any more: it has to be listed anew."""


@dataclass(frozen=True, slots=True)
class Login:
    """How the API is reached.

    Attributes:
        server: `https://address:port`.
        authority: the file of the certificate of who vouches for it.
        credential: the file of the kubelet's certificate and key. It is replaced now and then, so
            that each connection reads it anew.
    """

    server: str
    authority: Path
    credential: Path


class Api:
    """A client of the API.

    Raises (all of its methods):
        ApiError: the answer is none, or a refusal.
        OSError: it cannot be reached, a key cannot be read.
        http.client.HTTPException: the connection was cut.
        ValueError: the answer is no JSON.
    """

    def __init__(self, login: Login) -> None:
        self._login = login

    def list(self, path: str) -> tuple[list[Document], str]:
        """All objects of a kind, and the version from which it can be watched."""
        found: list[Document] = []
        query: dict[str, str | int] = {"limit": PAGE}
        while True:
            with self._asked(path, query, ANSWERS_WITHIN_S) as answer:
                told = json.loads(answer.read())
            if not isinstance(told, dict) or "items" not in told:
                raise ApiError(f"{path}: the answer is no list")
            found += told["items"]
            if not (then := told["metadata"].get("continue")):
                return found, str(told["metadata"]["resourceVersion"])
            query["continue"] = then

    def watch(self, path: str, version: str) -> Iterator[tuple[str, Document]]:
        """What changes after a version: `ADDED`, `MODIFIED`, `DELETED` or `BOOKMARK`, the object.

        It ends after a minute.

        Raises:
            GoneError: the version is too old.
        """
        query: dict[str, str | int] = {
            "watch": "true",
            "resourceVersion": version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": WATCHES_FOR_S,
        }
        with self._asked(path, query, WATCHES_FOR_S + ANSWERS_WITHIN_S) as answer:
            for line in answer:
                event = json.loads(line)
                if event["type"] == "ERROR":
                    raise _refusal(path, event["object"].get("code", 0), event["object"])
                yield event["type"], event["object"]

    @contextmanager
    def _asked(
        self, path: str, query: Mapping[str, str | int], seconds: float
    ) -> Iterator[http.client.HTTPResponse]:
        context = ssl.create_default_context(cafile=str(self._login.authority))
        context.load_cert_chain(self._login.credential)
        server = urlsplit(self._login.server)
        connection = http.client.HTTPSConnection(
            server.hostname or "", server.port, context=context, timeout=seconds
        )
        with closing(connection):
            connection.connect()
            connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for option, value in _ALIVE.items():
                connection.sock.setsockopt(socket.IPPROTO_TCP, option, value)
            asked = f"{path}?{urlencode(query)}"
            connection.request("GET", asked, headers={"Accept": "application/json"})
            answer = connection.getresponse()
            if answer.status != http.client.OK:
                raise _refusal(path, answer.status, answer.read().decode(errors="replace"))
            yield answer


def _refusal(path: str, code: int, said: Document | str) -> ApiError:
    if isinstance(said, str):
        try:
            said = json.loads(said)
        except ValueError:
            said = {"message": str(said)}
    message = said.get("message", "") if isinstance(said, dict) else ""
    kind = GoneError if code == _GONE else ApiError
    return kind(f"{path}: the API says {code} ({str(message)[:200] or 'no message'})")
