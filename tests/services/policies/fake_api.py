"""An API server that says what it is told to, by TLS, to whoever has a certificate of its own."""

from __future__ import annotations

import datetime as dt
import ipaddress
import json
import ssl
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from services.policies.api import Login
from tests.services.policies.documents import Document

_DAY = dt.timedelta(days=1)


@dataclass(frozen=True)
class Answer:
    """What it says to one question.

    Attributes:
        document: sent whole.
        lines: of a watch, sent one by one.
        cut: whether the connection then breaks rather than ends.
    """

    document: Document | str = ""
    status: int = 200
    lines: tuple[Document | str, ...] = ()
    cut: bool = False


def listed(version: str, *items: Document, **more: str) -> Answer:
    """A list."""
    return Answer({"items": list(items), "metadata": {"resourceVersion": version, **more}})


def watched(*events: tuple[str, Document] | str, cut: bool = False) -> Answer:
    """Changes."""
    lines = [e if isinstance(e, str) else {"type": e[0], "object": e[1]} for e in events]
    return Answer(lines=tuple(lines), cut=cut)


def of(told: Document, version: str, **labels: str) -> Document:
    """An object at a version."""
    data = told["metadata"]
    return {
        **told,
        "metadata": {
            **data,
            "resourceVersion": version,
            "labels": {**data.get("labels", {}), **labels},
        },
    }


@dataclass
class FakeApi:
    """The server, on a port of its own while it is entered.

    Attributes:
        folder: for its keys.
        answers: to the questions in their order.
        by_path: to those of a path in their order; these first.
        asked: the questions.
        who: whose certificate each was asked with.
    """

    folder: Path
    answers: list[Answer] = field(default_factory=list)
    by_path: dict[str, list[Answer]] = field(default_factory=dict)
    asked: list[dict[str, str]] = field(default_factory=list)
    who: list[str] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._root = ec.generate_private_key(ec.SECP256R1())
        self._file("authority.pem", _signed("authority", self._root, self._root, authority=True))
        self.issue("server", "server.pem")
        self.issue("first")
        context = ssl.create_default_context(
            ssl.Purpose.CLIENT_AUTH, cafile=str(self.folder / "authority.pem")
        )
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_cert_chain(self.folder / "server.pem")
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def login(self) -> Login:
        """How it is reached."""
        port = self._server.server_port
        folder = self.folder
        return Login(f"https://127.0.0.1:{port}", folder / "authority.pem", folder / "client.pem")

    def issue(self, name: str, file: str = "client.pem") -> None:
        """Puts a key of its owner's own and its certificate into a file."""
        key = ec.generate_private_key(ec.SECP256R1())
        form = serialization.PrivateFormat.PKCS8
        own = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
        self._file(file, _signed(name, key, self._root) + own)

    def _file(self, name: str, text: bytes) -> None:
        (self.folder / name).write_bytes(text)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        api = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                url = urlsplit(self.path)
                query = {key: values[0] for key, values in parse_qs(url.query).items()}
                api.asked.append({"path": url.path, **query})
                api.who.append(_name(self.connection.getpeercert()))
                answers = api.by_path.get(url.path) or api.answers
                answer = answers.pop(0) if answers else Answer("", 503)
                self.close_connection = True
                if answer.lines or query.get("watch"):
                    self._say_lines(answer)
                else:
                    self._say(answer)

            def _say(self, answer: Answer) -> None:
                document = answer.document
                text = document if isinstance(document, str) else json.dumps(document)
                self.send_response(answer.status)
                self.send_header("Content-Length", str(len(text) + 99 * answer.cut))
                self.end_headers()
                self.wfile.write(text.encode())

            def _say_lines(self, answer: Answer) -> None:
                if answer.status != 200:
                    self._say(answer)
                    return
                self.send_response(200)
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                for line in answer.lines:
                    text = line if isinstance(line, str) else f"{json.dumps(line)}\n"
                    self.wfile.write(f"{len(text):x}\r\n{text}\r\n".encode())
                if not answer.cut:
                    self.wfile.write(b"0\r\n\r\n")

            def log_message(self, *_: Any) -> None:
                """Says nothing."""

        return Handler


def _name(certificate: Mapping[str, Any]) -> str:
    return str(dict(part[0] for part in certificate["subject"])["commonName"])


def _signed(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    by: ec.EllipticCurvePrivateKey,
    *,
    authority: bool = False,
) -> bytes:
    now = dt.datetime.now(dt.UTC)
    subject, issuer = (
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, who)]) for who in (name, "authority")
    )
    here = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.IPv4Address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _DAY)
        .not_valid_after(now + _DAY)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(here, critical=False)
        .sign(by, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM)
