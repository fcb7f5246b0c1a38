"""Which API server a kubeconfig names, and as whom it is asked."""

from __future__ import annotations

import base64
import os
import ssl
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

_DEFAULT = "~/.kube/config"


class KubeconfigError(Exception):
    """What is wrong with a kubeconfig, where, and what to do."""


@dataclass(frozen=True, slots=True)
class Access:
    """How an API server is asked.

    Attributes:
        host: of the server.
        port: of the server.
        prefix: of every path there; mostly empty.
        tls: None for plain HTTP.
        server_name: that its certificate is held against.
        headers: that every request has.
        namespace: where objects go that name none.
    """

    host: str
    port: int
    prefix: str
    tls: ssl.SSLContext | None
    server_name: str
    headers: Mapping[str, str]
    namespace: str


def load(given: str, context: str = "", cluster: str = "") -> Access:
    """Reads a kubeconfig.

    Args:
        given: its text, or a path to it; empty for $KUBECONFIG or ~/.kube/config.
        context: which of its contexts; empty for its current one.
        cluster: which of its clusters; empty for the context's.

    Raises:
        KubeconfigError: It is not there, or something is wrong with it.
    """
    where, text, folder = _text(given)
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise KubeconfigError(f"{where}: it is not YAML ({error})") from error
    if not isinstance(document, Mapping):
        raise KubeconfigError(f"{where}: it is neither a kubeconfig nor a path to one")
    name = context or document.get("current-context") or ""
    chosen = _entry(where, document, "context", name)
    server = _entry(where, document, "cluster", cluster or chosen.get("cluster", ""))
    user = _entry(where, document, "user", chosen.get("user", "")) if chosen.get("user") else {}
    return _access(where, folder, server, user, chosen.get("namespace") or "default")


def _text(given: str) -> tuple[str, str, Path]:
    """What to call it, its text, and the folder that its relative paths start from."""
    if "\n" in given or given.lstrip().startswith("{"):
        return "the kubeconfig", given, Path.cwd()
    first = os.environ.get("KUBECONFIG", "").partition(os.pathsep)[0]
    path = Path(given or first or _DEFAULT).expanduser()
    try:
        return str(path), path.read_text(), path.parent
    except OSError as error:
        why = error.strerror or str(error)
        raise KubeconfigError(
            f"{path}: the kubeconfig cannot be read ({why}); make the cluster first, or set the "
            "provider's `kubeconfig`"
        ) from error


def _entry(where: str, document: Mapping[str, Any], what: str, name: str) -> Mapping[str, Any]:
    for entry in document.get(f"{what}s") or ():
        if entry.get("name") == name:
            found: Mapping[str, Any] = entry.get(what) or {}
            return found
    if not name:
        raise KubeconfigError(f"{where}: it has no current-context; set the provider's `context`")
    raise KubeconfigError(f"{where}: it has no {what} of that name ({name})")


def _access(
    where: str, folder: Path, server: Mapping[str, Any], user: Mapping[str, Any], namespace: str
) -> Access:
    for way in ("exec", "auth-provider"):
        if way in user:
            raise KubeconfigError(
                f"{where}: its user logs in by a program ({way}), which Hearth's kubernetes plugin "
                "does not start; use a certificate or a token"
            )
    address = urlsplit(server.get("server", ""))
    if address.scheme not in ("http", "https") or not address.hostname:
        raise KubeconfigError(f"{where}: its server is no address ({server.get('server')})")
    is_secure = address.scheme == "https"
    return Access(
        host=address.hostname,
        port=address.port or (443 if is_secure else 80),
        prefix=address.path.rstrip("/"),
        tls=_tls(where, folder, server, user) if is_secure else None,
        server_name=server.get("tls-server-name") or address.hostname,
        headers=_headers(where, folder, user),
        namespace=namespace,
    )


def _tls(
    where: str, folder: Path, server: Mapping[str, Any], user: Mapping[str, Any]
) -> ssl.SSLContext:
    try:
        authority = _data(folder, server, "certificate-authority")
        context = ssl.create_default_context(cadata=authority.decode() if authority else None)
        if server.get("insecure-skip-tls-verify"):
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        certificate = _data(folder, user, "client-certificate")
        key = _data(folder, user, "client-key")
        if certificate and key:
            # Python takes them from a file only; this one is its owner's and gone at once.
            with tempfile.NamedTemporaryFile() as file:
                file.write(certificate + b"\n" + key)
                file.flush()
                context.load_cert_chain(file.name)
    except (OSError, ValueError) as error:
        raise KubeconfigError(f"{where}: its certificates cannot be used ({error})") from error
    return context


def _headers(where: str, folder: Path, user: Mapping[str, Any]) -> Mapping[str, str]:
    token = user.get("token")
    if not token and user.get("tokenFile"):
        try:
            token = (folder / user["tokenFile"]).read_text().strip()
        except OSError as error:
            raise KubeconfigError(f"{where}: its token cannot be read ({error})") from error
    if token:
        return {"Authorization": f"Bearer {token}"}
    if user.get("username"):
        pair = f"{user['username']}:{user.get('password', '')}"
        return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
    return {}


def _data(folder: Path, entry: Mapping[str, Any], key: str) -> bytes:
    """What is given as base64 or as a file; nothing if neither is."""
    if entry.get(f"{key}-data"):
        return base64.b64decode(str(entry[f"{key}-data"]))
    if entry.get(key):
        return (folder / str(entry[key])).read_bytes()
    return b""
