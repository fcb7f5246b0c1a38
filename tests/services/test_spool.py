"""The spool: nothing that it took is lost, whatever happens to the process."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from uuid import uuid4

import pytest

from services.assistant.records import Message, Record
from services.assistant.spool import Batch, Spool, SpoolError, SpoolFull


def _record(text: str) -> Record:
    message = Message(role="user", content=text)
    return Record(consumer="ada", conversation=uuid4(), messages=(message,))


def _texts(batch: Batch) -> list[str]:
    return [entry.record.messages[0].content for entry in batch.entries if entry.record]


def _segments(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.jsonl"))


async def _all(spool: Spool) -> list[str]:
    texts: list[str] = []
    while spool.records:
        batch = await asyncio.wait_for(spool.peek(), 5)
        texts += _texts(batch)
        await spool.advance(batch)
    return texts


def test_what_was_appended_is_on_disk_when_the_append_is_done(tmp_path: Path) -> None:
    async def check() -> None:
        spool = Spool(tmp_path)
        await spool.open()
        await spool.append(_record("kept"))
        [segment] = _segments(tmp_path)
        assert '"content":"kept"' in segment.read_text()
        await spool.close()

    asyncio.run(check())


def test_what_was_not_delivered_is_there_after_a_restart_in_order(tmp_path: Path) -> None:
    async def check() -> None:
        spool = Spool(tmp_path, segment_bytes=1000)
        await spool.open()
        await asyncio.gather(*(spool.append(_record(f"{place}")) for place in range(20)))
        await asyncio.gather(*(spool.append(_record(f"{place}")) for place in range(20, 25)))
        identity = spool.id
        await spool.close()
        again = Spool(tmp_path, segment_bytes=1000)
        await again.open()
        assert again.id == identity
        assert again.records == 25
        assert await _all(again) == [f"{place}" for place in range(25)]
        assert again.size_bytes == 0
        await again.close()

    asyncio.run(check())


def test_sequences_go_on_after_a_restart_even_when_all_was_delivered(tmp_path: Path) -> None:
    async def check() -> None:
        sequences: list[int | None] = []
        for _ in range(3):
            spool = Spool(tmp_path, segment_bytes=1)
            await spool.open()
            await spool.append(_record("x"))
            await spool.append(_record("y"))
            while spool.records:
                batch = await spool.peek()
                sequences += [entry.sequence for entry in batch.entries]
                await spool.advance(batch)
            await spool.close()
        fresh = sorted({sequence for sequence in sequences if sequence})
        assert fresh == [1, 2, 3, 4, 5, 6]

    asyncio.run(check())


def test_delivered_segments_are_removed(tmp_path: Path) -> None:
    async def check() -> None:
        spool = Spool(tmp_path, segment_bytes=1)
        await spool.open()
        for place in range(5):
            await spool.append(_record(f"{place}"))
        assert len(_segments(tmp_path)) == 5
        assert await _all(spool) == ["0", "1", "2", "3", "4"]
        assert len(_segments(tmp_path)) == 1
        await spool.close()

    asyncio.run(check())


def test_a_line_that_a_crash_tore_is_cut_and_the_next_is_whole(tmp_path: Path) -> None:
    async def check() -> None:
        spool = Spool(tmp_path)
        await spool.open()
        await spool.append(_record("whole"))
        await spool.close()
        [segment] = _segments(tmp_path)
        with segment.open("ab") as file:
            file.write(b'{"sequence":2,"rec')
        again = Spool(tmp_path)
        await again.open()
        await again.append(_record("next"))
        assert await _all(again) == ["whole", "next"]
        await again.close()

    asyncio.run(check())


def test_a_segment_that_held_a_torn_line_alone_goes_on_with_its_own_sequence(
    tmp_path: Path,
) -> None:
    async def check() -> None:
        (tmp_path / "00000000000000000005.jsonl").write_bytes(b'{"sequence":5,"rec')
        spool = Spool(tmp_path)
        await spool.open()
        await spool.append(_record("next"))
        assert [entry.sequence for entry in (await spool.peek()).entries] == [5]
        await spool.close()

    asyncio.run(check())


def test_a_line_that_cannot_be_read_is_told_apart(tmp_path: Path) -> None:
    async def check() -> None:
        (tmp_path / "00000000000000000001.jsonl").write_bytes(b"rubbish\n")
        spool = Spool(tmp_path)
        await spool.open()
        await spool.append(_record("next"))
        batch = await spool.peek()
        assert [entry.record is None for entry in batch.entries] == [True, False]
        await spool.close()

    asyncio.run(check())


def test_a_full_spool_refuses_and_says_so_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def check() -> None:
        spool = Spool(tmp_path, limit_bytes=1500)
        await spool.open()
        taken = 0
        with caplog.at_level(logging.ERROR):
            while spool.size_bytes < 1000:
                await spool.append(_record(f"{taken}"))
                taken += 1
            for _ in range(3):
                with pytest.raises(SpoolFull, match="bring the database back"):
                    spool.append(_record("x" * 500))
        assert [record.getMessage()[:18] for record in caplog.records] == ["the spool is full:"]
        assert len(await _all(spool)) == taken
        await spool.append(_record("room again"))
        assert await _all(spool) == ["room again"]
        await spool.close()

    asyncio.run(check())


def test_two_assistants_cannot_share_a_spool(tmp_path: Path) -> None:
    async def check() -> None:
        first = Spool(tmp_path)
        await first.open()
        with pytest.raises(SpoolError, match="another assistant uses this spool"):
            await Spool(tmp_path).open()
        await first.close()

    asyncio.run(check())


def test_a_disk_that_refuses_is_told_to_who_appends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def check() -> None:
        spool = Spool(tmp_path)
        await spool.open()
        monkeypatch.setattr("os.fsync", _refuse)
        with pytest.raises(OSError, match="No space left"):
            await spool.append(_record("lost"))
        monkeypatch.undo()
        await spool.append(_record("kept"))
        assert await _all(spool) == ["kept"]
        await spool.close()

    def _refuse(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    asyncio.run(check())
