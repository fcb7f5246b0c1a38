"""A copy of one kind of the API's objects, kept as they are there."""

from __future__ import annotations

import http.client
import logging
import random
import threading
import time
from collections.abc import Callable
from typing import Any, Generic, NoReturn, TypeVar

from services.policies.api import Api, ApiError, Document, GoneError

T = TypeVar("T")

LOG = logging.getLogger("hearth-policies")
FAULTS = (OSError, http.client.HTTPException, ApiError, ValueError, KeyError, TypeError)
"""Of a network, a server, and an answer that is not of the form that it has to have."""
FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 3.0
"""Until the API has answered, the pods of a node that has booted are closed."""


class Mirror(Generic[T]):
    """The objects of a kind.

    Args:
        api: whose.
        path: of the kind.
        read: makes of an object what is kept; None where nothing of it is.
        changed: set when something of what is kept differs.
        pause: waits for so many seconds.
    """

    def __init__(
        self,
        api: Api,
        path: str,
        read: Callable[[Document], T | None],
        changed: threading.Event,
        pause: Callable[[float], Any] = time.sleep,
    ) -> None:
        self._api, self._path, self._read = api, path, read
        self._changed, self._pause = changed, pause
        self._lock = threading.Lock()
        self._kept: dict[str, T] | None = None
        self._version = ""

    def all(self) -> list[T] | None:
        """What is kept; None before the first complete list."""
        with self._lock:
            return None if self._kept is None else list(self._kept.values())

    def follow(self) -> NoReturn:
        """Keeps the copy as the objects are, whatever happens to the API; it is a thread's work."""
        fault, wait = "", FIRST_WAIT_S
        while True:
            began = time.monotonic()
            try:
                self.catch_up()
            except GoneError:
                self._version = ""
            except FAULTS as error:
                if not isinstance(error, OSError | http.client.HTTPException):
                    # Listed anew: what it was about may be another cluster's by now.
                    self._version = ""
                if (now := f"{type(error).__name__}: {error}") != fault:
                    LOG.warning("%s; the rules stay as they are, it is tried again", now)
                fault = now
                # They do not all come back at the same moment.
                self._pause(wait * random.uniform(0.5, 1))  # noqa: S311 - no secret
                wait = min(2 * wait, LONGEST_WAIT_S)
                continue
            if fault:
                LOG.info("%s: the API answers again", self._path)
            fault, wait = "", FIRST_WAIT_S
            # A server that ends everything at once is not asked without a pause.
            self._pause(max(0.0, FIRST_WAIT_S - (time.monotonic() - began)))

    def catch_up(self) -> None:
        """Lists the objects where that has to be, then follows what changes until that ends."""
        if not self._version:
            listed, version = self._api.list(self._path)
            self._replace(listed)
            self._version = version
        for kind, told in self._api.watch(self._path, self._version):
            if kind != "BOOKMARK":
                self._take(told, is_gone=kind == "DELETED")
            self._version = str(told["metadata"]["resourceVersion"])

    def _replace(self, listed: list[Document]) -> None:
        found = {_key(told): kept for told in listed if (kept := self._made_of(told)) is not None}
        with self._lock:
            differs, self._kept = found != self._kept, found
        if differs:
            self._changed.set()

    def _take(self, told: Document, *, is_gone: bool) -> None:
        kept = None if is_gone else self._made_of(told)
        key = _key(told)
        with self._lock:
            known = self._kept if self._kept is not None else {}
            differs = known.get(key) != kept
            if kept is None:
                known.pop(key, None)
            else:
                known[key] = kept
        if differs:
            self._changed.set()

    def _made_of(self, told: Document) -> T | None:
        try:
            return self._read(told)
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{self._path}: {_key(told)} cannot be read ({error!r})") from error


def _key(told: Document) -> str:
    data = told["metadata"]
    return f"{data.get('namespace', '')}/{data['name']}"
