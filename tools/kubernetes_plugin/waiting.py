"""Waiting until an object is ready, or gone: by asking, ever less often, and telling what for."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from tools.kubernetes_plugin.api import Api, ApiError, NoSuchKindError, Object
from tools.kubernetes_plugin.kinds import Kind
from tools.kubernetes_plugin.objects import TIMEOUT, annotation, title
from tools.kubernetes_plugin.pods import hopeless, reasons
from tools.kubernetes_plugin.readiness import LONGEST, Verdict, WaitForError, judge

Say = Callable[[str], None]

_SECONDS: Final = 600.0
_FIRST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 2.0
_SECONDS_BETWEEN_PODS: Final = 3.0


class NotReadyError(Exception):
    """An object that is there and does not do its work.

    Attributes:
        live: the object as it is.
        reasons: why, a line each.
    """

    def __init__(self, message: str, live: Mapping[str, Any], reasons: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.live = live
        self.reasons = reasons


class Cluster:
    """What is seen of other objects in a cluster."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def find(self, kind: Kind, namespace: str, name: str) -> Object | None:
        """One object, if it is there and may be seen."""
        try:
            return self._api.find(self._api.resource(kind).path(namespace, name))
        except (ApiError, NoSuchKindError):
            return None

    def items(self, kind: Kind, namespace: str, labels: Mapping[str, str]) -> list[Object]:
        """Those with these labels, if they may be seen."""
        selector = ",".join(f"{key}={value}" for key, value in labels.items())
        return self._list(kind, namespace, labelSelector=selector)

    def has_status(self, kind: Kind) -> bool:
        """Whether a controller tells about objects of a kind."""
        try:
            return self._api.resource(kind).has_status
        except NoSuchKindError:
            return False

    def warnings(self, namespace: str, uid: str) -> list[Object]:
        """The events of an object that are no good news, oldest first."""
        found = self._list(
            Kind("v1", "Event"), namespace, fieldSelector=f"involvedObject.uid={uid}"
        )
        bad = [event for event in found if event.get("type") != "Normal"]
        return sorted(
            bad, key=lambda event: event.get("lastTimestamp") or event.get("eventTime") or ""
        )

    def log(self, namespace: str, name: str, container: str, *, before: bool) -> str:
        """A container's last lines, or those of its run before; empty where there are none."""
        path = self._api.resource(Kind("v1", "Pod")).path(namespace, name)
        query = {"container": container, "tailLines": "5", "previous": str(before).lower()}
        try:
            return self._api.text(f"{path}/log", **query)
        except ApiError:
            return ""

    def _list(self, kind: Kind, namespace: str, **query: str) -> list[Object]:
        try:
            return self._api.items(self._api.resource(kind).path(namespace), **query)
        except (ApiError, NoSuchKindError):
            return []


def limit(inputs: Mapping[str, Any], kind: Kind, given: float) -> float:
    """Seconds to wait: the engine's, the program's annotation's, the kind's."""
    text = annotation(inputs, TIMEOUT)
    if given:
        return given
    return float(text) if text.isdecimal() else LONGEST.get((kind.group, kind.name), _SECONDS)


def until_ready(  # noqa: PLR0913 - what is waited for, how, and how long
    api: Api,
    path: str,
    inputs: Mapping[str, Any],
    live: Object,
    *,
    seconds: float,
    say: Say,
    stop: threading.Event,
) -> Object:
    """Waits for an object that was applied to do its work; returns it as it is then.

    Raises:
        NotReadyError: It does not in time, never will, or the engine asks to stop.
    """
    cluster, began, looked = Cluster(api), time.monotonic(), 0.0
    verdict = _judged(inputs, live, cluster, 0)
    for pause in _pauses():
        if verdict.is_ready:
            return live
        passed = time.monotonic() - began
        if verdict.has_failed:
            raise _error(live, verdict.message, cluster)
        if passed >= seconds and _judged(inputs, live, cluster, math.inf).is_ready:
            return live  # only a time of grace was not over
        if passed >= seconds or stop.is_set():
            after = "stopped" if stop.is_set() else f"not ready after {seconds:.0f} s"
            raise _error(live, f"{after}: {verdict.message}", cluster)
        say(f"{title(live)}: {verdict.message}")
        if passed - looked >= _SECONDS_BETWEEN_PODS:
            looked = passed
            if why := hopeless(live, cluster):
                raise _error(live, why, cluster)
            for line in reasons(live, cluster)[:1]:
                say(line)
        stop.wait(min(pause, seconds - passed))
        found = api.find(path)
        if found is None:
            raise NotReadyError(f"{title(live)}: it was deleted while it was waited for", live)
        live = found
        verdict = _judged(inputs, live, cluster, time.monotonic() - began)
    raise AssertionError("the pauses do not end")


def until_gone(  # noqa: PLR0913 - what is waited for, how, and how long
    api: Api,
    path: str,
    live: Object,
    *,
    seconds: float,
    say: Say,
    stop: threading.Event,
) -> None:
    """Waits for an object that was deleted to be there no more.

    Raises:
        NotReadyError: It is still there, and why.
    """
    began, uid = time.monotonic(), live["metadata"].get("uid")
    for pause in _pauses():
        found = api.find(path)
        if found is None or found["metadata"].get("uid") != uid:
            return
        passed = time.monotonic() - began
        why = "; ".join(_keepers(found)) or "its end takes its time"
        if passed >= seconds or stop.is_set():
            raise NotReadyError(f"{title(live)}: still there after {passed:.0f} s: {why}", found)
        say(f"{title(live)}: {why}")
        stop.wait(min(pause, seconds - passed))


def _keepers(live: Object) -> Iterator[str]:
    """What keeps an object from going."""
    finalizers = live["metadata"].get("finalizers") or ()
    if "foregroundDeletion" in finalizers:
        yield "what it owns goes first"
    others = [name for name in finalizers if name not in ("foregroundDeletion", "orphan")]
    if others:
        yield f"its finalizers are not removed ({', '.join(others)}); see that who set them runs"
    for found in (live.get("status") or {}).get("conditions") or ():
        if live.get("kind") == "Namespace" and found.get("status") == "True":
            yield found.get("message") or found.get("type", "")


def _pauses() -> Iterator[float]:
    pause = _FIRST_PAUSE
    while True:
        yield pause
        pause = min(pause * 1.5, _LONGEST_PAUSE)


def _judged(inputs: Mapping[str, Any], live: Object, cluster: Cluster, seconds: float) -> Verdict:
    try:
        return judge(inputs, live, cluster, seconds)
    except WaitForError as error:
        raise NotReadyError(f"{title(live)}: {error}", live) from error


def _error(live: Object, message: str, cluster: Cluster) -> NotReadyError:
    return NotReadyError(f"{title(live)}: {message}", live, reasons(live, cluster))
