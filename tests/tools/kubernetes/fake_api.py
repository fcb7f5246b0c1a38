"""A tiny API server: objects in memory, server-side apply with managers, conflicts, dry runs."""

from __future__ import annotations

import json
import re
import threading
import uuid
from collections.abc import Callable, Mapping
from copy import deepcopy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

Object = dict[str, Any]

KINDS: Mapping[str, Mapping[str, tuple[str, bool]]] = {
    "v1": {
        "ConfigMap": ("configmaps", True),
        "Event": ("events", True),
        "Namespace": ("namespaces", False),
        "PersistentVolumeClaim": ("persistentvolumeclaims", True),
        "Pod": ("pods", True),
        "Secret": ("secrets", True),
        "Service": ("services", True),
    },
    "apps/v1": {
        "Deployment": ("deployments", True),
        "ReplicaSet": ("replicasets", True),
        "StatefulSet": ("statefulsets", True),
    },
    "discovery.k8s.io/v1": {"EndpointSlice": ("endpointslices", True)},
    "storage.k8s.io/v1": {"StorageClass": ("storageclasses", False)},
    "example.com/v1": {"Widget": ("widgets", True)},
}
"""What the server knows: API version, kind, plural, whether it is in a namespace."""

_PATH = re.compile(
    r"/apis?/(?P<version>v1|[^/]+/[^/]+?)(?:/namespaces/(?P<namespace>[^/]+)(?=/))?"
    r"/(?P<plural>[a-z]+)(?:/(?P<name>[^/]+))?(?P<log>/log)?"
)


class RefusedError(Exception):
    """An answer that is no success."""

    def __init__(self, code: int, reason: str, message: str, **details: Any) -> None:
        super().__init__(message)
        self.code = code
        self.status = {
            "kind": "Status",
            "reason": reason,
            "message": message,
            "details": details,
        }


class FakeApi:
    """The server, on a port of its own while it is entered."""

    def __init__(self) -> None:
        self.objects: dict[str, Object] = {}
        self.logs: dict[str, str] = {}
        self.requests: list[str] = []
        self.on_apply: Callable[[Object], None] = lambda _live: None
        self.unknown: set[str] = set()
        self._lock = threading.RLock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def kubeconfig(self) -> str:
        """A kubeconfig that leads here."""
        cluster = {"server": f"http://127.0.0.1:{self._server.server_port}"}
        return json.dumps(
            {
                "current-context": "fake",
                "contexts": [{"name": "fake", "context": {"cluster": "fake"}}],
                "clusters": [{"name": "fake", "cluster": cluster}],
            }
        )

    def put(self, live: Object) -> Object:
        """Has an object that nobody applied."""
        plural, is_namespaced = KINDS[live["apiVersion"]][live["kind"]]
        data = live["metadata"]
        data.setdefault("uid", str(uuid.uuid4()))
        root = "/api" if live["apiVersion"] == "v1" else "/apis"
        middle = f"/namespaces/{data['namespace']}" if is_namespaced else ""
        self.objects[f"{root}/{live['apiVersion']}{middle}/{plural}/{data['name']}"] = live
        return live

    def get(self, path: str) -> Object:
        """An object by the end of its path."""
        return next(live for key, live in self.objects.items() if key.endswith(path))

    def edit(self, path: str, manager: str, change: Callable[[Object], None]) -> None:
        """Changes an object by another's hand, which then has its whole spec and data."""
        live = self.get(path)
        change(live)
        fields = {f"f:{key}": _fields(live[key]) for key in ("spec", "data") if key in live}
        for entry in live["metadata"]["managedFields"]:
            for key in fields:
                entry["fieldsV1"].pop(key, None)
        live["metadata"]["managedFields"].append(
            {"manager": manager, "operation": "Update", "fieldsV1": fields}
        )

    # Answers.

    def answer(self, method: str, target: str, body: Object | None) -> Object:
        """What the server says."""
        url = urlsplit(target)
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        with self._lock:
            self.requests.append(f"{method} {url.path}")
            if version := re.fullmatch(r"/apis?/(v1|[^/]+/[^/]+)", url.path):
                return self._kinds(version[1])
            found = _PATH.fullmatch(url.path)
            if not found:
                raise RefusedError(404, "NotFound", "no such path")
            if not found["name"]:
                return self._list(url.path, query)
            if method == "GET":
                return self._found(url.path)
            if method == "DELETE":
                return self._delete(url.path)
            return self._apply(url.path, body or {}, query)

    def _kinds(self, version: str) -> Object:
        rows = KINDS.get(version, {}).items()
        kinds = [(kind, row) for kind, row in rows if kind not in self.unknown]
        if not kinds:
            raise RefusedError(404, "NotFound", f"there is no {version}")
        plain = [
            {"name": plural, "kind": kind, "namespaced": scoped} for kind, (plural, scoped) in kinds
        ]
        status = [{**row, "name": f"{row['name']}/status"} for row in plain]
        return {"resources": plain + status}

    def _found(self, path: str) -> Object:
        if path not in self.objects:
            raise RefusedError(404, "NotFound", f"{path} not found")
        return self.objects[path]

    def _list(self, path: str, query: Mapping[str, str]) -> Object:
        items = [live for key, live in self.objects.items() if key.rpartition("/")[0] == path]
        for pair in filter(None, query.get("labelSelector", "").split(",")):
            key, _, value = pair.partition("=")
            items = [one for one in items if one["metadata"].get("labels", {}).get(key) == value]
        if wanted := query.get("fieldSelector", "").partition("=")[2]:
            items = [one for one in items if one["involvedObject"]["uid"] == wanted]
        return {"items": items}

    def _delete(self, path: str) -> Object:
        live = self._found(path)
        if live["metadata"].get("finalizers"):
            live["metadata"]["deletionTimestamp"] = "2026-11-22T00:00:00Z"
        else:
            del self.objects[path]
        return live

    def _apply(self, path: str, body: Object, query: Mapping[str, str]) -> Object:
        manager, force = query["fieldManager"], query.get("force") == "true"
        live = deepcopy(self.objects.get(path) or {})
        entries = live.get("metadata", {}).pop("managedFields", [])
        if conflicts := _conflicts(live, body, entries, manager) if not force else []:
            raise RefusedError(409, "Conflict", "Apply failed with conflicts", causes=conflicts)
        before = [entry for entry in entries if entry["manager"] == manager]
        for entry in before:
            _remove(live, entry["fieldsV1"], _fields(body))
        _merge(live, body)
        data = live["metadata"]
        data.setdefault("uid", str(uuid.uuid4()))
        data["generation"] = data.get("generation", 0) + 1
        data["managedFields"] = [entry for entry in entries if entry["manager"] != manager] + [
            {"manager": manager, "operation": "Apply", "fieldsV1": _fields(body)}
        ]
        self.on_apply(live)
        if "dryRun" not in query:
            self.objects[path] = live
        return live

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        api = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _handle(self) -> None:
                size = int(self.headers.get("Content-Length") or 0)
                body = json.loads(self.rfile.read(size)) if size else None
                try:
                    if "/log?" in self.path:
                        name = urlsplit(self.path).path.split("/")[-2]
                        self._send(200, api.logs.get(name, "").encode())
                        return
                    self._send(200, json.dumps(api.answer(self.command, self.path, body)).encode())
                except RefusedError as error:
                    self._send(error.code, json.dumps(error.status).encode())

            do_GET = do_PATCH = do_DELETE = _handle  # noqa: N815 - http.server's names

            def _send(self, code: int, text: bytes) -> None:
                self.send_response(code)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_: Any) -> None:
                """Says nothing."""

        return Handler


def _fields(value: Any) -> Object:
    if not isinstance(value, Mapping):
        return {}
    skip = ("apiVersion", "kind", "name", "namespace")
    return {f"f:{key}": _fields(item) for key, item in value.items() if key not in skip}


def _merge(live: Object, body: Mapping[str, Any]) -> None:
    for key, value in body.items():
        if isinstance(value, Mapping) and isinstance(live.get(key), dict):
            _merge(live[key], value)
        else:
            live[key] = deepcopy(value)


def _remove(live: Object, had: Mapping[str, Any], has: Mapping[str, Any]) -> None:
    for key, tree in had.items():
        name = key[2:]
        if name not in live:
            continue
        if key not in has:
            del live[name]
        elif tree and isinstance(live[name], dict):
            _remove(live[name], tree, has[key])


def _conflicts(
    live: Mapping[str, Any], body: Mapping[str, Any], entries: list[Object], manager: str
) -> list[Object]:
    others = [entry for entry in entries if entry["manager"] != manager]
    return [
        {
            "reason": "FieldManagerConflict",
            "field": path,
            "message": f'conflict with "{entry["manager"]}" using v1',
        }
        for entry in others
        for path in _contested(live, body, entry["fieldsV1"], "")
    ]


def _contested(
    live: Mapping[str, Any], body: Mapping[str, Any], owned: Mapping[str, Any], above: str
) -> list[str]:
    found = []
    for key, tree in owned.items():
        name = key[2:]
        if name not in body or name not in live:
            continue
        if tree and isinstance(body[name], Mapping):
            found += _contested(live[name], body[name], tree, f"{above}.{name}")
        elif body[name] != live[name]:
            found.append(f"{above}.{name}")
    return found
