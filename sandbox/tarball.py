"""A folder as an image layer: the same bytes from the same files, whenever it is packed."""

from __future__ import annotations

import gzip
import hashlib
import os
import stat
import tarfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

if TYPE_CHECKING:
    from collections.abc import Iterator

OPAQUE = "trusted.overlay.opaque"
# Seven machines unpack it on few cores: a fast level costs a tenth in size.
LEVEL = 3


@dataclass(frozen=True)
class Packed:
    """A packed layer: the digest and size as served, and the digest of the tar within."""

    digest: str
    size: int
    diff_id: str


class Tally:
    """A file that passes on what is written and keeps its digest and size."""

    def __init__(self, target: BinaryIO) -> None:
        self.target = target
        self.sha256 = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes) -> int:
        """Pass data on."""
        self.sha256.update(data)
        self.size += len(data)
        self.target.write(data)
        return len(data)

    def flush(self) -> None:
        """Pass on what the target holds back."""
        self.target.flush()

    @property
    def digest(self) -> str:
        """The digest in Docker's form."""
        return f"sha256:{self.sha256.hexdigest()}"


def pack(folder: Path, target: Path) -> Packed:
    """Write a folder as a compressed layer: sorted, without times and user names."""
    with target.open("wb") as file:
        outer = Tally(file)
        with gzip.GzipFile("", "wb", LEVEL, cast("BinaryIO", outer), mtime=0) as packed:
            inner = Tally(cast("BinaryIO", packed))
            stream = cast("Any", inner)
            with tarfile.open(mode="w|", fileobj=stream, format=tarfile.GNU_FORMAT) as tar:
                add_all(tar, folder)
        return Packed(outer.digest, outer.size, inner.digest)


def add_all(tar: tarfile.TarFile, folder: Path) -> None:
    """Add what is in a folder, in the order of names."""
    links: dict[tuple[int, int], str] = {}
    for path in walk(folder):
        name = str(path.relative_to(folder))
        status = path.lstat()
        if whiteout(status):
            tar.addfile(clean(tarfile.TarInfo(removal(name))))
            continue
        info = clean(tar.gettarinfo(path, name))
        if info.isreg() or info.islnk():
            add_file(tar, info, path, links.setdefault((status.st_dev, status.st_ino), name))
            continue
        tar.addfile(info)
        if info.isdir() and opaque(path):
            tar.addfile(clean(tarfile.TarInfo(f"{name}/.wh..wh..opq")))


def add_file(tar: tarfile.TarFile, info: tarfile.TarInfo, path: Path, first: str) -> None:
    """Add a file, or a hard link to the name under which its content went in first."""
    # tarfile remembers links by the path of this computer; ours are relative to the layer.
    if first != info.name:
        info.type, info.linkname, info.size = tarfile.LNKTYPE, first, 0
        tar.addfile(info)
        return
    info.type, info.linkname, info.size = tarfile.REGTYPE, "", path.stat().st_size
    with path.open("rb") as content:
        tar.addfile(info, content)


def walk(folder: Path) -> Iterator[Path]:
    """Everything beneath a folder, sorted, folders before what is in them; sockets left out."""
    for entry in sorted(folder.iterdir()):
        if entry.is_socket():
            continue
        yield entry
        if entry.is_dir() and not entry.is_symlink():
            yield from walk(entry)


def clean(info: tarfile.TarInfo) -> tarfile.TarInfo:
    """Drop what differs from build to build and from host to host."""
    info.mtime = 0
    info.uname = info.gname = ""
    return info


def whiteout(status: os.stat_result) -> bool:
    """Whether overlayfs marks a removal here: a character device 0:0."""
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0


def removal(name: str) -> str:
    """The name by which an image layer marks a removal."""
    path = Path(name)
    return str(path.with_name(f".wh.{path.name}"))


def opaque(path: Path) -> bool:
    """Whether a folder hides what lies beneath it."""
    with suppress(OSError):
        return os.getxattr(path, OPAQUE) == b"y"
    return False
