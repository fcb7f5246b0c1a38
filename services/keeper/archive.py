"""A backup as one tar: its manifest first, then its files and every object that it needs."""

from __future__ import annotations

import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from services.keeper import snapshot
from services.keeper.errors import KeeperError
from services.keeper.run import verify, verify_folder
from services.keeper.snapshot import MANIFEST, Manifest
from services.keeper.store import Store, write

_CHUNK_BYTES = 1 << 20
_MANIFEST_BYTES = 64 << 20
_OBJECTS = "objects/"
Say = Callable[[str], None]


def export(store: Store, manifest: Manifest, out: BinaryIO) -> None:
    """Write a backup out."""
    with tarfile.open(fileobj=out, mode="w|", format=tarfile.PAX_FORMAT) as tar:
        for name in (MANIFEST, *(part.file for part in manifest.parts)):
            _add(tar, name, store.file(manifest.id, name))
        for sha256 in sorted(manifest.digests):
            _add(tar, f"{_OBJECTS}{sha256}", store.object(sha256))


def _add(tar: tarfile.TarFile, name: str, path: Path) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = path.stat().st_size, 0o600
    with path.open("rb") as file:
        tar.addfile(member, file)


def load(store: Store, source: BinaryIO, say: Say) -> Manifest:
    """Take a backup in, once all of it was read and is right; the caller holds the lock.

    Raises:
        KeeperError: it is not whole, or something of it is not what its manifest says.
    """
    try:
        with tarfile.open(fileobj=source, mode="r|") as tar:
            manifest = _load(store, tar, say)
    except tarfile.TarError as error:
        raise KeeperError(f"the archive cannot be read ({error}); take another copy") from None
    # To the very end, or whoever writes it would be told that nobody reads.
    while source.read(_CHUNK_BYTES):
        pass
    return manifest


def _load(store: Store, tar: tarfile.TarFile, say: Say) -> Manifest:
    members = iter(tar)
    first = next(members, None)
    if first is None or first.name != MANIFEST or first.size > _MANIFEST_BYTES:
        raise KeeperError(f"the archive does not begin with {MANIFEST}: it is no backup")
    text = b"".join(_content(tar, first))
    manifest = snapshot.read(text, MANIFEST)
    if manifest.id in store.ids():
        known = verify(store, manifest.id, say)
        if known != manifest:
            raise KeeperError(f"{manifest.id}: there is another backup of that name; remove it")
        say(f"{manifest.id}: is there already")
        return manifest
    wanted: dict[str, int] = {part.file: part.bytes for part in manifest.parts}
    wanted |= {f"{_OBJECTS}{sha256}": size for sha256, size in manifest.digests.items()}
    with store.draft(manifest.id) as draft:
        write(draft / MANIFEST, [text])
        for member in members:
            if not member.isreg() or wanted.get(member.name) != member.size:
                raise KeeperError(f"the archive holds what its manifest does not ({member.name})")
            if member.name.startswith(_OBJECTS):
                store.add_object(_content(tar, member))
            else:
                write(draft / member.name, _content(tar, member))
        verify_folder(draft, manifest, store, say)
        store.publish(draft)
    say(f"{manifest.id}: taken in")
    return manifest


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> Iterator[bytes]:
    file = tar.extractfile(member)
    while file is not None and (chunk := file.read(_CHUNK_BYTES)):
        yield chunk
