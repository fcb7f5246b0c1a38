"""Why an object does not become ready: what its Pods, their events and their logs say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from tools.kubernetes_plugin.kinds import Kind
from tools.kubernetes_plugin.objects import title
from tools.kubernetes_plugin.readiness import Look, condition, pod

Object = Mapping[str, Any]

_POD = Kind("v1", "Pod")
_SET = Kind("apps/v1", "ReplicaSet")
_REVISION = "deployment.kubernetes.io/revision"
_UNTOLD = ("", "ContainerCreating", "PodInitializing")
_PODS, _EVENTS, _LINES = 3, 3, 5
"""How many of each are told."""
_WIDTH = 300

_HOPELESS = ("ErrImageNeverPull", "InvalidImageName")


class Witness(Look, Protocol):
    """How a failure's traces are seen."""

    def warnings(self, namespace: str, uid: str) -> Sequence[Object]:
        """The events of an object that are no good news, oldest first."""

    def log(self, namespace: str, name: str, container: str, *, before: bool) -> str:
        """A container's last lines, or those of its run before; empty where there are none."""


def hopeless(live: Object, witness: Witness) -> str:
    """Why waiting longer is useless; empty where it may be of use."""
    for found in pods_of(live, witness):
        for status in _containers(found):
            waits = (status.get("state") or {}).get("waiting") or {}
            if waits.get("reason") in _HOPELESS:
                return f"{title(found)}: {_waiting(status, waits)}"
    return ""


def reasons(live: Object, witness: Witness) -> list[str]:
    """What keeps an object from being ready, a line each."""
    found = list(pods_of(live, witness))
    unready = [one for one in found if not pod(one).is_ready]
    told = [line for one in unready[:_PODS] for line in _pod_reasons(one, witness)]
    if len(unready) > _PODS:
        told.append(f"{len(unready) - _PODS} more Pods are not ready")
    if not found:
        owners = [live, *_newest_set(live, witness)]
        told = [line for owner in owners for line in _events(owner, witness)]
    return told


def pods_of(live: Object, witness: Witness) -> Iterator[Object]:
    """The Pods that do an object's work, or it itself if it is one; none of an older version."""
    kind = Kind(live["apiVersion"], live["kind"])
    if kind == _POD:
        yield live
        return
    owners = _newest_set(live, witness) if kind.name == "Deployment" else [live]
    for owner in owners:
        labels = _selected(owner)
        if not labels:
            continue
        for found in witness.items(_POD, owner["metadata"].get("namespace", ""), labels):
            is_own = kind.name == "Service" or _is_owned(found, owner)
            if is_own and not found["metadata"].get("deletionTimestamp"):
                yield {"apiVersion": "v1", "kind": "Pod", **found}


def _newest_set(live: Object, witness: Witness) -> list[Object]:
    """Of a Deployment, the ReplicaSet that makes its Pods now."""
    if live["kind"] != "Deployment":
        return []
    labels, namespace = _selected(live), live["metadata"].get("namespace", "")
    sets = [one for one in witness.items(_SET, namespace, labels) if _is_owned(one, live)]

    def revision(one: Object) -> int:
        return int((one["metadata"].get("annotations") or {}).get(_REVISION, 0))

    newest = max(sets, key=revision, default=None)
    return [{"apiVersion": "apps/v1", "kind": "ReplicaSet", **newest}] if newest else []


def _selected(live: Object) -> Mapping[str, str]:
    selector = (live.get("spec") or {}).get("selector") or {}
    labels: Mapping[str, str] = (
        selector if live["kind"] == "Service" else (selector.get("matchLabels") or {})
    )
    return labels


def _is_owned(one: Object, owner: Object) -> bool:
    uid = owner["metadata"].get("uid")
    references = one["metadata"].get("ownerReferences") or ()
    return any(reference.get("uid") == uid for reference in references)


def _containers(of: Object) -> Iterator[Object]:
    status = of.get("status") or {}
    yield from status.get("initContainerStatuses") or ()
    yield from status.get("containerStatuses") or ()


def _pod_reasons(of: Object, witness: Witness) -> Iterator[str]:
    name = title(of)
    scheduled = condition(of, "PodScheduled")
    if scheduled and scheduled.get("status") == "False":
        yield f"{name}: {scheduled.get('reason')}: {scheduled.get('message', '')}"
        return
    told = [line for status in _containers(of) for line in _container(of, status, witness)]
    yield from (f"{name}: {line}" for line in told)
    events = [] if told else _events(of, witness)
    yield from events
    if not told and not events:
        yield f"{name}: {pod(of).message}"


def _container(of: Object, status: Object, witness: Witness) -> Iterator[str]:
    state = status.get("state") or {}
    waits, ended = state.get("waiting") or {}, state.get("terminated") or {}
    before = (status.get("lastState") or {}).get("terminated") or {}
    if waits.get("reason", "") not in _UNTOLD:
        yield _waiting(status, waits)
    crash = ended or before
    if crash.get("exitCode"):
        often = f", {status['restartCount']} restarts" if status.get("restartCount") else ""
        why = crash.get("reason", "Error")
        yield f"container {status['name']}: ended with {crash['exitCode']} ({why}{often})"
        yield from _log(of, status["name"], witness, before=not ended)


def _waiting(status: Object, waits: Object) -> str:
    message = f": {waits['message']}" if waits.get("message") else ""
    return f"container {status['name']}: {waits.get('reason')}{message}"


def _log(of: Object, container: str, witness: Witness, *, before: bool) -> Iterator[str]:
    data = of["metadata"]
    text = witness.log(data.get("namespace", ""), data["name"], container, before=before)
    for line in text.strip().splitlines()[-_LINES:]:
        yield f"container {container} said: {line[:_WIDTH]}"


def _events(of: Object, witness: Witness) -> list[str]:
    data = of["metadata"]
    events = witness.warnings(data.get("namespace", ""), data.get("uid", ""))
    told = [f"{title(of)}: {event.get('reason')}: {event.get('message')}" for event in events]
    return list(dict.fromkeys(told))[-_EVENTS:]
