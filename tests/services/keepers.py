"""A backup program with all that it reads: a store, a Grafana, and where both are told."""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

import uvicorn

from services.keeper import __main__ as keeper
from services.keeper.settings import Settings, load
from services.keeper.store import Store
from services.s3 import Keys, signed
from services.standins import grafana

PASSWORDS = {"postgres": "p-secret", "minio": "m-secret", "grafana": "g-secret"}
KEYS = Keys("backup", PASSWORDS["minio"], "us-east-1")
_PAGE = 2


@dataclass
class FakeS3:
    """Buckets in memory; refuses what is wrongly signed or differs from its digest.

    Attributes:
        objects: content and type by `/bucket/key`.
        gets: the paths of the objects that were fetched.
        broken: whether it ends every answer with an object early.
    """

    objects: dict[str, tuple[bytes, str]] = field(default_factory=dict)
    gets: list[str] = field(default_factory=list)
    broken: bool = False
    url: str = ""

    def put(self, path: str, content: bytes, kind: str = "image/png") -> None:
        """Have an object."""
        self.objects[path] = (content, kind)

    def in_bucket(self, bucket: str) -> dict[str, bytes]:
        """A bucket's objects by key."""
        start = f"/{bucket}/"
        return {
            p.removeprefix(start): c for p, (c, _) in self.objects.items() if p.startswith(start)
        }

    @contextmanager
    def running(self) -> Iterator[FakeS3]:
        """It runs while this is entered."""
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                fake.answer(self)

            do_PUT = do_DELETE = do_GET  # noqa: N815 - the names of the calls

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            self.url = f"http://127.0.0.1:{server.server_address[1]}"
            threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
            try:
                yield self
            finally:
                server.shutdown()

    def answer(self, request: Any) -> None:
        """Answer one request."""
        body = request.rfile.read(int(request.headers.get("Content-Length", 0)))
        found = urlsplit(request.path)
        path = unquote(found.path)
        status, content, kind = 200, b"", "application/xml"
        if not _rightly_signed(request, found.path, found.query, body):
            status = 403
        elif request.command == "PUT":
            self.put(path, body, request.headers["Content-Type"])
        elif request.command == "DELETE":
            status = 204
            self.objects.pop(path, None)
        elif found.query:
            content = self._listed(path.strip("/"), parse_qs(found.query))
        elif path not in self.objects:
            status = 404
        else:
            self.gets.append(path)
            content, kind = self.objects[path]
        request.send_response(status)
        request.send_header("Content-Type", kind)
        request.send_header("Content-Length", str(len(content)))
        request.send_header("ETag", f'"{_etag(content)}"')
        request.end_headers()
        request.wfile.write(content[:-1] if self.broken and kind == "image/png" else content)

    def _listed(self, bucket: str, query: Mapping[str, list[str]]) -> bytes:
        start = query.get("prefix", [""])[0]
        after = query.get("continuation-token", [""])[0]
        keys = sorted(k for k in self.in_bucket(bucket) if k.startswith(start) and k > after)
        rows = [
            f'<Contents><Key>{escape(key)}</Key><ETag>"{_etag(content)}"</ETag>'
            f"<Size>{len(content)}</Size></Contents>"
            for key in keys[:_PAGE]
            for content in [self.objects[f"/{bucket}/{key}"][0]]
        ]
        last = escape(keys[_PAGE - 1]) if len(keys) > _PAGE else ""
        more = f"<NextContinuationToken>{last}</NextContinuationToken>" if last else ""
        return (
            '<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
            f"{''.join(rows)}{more}</ListBucketResult>"
        ).encode()


def _etag(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def _rightly_signed(request: Any, path: str, query: str, body: bytes) -> bool:
    told = request.headers
    at = datetime.strptime(told["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    names = told["Authorization"].partition("SignedHeaders=")[2].partition(",")[0].split(";")
    headers = {name: told[name] for name in names if not name.startswith("x-amz-")}
    sha256 = hashlib.sha256(body).hexdigest()
    wanted = signed(
        KEYS, request.command, path, headers=headers, payload_sha256=sha256, at=at, query=query
    )
    return bool(wanted["Authorization"] == told["Authorization"])


@contextmanager
def grafana_running(home: Path) -> Iterator[str]:
    """The stand-in's address; what people make in it outlives it in its folder."""
    for folder in ("provisioning/dashboards", "files"):
        (home / folder).mkdir(parents=True, exist_ok=True)
    provider = {"folder": "Hearth", "options": {"path": str(home / "files")}}
    (home / "provisioning/dashboards/all.yaml").write_text(json.dumps({"providers": [provider]}))
    (home / "files/lab.json").write_text(json.dumps({"uid": "lab", "title": "Lab"}))
    settings = grafana.Settings(
        home / "provisioning", "admin", PASSWORDS["grafana"], secure_cookie=False, data=home
    )
    config = uvicorn.Config(
        grafana.application(settings), host="127.0.0.1", port=0, log_config=None, access_log=False
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 20
    while not server.started:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


@dataclass
class Lab:
    """A backup program's folders and settings; a part that a test does not add is not there."""

    home: Path
    told: dict[str, Any] = field(default_factory=dict)

    @property
    def config(self) -> Path:
        """The settings file."""
        return self.home / "settings" / "keeper.json"

    def write(self) -> None:
        """Write the settings and the passwords."""
        self.config.parent.mkdir(exist_ok=True)
        parts = dict.fromkeys(PASSWORDS)
        keep = {"daily": 7, "weekly": 4, "monthly": 6}
        base = {"site": "test", "at": "03:00", "keep": keep, "backups": str(self.home / "backups")}
        self.config.write_text(json.dumps({**base, **parts, **self.told}))
        for part, password in PASSWORDS.items():
            (self.config.parent / f"{part}-password").write_text(f"{password}\n")

    def with_store(self, url: str) -> Lab:
        """It keeps a bucket `images`."""
        self.told["minio"] = {
            "service": "pi52.minio",
            "endpoint": url,
            "region": KEYS.region,
            "user": KEYS.access_key,
            "buckets": ["images"],
            "copies": "backups",
        }
        return self

    def with_grafana(self, url: str) -> Lab:
        """It keeps what is made there."""
        self.told["grafana"] = {"service": "pi41.grafana", "url": url, "user": "admin"}
        return self

    def with_database(self, port: int, database: str, user: str = "backup") -> Lab:
        """It keeps a database."""
        place = {"host": "127.0.0.1", "port": port, "database": database, "user": user}
        self.told["postgres"] = {"service": "pi52.postgres", **place}
        return self

    @property
    def settings(self) -> Settings:
        """As the program reads them."""
        self.write()
        return load(self.config)

    @property
    def store(self) -> Store:
        """The folder of the backups."""
        return Store(self.settings.backups)

    def run(self, *arguments: str) -> int:
        """The exit code of a command."""
        self.write()
        os.environ[keeper.ENVIRONMENT] = str(self.config)
        try:
            return keeper.main(arguments)
        finally:
            del os.environ[keeper.ENVIRONMENT]
