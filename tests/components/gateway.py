"""The gateway's own programs on loopback, before an upstream that notes what reaches it."""

from __future__ import annotations

import json
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from components.homelab.routing import haproxy_config, key_map, limits_lua, nginx_config
from hearth.secrets import CERTIFICATE, PRIVATE_KEY, missing_settings
from inventory.model import Site
from tests import generate
from tests.ports import free_port

KEYS = {"phone": "the-key-of-the-phone", "smoke": "the-key-of-smoke"}
PASSWORD = "the-password-of-redis"  # noqa: S105 - made up here
SECONDS = 30
"""For anything to happen, on a machine that others keep busy."""


def needs(*programs: str) -> pytest.MarkDecorator:
    """Skips where a program is not there."""
    missing = [program for program in programs if shutil.which(program) is None]
    return pytest.mark.skipif(bool(missing), reason=f"no {', '.join(missing)} on PATH")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a client got; headers by their names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def ask(url: str, **headers: str) -> Answer:
    """Asks a page; a refusal is an answer, too."""
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 - http, on loopback
    try:
        with urllib.request.urlopen(request, timeout=SECONDS) as response:  # noqa: S310
            return Answer(response.status, _lower(response.headers), response.read())
    except urllib.error.HTTPError as error:
        with error:
            return Answer(error.code, _lower(error.headers), error.read())


def _lower(headers: Message) -> dict[str, str]:
    return {key.lower(): value for key, value in headers.items()}


@dataclass(slots=True)
class Upstream:
    """A server that answers everything, and the headers of what it was asked."""

    port: int = 0
    seen: list[dict[str, str]] = field(default_factory=list)


@contextmanager
def serving() -> Iterator[Upstream]:
    """An upstream for as long as the block lasts."""
    upstream = Upstream()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path != "/health":
                upstream.seen.append(_lower(self.headers))
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        upstream.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield upstream
        finally:
            server.shutdown()
            thread.join()


def accepts(port: int) -> bool:
    """Whether something listens on a port."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


@dataclass(slots=True)
class Program:
    """A server that a test may stop, pause and start again."""

    command: list[str]
    port: int
    folder: Path
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Starts it; returns when it listens."""
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                self.command, cwd=self.folder, stdout=log, stderr=subprocess.STDOUT
            )
        deadline = time.monotonic() + SECONDS
        while not accepts(self.port):
            assert self.process.poll() is None, self.log
            assert time.monotonic() < deadline, self.log
            time.sleep(0.02)

    def stop(self) -> None:
        """Stops it; returns when it is gone, and its port is free."""
        if self.process is not None:
            self.signal(signal.SIGCONT)
            self.process.terminate()
            self.process.wait(timeout=SECONDS)
            self.process = None
            # A master that is stopped while it starts does not wait for its worker.
            deadline = time.monotonic() + SECONDS
            while accepts(self.port):
                assert time.monotonic() < deadline, self.log
                time.sleep(0.02)

    def signal(self, number: int) -> None:
        """Sends it a signal."""
        assert self.process is not None
        self.process.send_signal(number)

    @property
    def log(self) -> str:
        """What it has said."""
        return (self.folder / "log").read_text()


@dataclass(slots=True)
class Gateway:
    """A site's gateway under test.

    Attributes:
        url: of its one route, past nginx.
        front: of the same through nginx.
        folder: HAProxy's settings.
    """

    haproxy: Program
    redis: Program
    nginx: Program | None
    upstream: Upstream
    fallback: Upstream
    url: str
    front: str
    folder: Path


def site(upstream: int, fallback: int, *, clients: tuple[str, ...], requests: int) -> Site:
    """A site with one route, whose machines are loopback's ports."""
    document = generate.site(
        [
            generate.Machine("ai", {"ollama": {"models": ["llama3.2"], "port": port}})
            for port in (upstream, fallback)
        ]
    )
    for machine in ("ai1", "ai2"):
        document["hosts"][machine]["address"] = "127.0.0.1"
    document["routes"]["chat1"] |= {
        "upstreams": [{"service": "ai1.ollama"}],
        "fallback": "ai2.ollama",
        # An hour: no test is long enough to see it end.
        "rate_limit": {"requests": requests, "per": "hour"},
    }
    health = document["routes"]["chat1"]["health"]
    health |= {"path": "/health", "interval": "200ms", "timeout": "100ms", "unhealthy_after": 1}
    return Site.model_validate({**document, "api_clients": list(clients)})


def settings(of: Site, folder: Path, keys: Mapping[str, str], ports: Mapping[str, int]) -> None:
    """Writes HAProxy's settings, its places and ports exchanged for free ones of this machine."""
    files = {
        "haproxy.cfg": haproxy_config(of),
        "limits.lua": limits_lua(of),
        "keys.map": key_map(keys),
        "redis-password": f"{PASSWORD}\n",
    }
    exchanged = {
        "/settings/": f"{folder}/",
        "bind :8000": f"bind 127.0.0.1:{ports['engine']}",
        "bind :8405": f"bind 127.0.0.1:{ports['metrics']}",
        "bind 127.0.0.1:8404": f"bind 127.0.0.1:{ports['health']}",
        "bind 127.0.0.1:6379": f"bind 127.0.0.1:{ports['way']}",
        '"127.0.0.1", 6379': f'"127.0.0.1", {ports["way"]}',
        "redis:6379": f"127.0.0.1:{ports['redis']}",
    }
    for name, text in files.items():
        for old, new in exchanged.items():
            text = text.replace(old, new)  # noqa: PLW2901 - one after the other
        (folder / name).write_text(text)


def _front(of: Site, folder: Path, port: int, engine: int) -> None:
    """Writes nginx's settings, with places and ports of this machine."""
    made = {s.key: s.value for s in missing_settings({}, of)}
    (folder / "tls.crt").write_text(made[CERTIFICATE])
    (folder / "tls.key").write_text(made[PRIVATE_KEY])
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    places = "\n".join(f"    {kind}_temp_path {folder}/{kind};" for kind in kinds)
    text = nginx_config(of)
    text = re.sub(r"    client_body_temp_path .*;", places, text)
    for old, new in {
        "/settings/": f"{folder}/",
        "/tmp/nginx.pid": f"{folder}/pid",  # noqa: S108 - its container's
        "listen 80;": f"listen 127.0.0.1:{port};",
        "listen 443 ssl http2;": "",
        "http://engine:8000": f"http://127.0.0.1:{engine}",
        "/dev/stdout": f"{folder}/access",
        "/dev/stderr": "stderr",
    }.items():
        text = text.replace(old, new)
    (folder / "nginx.conf").write_text(text)


@contextmanager
def running(
    folder: Path,
    *,
    keys: Mapping[str, str] = KEYS,
    requests: int = 3,
    with_nginx: bool = False,
) -> Iterator[Gateway]:
    """HAProxy and Redis, and nginx before them, for as long as the block lasts.

    Args:
        folder: theirs.
        keys: by client; none, and the site has no clients.
        requests: how many the route lets through in an hour.
        with_nginx: whether it runs.
    """
    names = ("engine", "metrics", "health", "way", "redis", "front")
    ports = {name: free_port() for name in names}
    with serving() as upstream, serving() as fallback:
        of = site(upstream.port, fallback.port, clients=tuple(keys), requests=requests)
        programs = {}
        for name, command, port in (
            ("redis", ["redis-server", "redis.conf"], "redis"),
            ("haproxy", ["haproxy", "-W", "-db", "-f", "haproxy.cfg"], "engine"),
            ("nginx", ["nginx", "-c", f"{folder}/nginx/nginx.conf", "-g", "daemon off;"], "front"),
        ):
            (folder / name).mkdir()
            programs[name] = Program(command, ports[port], folder / name)
        (folder / "redis" / "redis.conf").write_text(
            f"bind 127.0.0.1\nport {ports['redis']}\nrequirepass {PASSWORD}\nsave ''\n"
        )
        settings(of, folder / "haproxy", keys, ports)
        _front(of, folder / "nginx", ports["front"], ports["engine"])
        started = [programs["redis"], programs["haproxy"]]
        started += [programs["nginx"]] if with_nginx else []
        path = of.routes["chat1"].path
        try:
            for program in started:
                program.start()
            yield Gateway(
                programs["haproxy"],
                programs["redis"],
                programs["nginx"],
                upstream,
                fallback,
                f"http://127.0.0.1:{ports['engine']}{path}",
                f"http://127.0.0.1:{ports['front']}{path}",
                folder / "haproxy",
            )
        finally:
            for program in reversed(started):
                program.stop()


def told(body: bytes) -> str:
    """The error of an answer of the gateway's own."""
    return str(json.loads(body)["error"])
