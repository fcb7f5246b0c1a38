"""The API server over HTTPS: requests, errors in words, which kinds it has.

Connections are kept and handed from thread to thread; a thread that finds none idle opens another.
"""

from __future__ import annotations

import http.client
import json
import queue
import socket
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from tools.kubernetes_plugin.kinds import Kind
from tools.kubernetes_plugin.kubeconfig import Access

Object = dict[str, Any]

_SECONDS_TO_CONNECT = 5
_SECONDS_TO_ANSWER = 60
_BUSY = (429, 503)
_ATTEMPTS_WHEN_BUSY = 5
_LOST = (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError)
_AGENT = {"Accept": "application/json", "User-Agent": "hearth-kubernetes"}


class UnreachableError(Exception):
    """The API server does not answer, and why."""


class NoSuchKindError(Exception):
    """The API server has no such kind: its CustomResourceDefinition is missing, say."""

    def __init__(self, kind: Kind) -> None:
        super().__init__(
            f"{kind}: the cluster has no such kind; make its CustomResourceDefinition first "
            "(`depends_on`), or correct the apiVersion"
        )


class ApiError(Exception):
    """What the API server refuses, in its words.

    Attributes:
        code: of HTTP.
        reason: the server's word for it, such as AlreadyExists.
        causes: what exactly, with `reason`, `field` and `message`.
        missing: the kind of what was not found, if the server says.
    """

    def __init__(self, code: int, status: Mapping[str, Any]) -> None:
        details = status.get("details") or {}
        super().__init__(status.get("message") or f"HTTP {code}")
        self.code = code
        self.reason: str = status.get("reason") or ""
        self.causes: Sequence[Mapping[str, Any]] = details.get("causes") or ()
        self.missing: str = details.get("kind") or ""


@dataclass(frozen=True, slots=True)
class Resource:
    """Where the server keeps a kind's objects."""

    version: str
    plural: str
    is_namespaced: bool
    has_status: bool

    def path(self, namespace: str, name: str = "") -> str:
        """Of an object, or without a name of all."""
        root = "/api" if "/" not in self.version else "/apis"
        parts = [root, self.version]
        if self.is_namespaced and namespace:
            parts += ["namespaces", quote(namespace, safe="")]
        parts.append(self.plural)
        if name:
            parts.append(quote(name, safe=""))
        return "/".join(parts)


class Api:
    """One API server, for many threads."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._idle: queue.LifoQueue[http.client.HTTPConnection] = queue.LifoQueue()
        self._kinds: dict[str, dict[str, Resource]] = {}
        self._lock = threading.Lock()

    @property
    def namespace(self) -> str:
        """Where objects go that name none."""
        return self._access.namespace

    # Requests.

    def get(self, path: str, **query: str) -> Object:
        """What is at a path.

        Raises:
            ApiError: The server refuses.
            UnreachableError: It does not answer.
        """
        return self.request("GET", path, query=query)

    def find(self, path: str) -> Object | None:
        """What is at a path; None where there is nothing."""
        try:
            return self.get(path)
        except ApiError as error:
            if error.code == http.HTTPStatus.NOT_FOUND:
                return None
            raise

    def items(self, path: str, **query: str) -> list[Object]:
        """The objects of a list."""
        found: list[Object] = self.get(path, **query).get("items") or []
        return found

    def text(self, path: str, **query: str) -> str:
        """What is at a path, as text: a container's log."""
        return self._answer("GET", _with(path, query), None, {}).decode(errors="replace")

    def apply(
        self, path: str, wanted: Object, manager: str, *, force: bool = False, dry: bool = False
    ) -> Object:
        """Server-side apply: the object with these fields, which then are the manager's."""
        query = {"fieldManager": manager, "fieldValidation": "Strict"}
        query |= {"force": "true"} if force else {}
        query |= {"dryRun": "All"} if dry else {}
        # JSON is YAML, which is what the server wants to be told.
        return self.request("PATCH", path, wanted, "application/apply-patch+yaml", query)

    def delete(self, path: str, propagation: str) -> None:
        """Asks for an object's end; one that is not there has met it."""
        try:
            self.request("DELETE", path, {"propagationPolicy": propagation})
        except ApiError as error:
            if error.code != http.HTTPStatus.NOT_FOUND:
                raise

    def request(
        self,
        method: str,
        path: str,
        body: Object | None = None,
        content: str = "application/json",
        query: Mapping[str, str] | None = None,
    ) -> Object:
        """One request and its answer."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": content} if data else {}
        answer = self._answer(method, _with(path, query or {}), data, headers)
        found: Object = json.loads(answer)
        return found

    def _answer(
        self, method: str, path: str, data: bytes | None, headers: Mapping[str, str]
    ) -> bytes:
        for attempt in range(1, _ATTEMPTS_WHEN_BUSY + 1):
            code, text, wait = self._exchange(method, path, data, headers)
            if code < http.HTTPStatus.BAD_REQUEST:
                return text
            if code not in _BUSY or attempt == _ATTEMPTS_WHEN_BUSY:
                raise ApiError(code, _status(text))
            time.sleep(wait)
        raise AssertionError("the last attempt returns or raises")

    def _exchange(
        self, method: str, path: str, data: bytes | None, headers: Mapping[str, str]
    ) -> tuple[int, bytes, float]:
        """A request's code, text and seconds to wait; asked anew where a kept connection ended."""
        with self._connection() as connection:
            everything = {**_AGENT, **self._access.headers, **headers}
            target = self._access.prefix + path
            try:
                was_open = connection.sock is not None
                try:
                    connection.request(method, target, data, everything)
                    answer = connection.getresponse()
                except _LOST:
                    if not was_open:
                        raise
                    connection.close()
                    connection.request(method, target, data, everything)
                    answer = connection.getresponse()
                text = answer.read()
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                where = f"{self._access.host}:{self._access.port}"
                raise UnreachableError(
                    f"the cluster's API at {where} does not answer ({error}); start the cluster, "
                    "or correct the kubeconfig"
                ) from error
            return answer.status, text, float(answer.headers.get("Retry-After") or 1)

    @contextmanager
    def _connection(self) -> Iterator[http.client.HTTPConnection]:
        try:
            connection = self._idle.get_nowait()
        except queue.Empty:
            connection = _Connection(self._access)
        yield connection
        self._idle.put(connection)

    # Kinds.

    def resource(self, kind: Kind) -> Resource:
        """Where a kind's objects are; what the server has is asked for once a version.

        Raises:
            NoSuchKindError: It has no such kind.
        """
        with self._lock:
            known = self._kinds.get(kind.version, {})
            if kind.name not in known:
                known = self._kinds[kind.version] = self._asked(kind.version)
        try:
            return known[kind.name]
        except KeyError:
            raise NoSuchKindError(kind) from None

    def _asked(self, version: str) -> dict[str, Resource]:
        root = "/apis" if "/" in version else "/api"
        found = self.find(f"{root}/{version}") or {}
        rows = found.get("resources") or ()
        with_status = {row["name"].partition("/")[0] for row in rows if "/status" in row["name"]}
        return {
            row["kind"]: Resource(
                version, row["name"], bool(row["namespaced"]), row["name"] in with_status
            )
            for row in rows
            if "/" not in row["name"]
        }


class _Connection(http.client.HTTPConnection):
    """To an access' server, its certificate held against the name that the access states."""

    def __init__(self, access: Access) -> None:
        super().__init__(access.host, access.port, timeout=_SECONDS_TO_ANSWER)
        self._access = access

    def connect(self) -> None:
        """Opens it, without waiting long for a host that is not there."""
        where = (self._access.host, self._access.port)
        plain = socket.create_connection(where, timeout=_SECONDS_TO_CONNECT)
        plain.settimeout(_SECONDS_TO_ANSWER)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        tls = self._access.tls
        self.sock = (
            tls.wrap_socket(plain, server_hostname=self._access.server_name) if tls else plain
        )


def _with(path: str, query: Mapping[str, str]) -> str:
    return f"{path}?{urlencode(query)}" if query else path


def _status(text: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        return {"message": text.decode(errors="replace").strip()[:500]}
    return found if isinstance(found, Mapping) else {"message": str(found)[:500]}
