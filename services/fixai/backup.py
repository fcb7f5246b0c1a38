"""The role `backup`: copies every row of the keyspace into the bucket of backups, then ends.

A copy is rows, not a database's files: it can be brought back into any version and any number of
nodes. It is not of one moment: what is written while it runs may be in it or not. A row that comes
back is written as it was, and events of the outbox that come back are published again, which
consumers know to bear.

    cassandra/2026-11-22T02-30-00Z/reports-07.jsonl.gz   rows of a slice of a table, JSON each
    cassandra/2026-11-22T02-30-00Z/copy.json             written last: which parts there are
    cassandra/latest.json                                the name of the last complete copy
"""

from __future__ import annotations

import asyncio
import gzip
import itertools
import json
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

import httpx

from services.fixai.database import Away, Database
from services.fixai.objects import Bucket
from services.fixai.settings import Settings

FOLDER = "cassandra"
LATEST = f"{FOLDER}/latest.json"
OF_THE_MOMENT = frozenset({"schema_lock", "outbox_leases"})
"""Tables that say who works on something just now."""
SLICES = 16
"""Of each table: what is read at once, and kept in memory."""
_TOKENS = (-(2**63), 2**63 - 1)
_WAIT_SECONDS = 5
_ATTEMPTS = 5
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_log = logging.getLogger(__name__)


class Kept(Protocol):
    """Where copies are: a bucket."""

    async def put(self, key: str, data: bytes, content_type: str) -> None:
        """Store an object."""

    async def get(self, key: str) -> tuple[bytes, str] | None:
        """An object and its content type; None where there is none."""


@dataclass(frozen=True, slots=True)
class Copy:
    """A complete copy.

    Attributes:
        rows: by table.
        parts: keys of the objects, by table.
    """

    name: str
    rows: dict[str, int]
    parts: dict[str, list[str]]


async def role(told: Settings, _stop: asyncio.Event) -> None:
    """Make a copy.

    Raises:
        Away: the database or the object store does not answer, again and again.
    """
    user = told.secrets.read("cassandra", "user")
    database = await Database.wait(told.cassandra, user, told.secrets.read("cassandra", "password"))
    try:
        async with httpx.AsyncClient() as client:
            bucket = Bucket(client, told.objects, told.secrets, told.objects.backups)
            copy = await back_up(database, bucket, told.cassandra.keyspace, datetime.now(UTC))
    finally:
        await database.close()
    _log.info("%s holds %d rows", copy.name, sum(copy.rows.values()))


async def back_up(database: Database, kept: Kept, keyspace: str, at: datetime) -> Copy:
    """Copy every table.

    Raises:
        Away: the database or the object store does not answer, again and again.
    """
    name = f"{at:%Y-%m-%dT%H-%M-%SZ}"
    rows: dict[str, int] = {}
    parts: dict[str, list[str]] = {}
    for table, keys in (await _tables(database, keyspace)).items():
        rows[table], parts[table] = 0, []
        question = (
            f"SELECT JSON * FROM {keyspace}.{table} "  # noqa: S608 - names of the schema's own
            f"WHERE token({keys}) > ? AND token({keys}) <= ?"
        )
        for index, (after, last) in enumerate(slices(SLICES)):
            found = await _read(database, question, after, last)
            if found:
                key = f"{FOLDER}/{name}/{table}-{index:02}.jsonl.gz"
                packed = gzip.compress("".join(f"{line}\n" for line in found).encode())
                await kept.put(key, packed, "application/gzip")
                rows[table] += len(found)
                parts[table].append(key)
    document = json.dumps({"name": name, "rows": rows, "parts": parts}).encode()
    await kept.put(f"{FOLDER}/{name}/copy.json", document, "application/json")
    await kept.put(LATEST, json.dumps({"name": name}).encode(), "application/json")
    return Copy(name, rows, parts)


async def restore(database: Database, kept: Kept, keyspace: str, name: str | None = None) -> Copy:
    """Write the rows of a copy, the last one if none is named; the tables have to be there.

    Rows that are there and not in the copy stay.

    Raises:
        LookupError: there is no such copy, or a part of it is missing.
        Away: the database or the object store does not answer.
    """
    if name is None:
        name = str(json.loads(await _object(kept, LATEST))["name"])
    told = json.loads(await _object(kept, f"{FOLDER}/{name}/copy.json"))
    copy = Copy(told["name"], told["rows"], told["parts"])
    for table, keys in copy.parts.items():
        statement = f"INSERT INTO {keyspace}.{table} JSON ?"
        for key in keys:
            lines = gzip.decompress(await _object(kept, key)).decode().splitlines()
            for line in lines:
                await database.write(statement, line)
    return copy


def slices(count: int) -> list[tuple[int, int]]:
    """The ring of tokens in equal parts: after the first number, up to the second."""
    first, last = _TOKENS
    bounds = [first + (last - first) * index // count for index in range(count + 1)]
    return list(itertools.pairwise(bounds))


async def _tables(database: Database, keyspace: str) -> dict[str, str]:
    """Every table that is copied, with the columns of its partition key."""
    found = await database.read(
        "SELECT table_name, column_name, kind, position FROM system_schema.columns "
        "WHERE keyspace_name = ?",
        keyspace,
    )
    keys: dict[str, list[tuple[int, str]]] = {}
    for row in found:
        if row.kind == "partition_key" and row.table_name not in OF_THE_MOMENT:
            keys.setdefault(row.table_name, []).append((row.position, row.column_name))
    return {
        table: ", ".join(name for _, name in sorted(columns))
        for table, columns in sorted(keys.items())
        if _NAME.fullmatch(table)
    }


async def _read(database: Database, question: str, *values: int) -> Sequence[str]:
    for _ in range(_ATTEMPTS - 1):
        try:
            return [row[0] for row in await database.read(question, *values)]
        except Away as error:
            _log.warning("%s; trying again", error)
            await asyncio.sleep(_WAIT_SECONDS)
    return [row[0] for row in await database.read(question, *values)]


async def _object(kept: Kept, key: str) -> bytes:
    found = await kept.get(key)
    if found is None:
        raise LookupError(f"backups: no object {key}; name a copy that is complete")
    return found[0]
