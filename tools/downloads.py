"""The official downloads: fetched, checked against the vendor's checksums, unpacked."""

from __future__ import annotations

import hashlib
import http.client
import platform
import sys
import tarfile
import tempfile
import urllib.error
import urllib.request
from pathlib import Path
from typing import IO, TYPE_CHECKING
from urllib.parse import urlsplit

from inventory.errors import HearthError

if TYPE_CHECKING:
    from collections.abc import Callable

RELEASES = "https://get.pulumi.com/releases/sdk"
"""The vendor's release archives and their checksums."""

_SECONDS_TO_CONNECT = 5
_CHUNK = 1 << 20
_FAILURES = (OSError, http.client.HTTPException)


class NotAvailableError(Exception):
    """Why something cannot be had in one way, as a clause; another way may lead to it."""


def platform_name() -> tuple[str, str]:
    """The operating system and the processor, as Go calls them."""
    machine = platform.machine().lower()
    return sys.platform, {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine)


def cli_release(version: str, into: Path, progress: Callable[[str], None]) -> None:
    """Download the Pulumi CLI with its language hosts, and unpack it as the folder `into`.

    Raises:
        NotAvailableError: The vendor's site cannot be reached or has no such release.
        HearthError: What was downloaded is not what the vendor published.
    """
    name = _archive_name(version)
    expected = _published_checksum(version, name)
    into.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".downloading-", dir=into.parent) as scratch:
        archive = Path(scratch, name)
        found = _download(f"{RELEASES}/{name}", archive, progress)
        if found != expected:
            raise HearthError(
                f"{name}: the download's SHA-256 is not the published one "
                f"({found}, not {expected}); run this again, and if it happens twice "
                "use another network"
            )
        with tarfile.open(archive) as tar:
            tar.extractall(scratch, filter="data")
        Path(scratch, "pulumi").replace(into)


def need_reachable() -> None:
    """Ask the vendor's site for an answer, any answer, within seconds.

    Raises:
        NotAvailableError: There is none, and why.
    """
    try:
        with _open(RELEASES):
            pass
    except urllib.error.HTTPError:
        return  # a refusal is an answer: this page need not exist
    except _FAILURES as error:
        raise _unavailable(error) from error


def _archive_name(version: str) -> str:
    system, machine = platform_name()
    machine = {"amd64": "x64"}.get(machine, machine)
    return f"pulumi-v{version}-{system}-{machine}.tar.gz"


def _published_checksum(version: str, name: str) -> str:
    try:
        with _open(f"{RELEASES}/pulumi-{version}-checksums.txt") as answer:
            lines = answer.read().decode().splitlines()
    except _FAILURES as error:
        raise _unavailable(error) from error
    sums = {file: digest for digest, file in (line.split() for line in lines if line.strip())}
    if name not in sums:
        raise NotAvailableError(f"the vendor has no {name}")
    return sums[name].lower()


def _download(url: str, file: Path, progress: Callable[[str], None]) -> str:
    digest = hashlib.sha256()
    try:
        with _open(url) as answer, file.open("wb") as output:
            while chunk := answer.read(_CHUNK):
                digest.update(chunk)
                output.write(chunk)
                if output.tell() % (16 * _CHUNK) < len(chunk):
                    progress(f"{file.name}: {output.tell() >> 20} MB downloaded")
    except _FAILURES as error:
        raise _unavailable(error) from error
    return digest.hexdigest()


def _open(url: str) -> IO[bytes]:
    # The address is this module's own, never a user's.
    answer: IO[bytes] = urllib.request.urlopen(url, timeout=_SECONDS_TO_CONNECT)  # noqa: S310
    return answer


def _unavailable(error: Exception) -> NotAvailableError:
    host = urlsplit(RELEASES).hostname or RELEASES
    reason = getattr(error, "reason", None) or error
    return NotAvailableError(f"{host} could not be reached ({reason})")
