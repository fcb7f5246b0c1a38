"""The folder that holds the backups: each is there whole, or not at all.

20261121T030000Z/      a backup: manifest.json, postgres.dump, grafana.json
objects/SHA256         what is in the object store, each content once
.new-*                 being written; swept by the next run
.lock, .failures       one run at a time; how many failed
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from services.keeper import snapshot
from services.keeper.errors import KeeperError
from services.keeper.snapshot import MANIFEST, Manifest

_NEW = ".new-"
_POLL_SECONDS = 0.5


class Store:
    """The backups in a folder.

    Args:
        folder: made where it is missing.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._objects = folder / "objects"
        self._objects.mkdir(parents=True, exist_ok=True)

    def ids(self) -> list[str]:
        """The backups, oldest first."""
        names = (path.name for path in self.folder.iterdir())
        return sorted(name for name in names if re.fullmatch(r"\d{8}T\d{6}Z", name))

    def manifest(self, snapshot_id: str) -> Manifest:
        """What a backup holds.

        Raises:
            KeeperError: there is no such backup, or its manifest cannot be read.
        """
        path = self.file(snapshot_id, MANIFEST)
        try:
            return snapshot.read(path.read_bytes(), f"{snapshot_id}/{MANIFEST}")
        except OSError as error:
            raise KeeperError(f"{path}: cannot be read ({error.strerror})") from None

    def newest(self) -> Manifest | None:
        """The last one; None before the first."""
        ids = self.ids()
        return self.manifest(ids[-1]) if ids else None

    def file(self, snapshot_id: str, name: str) -> Path:
        """Where a file of a backup is.

        Raises:
            KeeperError: there is no such backup.
        """
        if snapshot_id not in self.ids():
            known = ", ".join(self.ids()) or "none"
            raise KeeperError(f"{snapshot_id}: no such backup; known are {known}")
        return self.folder / snapshot_id / name

    def object(self, sha256: str) -> Path:
        """Where an object's content is, or would be."""
        return self._objects / sha256

    def add_object(self, chunks: Iterable[bytes]) -> tuple[str, int]:
        """Keep an object's content; its SHA-256 and size."""
        new = self._objects / f"{_NEW}object"
        sha256, size = write(new, chunks)
        new.rename(self.object(sha256))
        return sha256, size

    @contextmanager
    def draft(self, snapshot_id: str) -> Iterator[Path]:
        """A folder for a backup's files; gone with the block, unless it was published."""
        new = self.folder / f"{_NEW}{snapshot_id}"
        new.mkdir()
        try:
            yield new
        finally:
            shutil.rmtree(new, ignore_errors=True)

    def publish(self, draft: Path) -> None:
        """Make a draft, whose files are all there and right, a backup."""
        for path in (*draft.iterdir(), draft, self._objects):
            sync(path)
        draft.rename(self.folder / draft.name.removeprefix(_NEW))
        sync(self.folder)

    def remove(self, snapshot_ids: Iterable[str]) -> int:
        """Remove backups, and every object that no other needs; how many objects those were."""
        for snapshot_id in snapshot_ids:
            path = self.file(snapshot_id, "")
            # Renamed first: what is half removed is no backup.
            path = path.rename(self.folder / f"{_NEW}{snapshot_id}-removed")
            shutil.rmtree(path)
        needed = {sha256 for name in self.ids() for sha256 in self.manifest(name).digests}
        unneeded = [path for path in self._objects.iterdir() if path.name not in needed]
        for path in unneeded:
            path.unlink()
        return len(unneeded)

    @contextmanager
    def lock(self, wait_seconds: float, say: Callable[[str], None]) -> Iterator[None]:
        """Nothing else changes the folder within the block; what a killed run left is swept.

        Raises:
            KeeperError: another run does not end in time.
        """
        with (self.folder / ".lock").open("w") as file:
            self._wait(file.fileno(), wait_seconds, say)
            for left in self.folder.glob(f"{_NEW}*"):
                shutil.rmtree(left, ignore_errors=True)
            yield

    def _wait(self, descriptor: int, seconds: float, say: Callable[[str], None]) -> None:
        deadline, told = time.monotonic() + seconds, False
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise KeeperError(
                        f"{self.folder}: another run is under way; try again when it has ended"
                    ) from None
                if not told:
                    say("another run is under way: waiting for it")
                told = True
                time.sleep(_POLL_SECONDS)
            else:
                return

    @property
    def failures(self) -> int:
        """How many runs have failed since the folder is there."""
        path = self.folder / ".failures"
        return int(path.read_text() or 0) if path.is_file() else 0

    def count_failure(self) -> None:
        """One more run has failed."""
        new = self.folder / f".failures-{os.getpid()}"
        new.write_text(str(self.failures + 1))
        new.rename(self.folder / ".failures")


def write(path: Path, chunks: Iterable[bytes]) -> tuple[str, int]:
    """Write a file; its SHA-256 and size.

    Raises:
        KeeperError: it cannot be written.
    """
    found, size = hashlib.sha256(), 0
    with path.open("wb") as file:
        for chunk in chunks:
            found.update(chunk)
            size += len(chunk)
            try:
                file.write(chunk)
            except OSError as error:
                raise KeeperError(f"{path}: cannot be written ({error.strerror})") from None
        file.flush()
        os.fsync(file.fileno())
    return found.hexdigest(), size


def sync(path: Path) -> None:
    """Wait until a file or folder is on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
