"""The spool: an append-only log on disk that every record passes on its way to PostgreSQL.

A line is `{"sequence": n, "record": {...}}`, on disk (fsync) before its append is done. The log is
cut into segments, each named by its first sequence; a segment is removed once all of it has been
delivered. How far it has been delivered is known to PostgreSQL alone (table `deliveries`), in the
transaction that applies the records: that is why each is applied exactly once.

SpoolError        the folder cannot be used
SpoolFull         the bound is reached: the record was not taken
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from uuid import UUID, uuid4

from pydantic import BaseModel, ValidationError

from services.assistant.records import Record

LIMIT_BYTES = 256 * 1024**2
SEGMENT_BYTES = 256 * 1024
_BATCH_BYTES = 256 * 1024
_LOG = logging.getLogger(__name__)


class SpoolError(Exception):
    """The folder cannot be used; says why and what to do."""


class SpoolFull(SpoolError):  # noqa: N818 - a state, not a mistake
    """The bound is reached."""


class _Line(BaseModel):
    sequence: int
    record: Record


@dataclass(frozen=True)
class Entry:
    """One line: its record, or None where the line cannot be read."""

    sequence: int | None
    record: Record | None
    line: bytes


@dataclass(frozen=True)
class Batch:
    """The oldest lines that were not delivered."""

    entries: tuple[Entry, ...]
    size_bytes: int


@dataclass
class _Segment:
    path: Path
    size: int = 0  # bytes on disk for certain


class Spool:
    """One folder; one process at a time.

    Args:
        folder: made where missing, readable by its owner alone.
        limit_bytes: of lines that were not delivered.
        segment_bytes: a segment that is larger takes no more lines.
    """

    def __init__(
        self,
        folder: Path,
        *,
        limit_bytes: int = LIMIT_BYTES,
        segment_bytes: int = SEGMENT_BYTES,
    ) -> None:
        self._folder = folder
        self._limit_bytes = limit_bytes
        self._segment_bytes = segment_bytes
        self._segments: list[_Segment] = []
        self._read_offset = 0  # within the first segment
        self._next = 1
        self._taken_bytes = 0
        self._buffer: list[tuple[bytes, asyncio.Future[None]]] = []
        self._wake = asyncio.Event()
        self._changed = asyncio.Condition()
        self._file: IO[bytes] | None = None
        self._lock: IO[bytes] | None = None
        self._writer: asyncio.Task[None] | None = None
        self._full = False
        self.records = 0
        self.id = UUID(int=0)

    @property
    def size_bytes(self) -> int:
        """Bytes that were taken and not delivered."""
        return self._taken_bytes

    async def open(self) -> None:
        """Lock the folder, cut a line that a crash left unfinished, start to write.

        Raises:
            SpoolError: another process has it, or it cannot be written.
        """
        try:
            await asyncio.to_thread(self._recover)
        except BlockingIOError:
            raise SpoolError(
                f"{self._folder}: another assistant uses this spool; give each its own folder"
            ) from None
        except OSError as error:
            raise SpoolError(
                f"{self._folder}: cannot be written ({error.strerror}); "
                "mount a folder that this user may write"
            ) from None
        self._writer = asyncio.create_task(self._write_forever())

    def append(self, record: Record) -> asyncio.Future[None]:
        """Take a record; the future is done once it is on disk, or holds an OSError.

        Raises:
            SpoolFull: the bound is reached.
        """
        line = _Line(sequence=self._next, record=record).model_dump_json(exclude_defaults=False)
        data = line.encode() + b"\n"
        if self._taken_bytes + len(data) > self._limit_bytes:
            self._say_full()
            raise SpoolFull(
                f"{self._folder}: full ({self._taken_bytes} of {self._limit_bytes} bytes); "
                "bring the database back"
            )
        self._full = False
        self._next += 1
        self._taken_bytes += len(data)
        self.records += 1
        done = asyncio.get_running_loop().create_future()
        self._buffer.append((data, done))
        self._wake.set()
        return done

    async def peek(self) -> Batch:
        """Wait for lines that were not delivered; the oldest of them."""
        async with self._changed:
            await self._changed.wait_for(self._has_unread)
        return await asyncio.to_thread(self._read)

    async def advance(self, batch: Batch) -> None:
        """The batch has been delivered: forget it."""
        self._read_offset += batch.size_bytes
        self._taken_bytes -= batch.size_bytes
        self.records -= len(batch.entries)
        await asyncio.to_thread(self._drop_read_segments)
        async with self._changed:
            self._changed.notify_all()

    async def settle(self, timeout_seconds: float) -> bool:
        """Wait until all is delivered; whether it was in time."""
        try:
            async with asyncio.timeout(timeout_seconds), self._changed:
                await self._changed.wait_for(lambda: self._taken_bytes == 0)
        except TimeoutError:
            return False
        return True

    async def reject(self, entry: Entry) -> None:
        """Put a line aside, into `rejected.jsonl`, for a person to look at."""
        await asyncio.to_thread(self._append_rejected, entry.line)

    async def close(self) -> None:
        """Write what was taken, and let go of the folder."""
        if self._writer is not None:
            self._writer.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._writer
            await self._write_taken()
            self._writer = None
        for file in (self._file, self._lock):
            if file is not None:
                file.close()
        self._file = self._lock = None

    def _say_full(self) -> None:
        if not self._full:
            _LOG.error(
                "the spool is full: what is said from now on is stored only if the database is up",
                extra={"count": self.records},
            )
        self._full = True

    async def _write_forever(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            # Shielded: a write that has begun is finished and told before the task ends.
            writing = asyncio.ensure_future(self._write_taken())
            try:
                await asyncio.shield(writing)
            except asyncio.CancelledError:
                await writing
                raise

    async def _write_taken(self) -> None:
        taken, self._buffer = self._buffer, []
        if not taken:
            return
        data = b"".join(line for line, _ in taken)
        first = self._next - len(taken) - len(self._buffer)
        try:
            await asyncio.to_thread(self._write, data, first)
        except OSError as error:
            _LOG.error("the spool cannot be written: %s", error.strerror)
            self._taken_bytes -= len(data)
            self.records -= len(taken)
            for _, done in taken:
                if not done.done():
                    done.set_exception(error)
            return
        for _, done in taken:
            if not done.done():
                done.set_result(None)
        async with self._changed:
            self._changed.notify_all()

    def _has_unread(self) -> bool:
        return sum(segment.size for segment in self._segments) > self._read_offset

    # Below: in a thread.

    def _recover(self) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = (self._folder / "lock").open("ab")
        fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self.id = self._identity()
        paths = sorted(self._folder.glob("*.jsonl"))
        self._segments = [
            _Segment(path, path.stat().st_size) for path in paths if path.stem.isdigit()
        ]
        for segment in self._segments:
            self.records += _cut_torn_line(segment)
        self._taken_bytes = sum(segment.size for segment in self._segments)
        self._next = self._following()
        self._open_last()

    def _identity(self) -> UUID:
        path = self._folder / "identity"
        with contextlib.suppress(OSError, ValueError):
            return UUID(path.read_text())
        identity = uuid4()
        beside = path.with_suffix(".new")
        with beside.open("w") as file:
            file.write(str(identity))
            file.flush()
            os.fsync(file.fileno())
        beside.rename(path)
        self._sync_folder()
        return identity

    def _following(self) -> int:
        """The sequence after the last line's; a segment's name tells where it has none."""
        if not self._segments:
            return 1
        following = int(self._segments[-1].path.stem)
        for line in self._segments[-1].path.read_bytes().splitlines():
            with contextlib.suppress(ValueError, KeyError, TypeError):
                following = max(following, int(json.loads(line)["sequence"]) + 1)
        return following

    def _open_last(self) -> None:
        if self._segments:
            self._file = self._segments[-1].path.open("ab", buffering=0)
        else:
            self._begin_segment(self._next)

    def _begin_segment(self, first: int) -> None:
        path = self._folder / f"{first:020}.jsonl"
        file = path.open("ab", buffering=0)
        self._sync_folder()
        if self._file is not None:
            self._file.close()
        self._file = file
        self._segments.append(_Segment(path))

    def _write(self, data: bytes, first: int) -> None:
        if self._segments[-1].size >= self._segment_bytes:
            self._begin_segment(first)
        segment, file = self._segments[-1], self._file
        if file is None:
            raise OSError(0, "closed")
        try:
            view = memoryview(data)
            while view:
                view = view[file.write(view) :]
            os.fsync(file.fileno())
        except OSError:
            with contextlib.suppress(OSError):
                file.truncate(segment.size)
            raise
        segment.size += len(data)

    def _read(self) -> Batch:
        self._drop_read_segments()
        segment = self._segments[0]
        with segment.path.open("rb") as file:
            file.seek(self._read_offset)
            rest = segment.size - self._read_offset
            data = file.read(min(rest, _BATCH_BYTES))
            data += b"" if data.endswith(b"\n") else file.readline()
        whole = data[: data.rfind(b"\n") + 1]
        return Batch(tuple(_entry(line) for line in whole.splitlines()), len(whole))

    def _drop_read_segments(self) -> None:
        while len(self._segments) > 1 and self._read_offset >= self._segments[0].size:
            segment = self._segments.pop(0)
            self._read_offset -= segment.size
            segment.path.unlink(missing_ok=True)

    def _append_rejected(self, line: bytes) -> None:
        with (self._folder / "rejected.jsonl").open("ab") as file:
            file.write(line + b"\n")
            file.flush()
            os.fsync(file.fileno())

    def _sync_folder(self) -> None:
        descriptor = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _entry(line: bytes) -> Entry:
    try:
        parsed = _Line.model_validate_json(line)
    except ValidationError:
        return Entry(None, None, line)
    return Entry(parsed.sequence, parsed.record, line)


def _cut_torn_line(segment: _Segment) -> int:
    """Cut what follows the last whole line; the number of whole lines."""
    data = segment.path.read_bytes()
    whole = data.rfind(b"\n") + 1
    if whole != len(data):
        _LOG.warning("the spool's last line was torn by a crash and is cut: %s", segment.path.name)
        with segment.path.open("r+b") as file:
            file.truncate(whole)
            os.fsync(file.fileno())
    segment.size = whole
    return data[:whole].count(b"\n")
