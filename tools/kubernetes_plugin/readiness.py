"""Whether an object does its work yet: by its kind, by its conditions, or as its program asks."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from tools.kubernetes_plugin.kinds import Kind
from tools.kubernetes_plugin.objects import SKIP_AWAIT, WAIT_FOR, annotation

Object = Mapping[str, Any]

_SECONDS_FOR_STATUS: Final = 3.0
"""How long a custom resource's controller has for its first word."""

_SECONDS_FOR_ENDPOINTS: Final = 10.0
"""How long a Service has for its first endpoint: its Pods may come after it, or never."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is known of an object's readiness.

    Attributes:
        is_ready: it does its work.
        has_failed: it never will, as it is.
        message: what it waits for, or why it never will.
    """

    is_ready: bool = False
    has_failed: bool = False
    message: str = ""


READY: Final = Verdict(is_ready=True)


def waiting(message: str) -> Verdict:
    """Not yet."""
    return Verdict(message=message)


def failed(message: str) -> Verdict:
    """Never."""
    return Verdict(has_failed=True, message=message)


class Look(Protocol):
    """How other objects are seen."""

    def find(self, kind: Kind, namespace: str, name: str) -> Object | None:
        """One of them."""

    def items(self, kind: Kind, namespace: str, labels: Mapping[str, str]) -> Sequence[Object]:
        """Those with these labels."""

    def has_status(self, kind: Kind) -> bool:
        """Whether a controller tells about objects of a kind."""


class WaitForError(Exception):
    """An annotation that does not say what to wait for."""


def judge(inputs: Object, live: Object, look: Look, seconds: float) -> Verdict:
    """Whether an object is ready.

    Args:
        inputs: what was asked for, with its annotations.
        live: the object.
        look: for others that it depends on.
        seconds: since it was last applied.

    Raises:
        WaitForError: It is asked to wait for something that cannot be understood.
    """
    if annotation(inputs, SKIP_AWAIT) == "true":
        return READY
    if text := annotation(inputs, WAIT_FOR):
        return _all(_expressions(text), live)
    kind = Kind(live["apiVersion"], live["kind"])
    if rule := _ALONE.get((kind.group, kind.name)):
        return rule(live)
    if other := _WITH_OTHERS.get((kind.group, kind.name)):
        return other(live, look, seconds)
    if not kind.is_built_in:
        return _custom(kind, live, look, seconds)
    return READY


def judge_alone(inputs: Object, live: Object) -> Verdict:
    """The same, from the object by itself; of others it is said that they are ready."""
    if annotation(inputs, SKIP_AWAIT) == "true" or annotation(inputs, WAIT_FOR):
        return READY
    kind = Kind(live["apiVersion"], live["kind"])
    rule = _ALONE.get((kind.group, kind.name))
    return rule(live) if rule else READY


# Parts of objects.


def _spec(live: Object) -> Object:
    return live.get("spec") or {}


def _status(live: Object) -> Object:
    return live.get("status") or {}


def condition(live: Object, type_: str) -> Object | None:
    """One of an object's conditions."""
    for found in _status(live).get("conditions") or ():
        if found.get("type") == type_:
            return found  # type: ignore[no-any-return]
    return None


def _is_observed(live: Object) -> bool:
    generation = live["metadata"].get("generation", 0)
    return bool(_status(live).get("observedGeneration", 0) >= generation)


def _said(found: Object) -> str:
    words = [found.get("reason"), found.get("message")]
    return ": ".join(word for word in words if word) or f"{found.get('type')} is not true"


# The kinds that tell by themselves.


def _deployment(live: Object) -> Verdict:  # noqa: PLR0911 - one a state
    spec, status = _spec(live), _status(live)
    if not _is_observed(live):
        return waiting("the controller has not seen it yet")
    progress = condition(live, "Progressing")
    if progress and progress.get("reason") == "ProgressDeadlineExceeded":
        return failed(progress.get("message") or "its Pods do not become ready in time")
    if spec.get("paused"):
        return READY
    count = spec.get("replicas", 1)
    updated, available = status.get("updatedReplicas", 0), status.get("availableReplicas", 0)
    if updated < count:
        refused = condition(live, "ReplicaFailure")
        why = f" ({refused.get('message')})" if refused else ""
        return waiting(f"{updated} of {count} Pods are made{why}")
    if status.get("replicas", 0) > updated:
        return waiting(f"{status['replicas'] - updated} old Pods are to go")
    if available < count:
        return waiting(f"{available} of {count} Pods are available")
    return READY


def _stateful_set(live: Object) -> Verdict:
    spec, status = _spec(live), _status(live)
    if not _is_observed(live):
        return waiting("the controller has not seen it yet")
    count, ready = spec.get("replicas", 1), status.get("readyReplicas", 0)
    strategy = spec.get("updateStrategy") or {}
    partition = (strategy.get("rollingUpdate") or {}).get("partition", 0)
    if strategy.get("type") != "OnDelete":
        updated = status.get("updatedReplicas", 0)
        if updated < count - partition:
            return waiting(f"{updated} of {count - partition} Pods are updated")
        is_old = status.get("currentRevision") != status.get("updateRevision")
        if not partition and count and is_old:
            return waiting("its Pods are being updated")
    if ready < count:
        return waiting(f"{ready} of {count} Pods are ready")
    return READY


def _daemon_set(live: Object) -> Verdict:
    status = _status(live)
    if not _is_observed(live):
        return waiting("the controller has not seen it yet")
    count = status.get("desiredNumberScheduled", 0)
    updated, available = status.get("updatedNumberScheduled", 0), status.get("numberAvailable", 0)
    on_delete = (_spec(live).get("updateStrategy") or {}).get("type") == "OnDelete"
    if updated < count and not on_delete:
        return waiting(f"{updated} of {count} nodes have its Pod as it is now")
    if available < count:
        return waiting(f"{available} of {count} Pods are available")
    return READY


def _replica_set(live: Object) -> Verdict:
    if not _is_observed(live):
        return waiting("the controller has not seen it yet")
    count, ready = _spec(live).get("replicas", 1), _status(live).get("readyReplicas", 0)
    return READY if ready >= count else waiting(f"{ready} of {count} Pods are ready")


def _job(live: Object) -> Verdict:
    for type_ in ("Failed", "FailureTarget"):
        found = condition(live, type_)
        if found and found.get("status") == "True":
            return failed(_said(found))
    done = condition(live, "Complete")
    if _spec(live).get("suspend") or (done and done.get("status") == "True"):
        return READY
    count = _spec(live).get("completions", 1)
    return waiting(f"{_status(live).get('succeeded', 0)} of {count} Pods have done it")


def pod(live: Object) -> Verdict:
    """A Pod is ready, or has done its work."""
    status = _status(live)
    ready = condition(live, "Ready")
    if status.get("phase") == "Succeeded" or (ready and ready.get("status") == "True"):
        return READY
    if status.get("phase") == "Failed":
        return failed(status.get("message") or status.get("reason") or "it ended with an error")
    return waiting((ready or {}).get("message") or "it is not ready")


def _volume(live: Object) -> Verdict:
    phase = _status(live).get("phase")
    if phase == "Failed":
        return failed(_status(live).get("message") or "it could not be cleared")
    return READY if phase in ("Available", "Bound", "Released") else waiting("it is not available")


def _definition(live: Object) -> Verdict:
    names = condition(live, "NamesAccepted")
    if names and names.get("status") == "False":
        return failed(_said(names))
    found = condition(live, "Established")
    if found and found.get("status") == "True":
        return READY
    return waiting("the server does not serve it yet")


def _namespace(live: Object) -> Verdict:
    phase = _status(live).get("phase", "Active")
    return READY if phase == "Active" else waiting(f"it is {phase}")


def _secret(live: Object) -> Verdict:
    if live.get("type") == "kubernetes.io/service-account-token" and not live.get("data"):
        return waiting("its token is not made yet")
    return READY


def _ingress(live: Object) -> Verdict:
    if (_status(live).get("loadBalancer") or {}).get("ingress"):
        return READY
    return waiting("its controller has given it no address yet")


# The kinds that depend on others.


def _service(live: Object, look: Look, seconds: float) -> Verdict:  # noqa: PLR0911 - one a rule
    spec, data = _spec(live), live["metadata"]
    if spec.get("type") == "ExternalName":
        return READY
    balanced = (_status(live).get("loadBalancer") or {}).get("ingress")
    if spec.get("type") == "LoadBalancer" and not balanced:
        return waiting("no load balancer has given it an address yet")
    if spec.get("clusterIP") == "None" or not spec.get("selector"):
        return READY
    slices = look.items(
        Kind("discovery.k8s.io/v1", "EndpointSlice"),
        data["namespace"],
        {"kubernetes.io/service-name": data["name"]},
    )
    points = [point for found in slices for point in found.get("endpoints") or ()]
    if any((point.get("conditions") or {}).get("ready", True) for point in points):
        return READY
    if points:
        return waiting(f"none of its {len(points)} Pods is ready")
    if seconds >= _SECONDS_FOR_ENDPOINTS:
        return READY
    return waiting("no Pod has the labels that it selects")


def _claim(live: Object, look: Look, seconds: float) -> Verdict:
    del seconds
    phase = _status(live).get("phase")
    if phase == "Bound":
        return READY
    if phase == "Lost":
        return failed("its PersistentVolume is gone")
    name = _spec(live).get("storageClassName")
    found = look.find(Kind("storage.k8s.io/v1", "StorageClass"), "", name) if name else None
    if found and found.get("volumeBindingMode") == "WaitForFirstConsumer":
        return READY
    return waiting(f"no PersistentVolume of class {name or '(none)'} is bound to it")


def _custom(kind: Kind, live: Object, look: Look, seconds: float) -> Verdict:
    for type_ in ("Ready", "Available"):
        found = condition(live, type_)
        if found is None:
            continue
        generation = live["metadata"].get("generation", 0)
        if found.get("observedGeneration", generation) < generation:
            return waiting("its controller has not seen it yet")
        return READY if found.get("status") == "True" else waiting(_said(found))
    if seconds >= _SECONDS_FOR_STATUS or _status(live) or not look.has_status(kind):
        return READY
    return waiting("its controller has not said anything yet")


_ALONE: Mapping[tuple[str, str], Callable[[Object], Verdict]] = {
    ("apiextensions.k8s.io", "CustomResourceDefinition"): _definition,
    ("apps", "DaemonSet"): _daemon_set,
    ("apps", "Deployment"): _deployment,
    ("apps", "ReplicaSet"): _replica_set,
    ("apps", "StatefulSet"): _stateful_set,
    ("batch", "Job"): _job,
    ("networking.k8s.io", "Ingress"): _ingress,
    ("", "Namespace"): _namespace,
    ("", "PersistentVolume"): _volume,
    ("", "Pod"): pod,
    ("", "Secret"): _secret,
}
_WITH_OTHERS: Mapping[tuple[str, str], Callable[[Object, Look, float], Verdict]] = {
    ("", "PersistentVolumeClaim"): _claim,
    ("", "Service"): _service,
}
LONGEST: Mapping[tuple[str, str], float] = {
    ("", "PersistentVolume"): 300,
    ("", "PersistentVolumeClaim"): 300,
}
"""Seconds that a kind is waited for where they are not 600."""


# What a program asks to wait for: an annotation in the form of kubectl's --for.


def _expressions(text: str) -> list[str]:
    try:
        found = json.loads(text)
    except ValueError:
        return [text]
    return [str(one) for one in found] if isinstance(found, list) else [text]


def _all(expressions: Sequence[str], live: Object) -> Verdict:
    if not expressions:
        raise WaitForError(f"{WAIT_FOR}: it names nothing to wait for")
    for text in expressions:
        if not _holds(text, live):
            return waiting(f"{text} does not hold")
    return READY


def _holds(text: str, live: Object) -> bool:
    what, _, rest = text.partition("=")
    if what == "condition":
        name, _, wanted = rest.partition("=")
        found = condition(live, name)
        return found is not None and found.get("status", "").lower() == (wanted or "true").lower()
    if what == "jsonpath":
        path, _, wanted = rest.partition("}")
        values = [value for value in _at(live, path.lstrip("{")) if value not in (None, "")]
        if wanted.startswith("="):
            return any(_text(value) == wanted[1:].strip("'\"") for value in values)
        return bool(values)
    raise WaitForError(
        f"{WAIT_FOR}: it is neither condition=TYPE nor jsonpath={{.PATH}} ({text}); correct it"
    )


_STEP = re.compile(
    r"\.?(?:\[(?:'(?P<quoted>[^']*)'|(?P<index>-?\d+)|(?P<every>\*)"
    r"|\?\(@\.(?P<key>[\w.-]+)\s*==\s*[\"'](?P<is>[^\"']*)[\"']\))\]|(?P<name>[^.\[\]]+))"
)


def _at(value: Any, path: str) -> list[Any]:
    """What is at a JSONPath of names, indexes, [*] and [?(@.key=="text")]."""
    values, position = [value], 0
    while position < len(path):
        step = _STEP.match(path, position)
        if not step:
            raise WaitForError(f"{WAIT_FOR}: its path cannot be read ({path}); correct it")
        values = [found for one in values for found in _step(one, step)]
        position = step.end()
    return values


def _step(value: Any, step: re.Match[str]) -> list[Any]:
    if isinstance(value, Mapping):
        name = step["name"] or step["quoted"]
        return [value[name]] if name in value else []
    if not isinstance(value, list):
        return []
    if step["every"]:
        return value
    if step["key"]:
        return [
            one for one in value if isinstance(one, Mapping) and one.get(step["key"]) == step["is"]
        ]
    index = int(step["index"] or 0)
    return [value[index]] if step["index"] and -len(value) <= index < len(value) else []


def _text(value: Any) -> str:
    return json.dumps(value) if isinstance(value, bool) else str(value)
