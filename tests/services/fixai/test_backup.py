"""What is kept comes back from its copy, in a real Cassandra and a real store."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest

from services.fixai import backup, migrate, roles
from services.fixai.database import Database
from services.fixai.settings import Settings
from tests.services.fixai import stacks
from tests.services.fixai.stacks import Stack, submitted

AT = datetime(2026, 11, 22, 2, 30, tzinfo=UTC)
REPORTS = 40


@dataclass
class Memory:
    """A bucket."""

    objects: dict[str, bytes] = field(default_factory=dict)

    async def put(self, key: str, data: bytes, content_type: str) -> None:
        """Store an object."""
        assert content_type
        self.objects[key] = data

    async def get(self, key: str) -> tuple[bytes, str] | None:
        """An object."""
        found = self.objects.get(key)
        return None if found is None else (found, "")


async def _database(told: Settings) -> Database:
    return await Database.connect(told.cassandra, "cassandra", "cassandra")


def test_reports_come_back_into_another_keyspace(stack: Stack) -> None:
    told = stack.settings
    other = told.model_copy(
        update={"cassandra": told.cassandra.model_copy(update={"keyspace": stacks.keyspace()})}
    )
    events = [
        submitted(text=f"hole {number}, 'quoted' \u017elu\u0165") for number in range(REPORTS)
    ]
    kept = Memory()

    async def run() -> None:
        async with roles.stored(told) as store:
            for event in events:
                await store.submit(event)
        database = await _database(told)
        copy = await backup.back_up(database, kept, told.cassandra.keyspace, AT)
        await database.close()
        assert copy.rows["reports"] >= REPORTS
        assert not backup.OF_THE_MOMENT & copy.rows.keys()
        await migrate.tables(other)
        database = await _database(other)
        assert await backup.restore(database, kept, other.cassandra.keyspace) == copy
        again = await backup.back_up(database, Memory(), other.cassandra.keyspace, AT)
        await database.close()
        assert again.rows == copy.rows
        async with roles.stored(other) as store:
            for event in events:
                found = await store.report(event.report_id)
                assert found is not None
                assert found.text == event.text
                assert found.submitted_at == event.submitted_at

    asyncio.run(run())


def test_the_role_leaves_a_copy_in_the_store(stack: Stack) -> None:
    async def run() -> None:
        await migrate.buckets(stack.settings)
        await backup.role(stack.settings, asyncio.Event())

    asyncio.run(run())


def test_a_copy_that_was_not_finished_is_none(stack: Stack) -> None:
    async def run() -> None:
        database = await _database(stack.settings)
        with pytest.raises(LookupError, match="name a copy that is complete"):
            await backup.restore(database, Memory(), stack.settings.cassandra.keyspace)
        await database.close()

    asyncio.run(run())


def test_slices_cover_every_token_once() -> None:
    found = backup.slices(16)
    assert (found[0][0], found[-1][1]) == (-(2**63), 2**63 - 1)
    assert all(before[1] == after[0] for before, after in itertools.pairwise(found))
