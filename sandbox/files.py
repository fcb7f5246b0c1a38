"""Files: written whole or not at all, and removed without following a mount."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from inventory.errors import HearthError

if TYPE_CHECKING:
    from collections.abc import Iterator

MOUNTINFO = Path("/proc/self/mountinfo")


def write_whole(path: Path, content: str | bytes, mode: int = 0o644) -> None:
    """Write a file so that a reader, or a crash, finds the old content or the new."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_bytes(content.encode() if isinstance(content, str) else content)
    partial.chmod(mode)
    partial.replace(path)


def mounts_beneath(path: Path, mountinfo: Path = MOUNTINFO) -> list[Path]:
    """The mount points at or beneath a path."""
    points = (unescaped(line.split()[4]) for line in mountinfo.read_text().splitlines())
    real = path.resolve()
    return [point for point in points if point == real or real in point.parents]


def unescaped(field: str) -> Path:
    """A path as mountinfo writes it, with its octal escapes undone."""
    return Path(re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), field))


def remove_tree(path: Path, mountinfo: Path = MOUNTINFO) -> None:
    """Remove a folder and all in it; nothing to do when it is not there.

    Raises:
        HearthError: Something is mounted there: removing would reach into another filesystem.
    """
    if path.is_symlink():
        raise HearthError(f"{path}: a link where a folder belongs; look where it leads, remove it")
    if mounted := mounts_beneath(path, mountinfo):
        points = ", ".join(map(str, mounted))
        raise HearthError(f"{path}: not removed, there are mounts in it ({points}); unmount them")
    if path.exists():
        shutil.rmtree(path)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock file; a second holder waits until the first is done, or dead."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = lock(path)
    try:
        yield
    finally:
        os.close(descriptor)


def lock(path: Path) -> int:
    """Open and lock a file that another holder may remove before letting go."""
    while True:
        descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if path.exists() and os.path.samestat(os.fstat(descriptor), path.stat()):
            return descriptor
        os.close(descriptor)
        path.parent.mkdir(parents=True, exist_ok=True)
