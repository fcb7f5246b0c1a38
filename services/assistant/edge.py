"""Around every request: its id, who serves it, a log line, its metrics."""

from __future__ import annotations

import logging
import re
import time
from http import HTTPStatus
from uuid import uuid4

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.assistant import logs
from services.assistant.metrics import Metrics

_ID = re.compile(r"[\w.:-]{1,128}", re.ASCII)
_ROUTES = frozenset({"chat", "code", "image", "images", "usage", "tags"})
_QUIET = frozenset({"health", "ready", "metrics", "version"})
_PREFIXES = ("/api/v1/", "/api/", "/")
_LEFT = 499  # the client did, before any status was told
BROKEN = "assistant.broken"  # in a request's scope: the answer's end never came
_LOG = logging.getLogger(__name__)


class Edge:
    """The outermost layer.

    Args:
        name: as in `X-Served-By`.
    """

    def __init__(self, app: ASGIApp, name: str, metrics: Metrics) -> None:
        self._app = app
        self._name = name.encode()
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or the server's startup and shutdown."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        token = logs.request_id.set(_request_id(scope))
        route = route_of(scope["path"])
        in_flight = self._metrics.in_flight.labels(route)
        in_flight.inc()
        passing = _Passing(send, self._name, logs.request_id.get() or "")
        started = time.monotonic()
        try:
            await self._app(scope, receive, passing.send)
        except Exception:
            _LOG.exception("a request failed")
            if not passing.ended:  # the server closes the connection: the client sees the break
                raise
        finally:
            in_flight.dec()
            status = HTTPStatus.BAD_GATEWAY if scope.get(BROKEN) else passing.status
            self._tell(route, int(status), time.monotonic() - started)
            logs.request_id.reset(token)

    def _tell(self, route: str, status: int, seconds: float) -> None:
        self._metrics.requests.labels(route, str(status)).inc()
        self._metrics.seconds.labels(route).observe(seconds)
        quiet = route in _QUIET and status < HTTPStatus.BAD_REQUEST
        _LOG.log(
            logging.DEBUG if quiet else logging.INFO,
            "answered",
            extra={"route": route, "status": status, "ms": round(seconds * 1000, 1)},
        )


def route_of(path: str) -> str:
    """A route's name, as in the site; `other` for what is none, whatever it is."""
    prefix = next((prefix for prefix in _PREFIXES if path.startswith(prefix)), "")
    name = path.removeprefix(prefix).partition("/")[0]
    return name if name in _ROUTES | _QUIET else "other"


class _Passing:
    """Watches what is sent."""

    def __init__(self, send: Send, name: bytes, request_id: str) -> None:
        self._send = send
        self._headers = [(b"x-served-by", name), (b"x-request-id", request_id.encode())]
        self.status = _LEFT
        self.ended = False

    async def send(self, message: Message) -> None:
        """Pass it on."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message = {**message, "headers": [*message.get("headers", ()), *self._headers]}
        elif message["type"] == "http.response.body":
            self.ended = not message.get("more_body", False)
        await self._send(message)


def _request_id(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _ID.fullmatch(text := value.decode("latin-1")):
            return str(text)
    return uuid4().hex
