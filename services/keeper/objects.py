"""The object store: objects are fetched when they are new, and put back where they are missing."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from http.client import HTTPResponse
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote, urlsplit
from xml.etree import ElementTree as ET

from services.keeper import settings
from services.keeper.errors import KeeperError
from services.keeper.http import request
from services.keeper.snapshot import MANIFEST, Minio, Object, digest
from services.keeper.store import Store
from services.s3 import EMPTY, Keys, query_string, signed

_CHUNK_BYTES = 1 << 20
_PLAIN = "application/octet-stream"
Say = Callable[[str], None]


class Bucket:
    """A bucket, addressed by path; its methods raise `KeeperError`."""

    def __init__(self, told: settings.Minio, password: str, name: str) -> None:
        self._told = told
        self._name = name
        self._keys = Keys(told.user, password, told.region)

    def list(self, prefix: str = "") -> Iterator[tuple[str, str, int]]:
        """Every object's key, ETag and size."""
        query = {"list-type": "2", "prefix": prefix}
        while True:
            with self._send("GET", "", query) as response:
                # The lab's own store, not somebody's document.
                page = ET.fromstring(response.read())  # noqa: S314
            for found in page.iterfind("{*}Contents"):
                etag = found.findtext("{*}ETag", "").strip('"')
                yield found.findtext("{*}Key", ""), etag, int(found.findtext("{*}Size", "0"))
            token = page.findtext("{*}NextContinuationToken")
            if not token:
                return
            query["continuation-token"] = token

    def get(self, key: str) -> AbstractContextManager[HTTPResponse]:
        """An object, its body unread."""
        return self._send("GET", key)

    def put(self, key: str, body: BinaryIO, sha256: str, size: int, content_type: str) -> None:
        """Store an object; the store refuses another content than the digest's."""
        headers = {"Content-Type": content_type, "Content-Length": str(size)}
        with self._send("PUT", key, headers=headers, body=body, sha256=sha256):
            pass

    def delete(self, key: str) -> None:
        """Remove an object, or find that there is none."""
        with self._send("DELETE", key):
            pass

    def _send(  # noqa: PLR0913 - what a request is
        self,
        method: str,
        key: str,
        query: dict[str, str] | None = None,
        *,
        headers: dict[str, str] | None = None,
        body: BinaryIO | None = None,
        sha256: str = EMPTY,
    ) -> AbstractContextManager[HTTPResponse]:
        path = f"/{quote(self._name)}" + (f"/{quote(key)}" if key else "")
        asked = query_string(query or {})
        told = signed(
            self._keys,
            method,
            path,
            headers={"Host": urlsplit(self._told.endpoint).netloc, **(headers or {})},
            payload_sha256=sha256,
            at=datetime.now(UTC),
            query=asked,
        )
        where = f"{path}?{asked}" if asked else path
        service, endpoint = self._told.service, self._told.endpoint
        return request(service, endpoint, method, where, headers=told, body=body)


def save(told: settings.Minio, password: str, store: Store, say: Say) -> Minio:
    """Keep every object of the buckets; what an earlier backup has is not fetched again."""
    before = store.newest()
    known = {
        (bucket, found.key, found.etag, found.bytes): found
        for bucket, objects in (before.minio.buckets if before and before.minio else {}).items()
        for found in objects
        if store.object(found.sha256).is_file()
    }
    buckets: dict[str, tuple[Object, ...]] = {}
    for name in told.buckets:
        bucket, fetched = Bucket(told, password, name), 0
        objects = []
        for key, etag, size in bucket.list():
            found = known.get((name, key, etag, size))
            if found is None:
                found = _fetched(bucket, key, store)
                fetched += 1
            objects.append(found)
        buckets[name] = tuple(sorted(objects, key=lambda o: o.key))
        say(f"{told.service}: bucket {name}, {len(objects)} objects, {fetched} of them new")
    return Minio(service=told.service, buckets=buckets)


def _fetched(bucket: Bucket, key: str, store: Store) -> Object:
    with bucket.get(key) as response:
        expected = int(response.headers["Content-Length"])
        sha256, size = store.add_object(iter(lambda: response.read(_CHUNK_BYTES), b""))
        if size != expected:
            raise KeeperError(f"{key}: broke off after {size} of {expected} bytes; try again")
        return Object(
            key=key,
            bytes=size,
            sha256=sha256,
            etag=response.headers.get("ETag", "").strip('"'),
            content_type=response.headers.get("Content-Type", _PLAIN),
        )


def restore(told: settings.Minio, password: str, kept: Minio, store: Store, say: Say) -> int:
    """Put back every object that is missing or another; how many those were.

    What came later stays: nobody asks for it, and it may be somebody's only copy.
    """
    written = 0
    for name, objects in kept.buckets.items():
        bucket = Bucket(told, password, name)
        there = {key: (etag, size) for key, etag, size in bucket.list()}
        for found in objects:
            if there.get(found.key) != (found.etag, found.bytes):
                with store.object(found.sha256).open("rb") as body:
                    bucket.put(found.key, body, found.sha256, found.bytes, found.content_type)
                written += 1
        say(f"{told.service}: bucket {name}, {len(objects)} objects, {written} written")
    return written


def differing(told: settings.Minio, password: str, kept: Minio) -> dict[str, list[str]]:
    """The keys, by bucket, whose content in the store is not the backup's, read anew."""
    found: dict[str, list[str]] = {}
    for name, objects in kept.buckets.items():
        bucket = Bucket(told, password, name)
        there = {key for key, _, _ in bucket.list()}
        wrong = [o.key for o in objects if o.key not in there or _digest(bucket, o.key) != o.sha256]
        found[name] = wrong
    return found


def _digest(bucket: Bucket, key: str) -> str:
    found = hashlib.sha256()
    with bucket.get(key) as response:
        while chunk := response.read(_CHUNK_BYTES):
            found.update(chunk)
    return found.hexdigest()


class Copies:
    """The bucket that holds a copy of every backup's files: another machine's disk."""

    def __init__(self, told: settings.Minio, password: str) -> None:
        self._bucket = Bucket(told, password, told.copies)

    def ids(self) -> set[str]:
        """The backups that have a whole copy: the manifest comes last."""
        keys = (key for key, _, _ in self._bucket.list())
        return {key.partition("/")[0] for key in keys if key.endswith(f"/{MANIFEST}")}

    def add(self, snapshot_id: str, path: Path) -> None:
        """Copy a file of a backup."""
        sha256, size = digest(path)
        with path.open("rb") as body:
            self._bucket.put(f"{snapshot_id}/{path.name}", body, sha256, size, _PLAIN)

    def remove(self, snapshot_id: str) -> None:
        """Remove a backup's copy."""
        for key, _, _ in self._bucket.list(f"{snapshot_id}/"):
            self._bucket.delete(key)
