"""PostgreSQL: applies records, remembers conversations, counts usage."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import asyncpg

from services.assistant.circuit import Away, Circuit
from services.assistant.records import Drawing, Message, Record, Snippet
from services.assistant.settings import Database
from services.assistant.spool import Entry

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

    Connection = PoolConnectionProxy[asyncpg.Record]

# What a record's own data causes: it would be refused again however often it is tried.
POISON = (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError)
RECENT_MESSAGES = 60
_LOG = logging.getLogger(__name__)
USAGE_ROWS = 366

_USER = """\
INSERT INTO users (name, first_seen, last_seen) VALUES ($1, $2, $2)
ON CONFLICT (name) DO UPDATE SET last_seen = greatest(users.last_seen, EXCLUDED.last_seen)
RETURNING id"""
_CONVERSATION = """\
INSERT INTO conversations (id, user_id, created_at, last_at) VALUES ($1, $2, $3, $3)
ON CONFLICT (id) DO UPDATE SET last_at = greatest(conversations.last_at, EXCLUDED.last_at)
WHERE conversations.user_id = EXCLUDED.user_id
RETURNING id"""
_MESSAGE = """\
INSERT INTO messages (id, conversation_id, role, content, detail, at, ordinal, model, served_by,
    prompt_tokens, generated_tokens, latency_ms, first_token_ms, truncated, cached)
VALUES ($1, $2, $3, $4, $5::jsonb, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
ON CONFLICT (id) DO NOTHING"""
_SNIPPET = """\
INSERT INTO code_snippets (id, user_id, at, model, prompt, answer, code, language, served_by,
    prompt_tokens, generated_tokens, latency_ms, truncated)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
ON CONFLICT (id) DO NOTHING"""
_DRAWING = """\
INSERT INTO generated_images (id, user_id, at, prompt, negative, checkpoint, width, height, steps,
    seed, size_bytes, seconds, object_key, served_by)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
ON CONFLICT (id) DO NOTHING"""
_VERDICT = "UPDATE code_snippets SET analysis = $2::jsonb, analysed_at = $3 WHERE id = $1"
_USAGE = """\
INSERT INTO api_usage AS a
    (user_id, route, day, requests, prompt_tokens, generated_tokens, errors)
VALUES ($1, $2, ($3::timestamptz AT TIME ZONE 'UTC')::date, 1, $4, $5, $6)
ON CONFLICT (user_id, day, route) DO UPDATE SET
    requests = a.requests + 1,
    prompt_tokens = a.prompt_tokens + EXCLUDED.prompt_tokens,
    generated_tokens = a.generated_tokens + EXCLUDED.generated_tokens,
    errors = a.errors + EXCLUDED.errors"""
_APPLIED = """\
INSERT INTO deliveries (spool, sequence, updated_at) VALUES ($1, 0, now())
ON CONFLICT (spool) DO UPDATE SET updated_at = now()
RETURNING sequence"""
_ADVANCE = "UPDATE deliveries SET sequence = $2 WHERE spool = $1 AND sequence < $2"
_OWNER = """\
SELECT u.name FROM conversations c JOIN users u ON u.id = c.user_id WHERE c.id = $1"""
_RECENT = """\
SELECT role, content, detail FROM (
    SELECT role, content, detail, at, ordinal FROM messages
    WHERE conversation_id = $1 ORDER BY at DESC, ordinal DESC LIMIT $2
) AS recent ORDER BY at, ordinal"""
_OWN_USAGE = """\
SELECT day, route, requests, prompt_tokens, generated_tokens, errors
FROM usage_by_day WHERE consumer = $1 ORDER BY day DESC, route LIMIT $2"""


@dataclass(frozen=True)
class Past:
    """A conversation's owner and its recent messages, oldest first, in Ollama's form."""

    consumer: str
    messages: tuple[dict[str, Any], ...]


class Store:
    """A small pool of connections that are made when they are needed.

    Every method raises `Away` where PostgreSQL is; `apply` also raises what is in `POISON`.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None
        # A missing table is away too: it comes with the next migration.
        self.circuit = Circuit(
            "database", (asyncpg.InterfaceError, asyncpg.PostgresError), answers=POISON
        )

    async def open(self) -> None:
        """Prepare; nothing is connected yet."""
        database = self._database
        self._pool = await asyncpg.create_pool(
            host=database.host,
            port=database.port,
            database=database.name,
            user=database.user,
            password=database.password.get_secret_value(),
            min_size=0,
            max_size=4,
            timeout=2,
            command_timeout=5,
            server_settings={"application_name": "assistant"},
        )

    async def close(self) -> None:
        """Disconnect."""
        if self._pool is not None:
            self._pool.terminate()  # every transaction that matters is either done or tried again

    async def probe(self) -> None:
        """Ask whether it answers."""
        async with self.circuit.call(3), self._connection() as connection:
            await connection.fetchval("SELECT 1")

    async def apply(self, spool: UUID | None, entries: Sequence[Entry]) -> None:
        """Apply entries in one transaction, each exactly once; those of None are not counted."""
        async with (
            self.circuit.call(10),
            self._connection() as connection,
            connection.transaction(),
        ):
            applied = 0
            if spool is not None:
                applied = await connection.fetchval(_APPLIED, spool)
            for entry in entries:
                fresh = spool is None or (entry.sequence or 0) > applied
                if entry.record is not None and fresh:
                    await _apply(connection, entry.record)
            last = max((entry.sequence or 0 for entry in entries), default=0)
            if spool is not None:
                await connection.execute(_ADVANCE, spool, last)

    async def past(self, conversation: UUID) -> Past | None:
        """A conversation's recent messages; None where it is unknown."""
        async with self.circuit.call(2), self._connection() as connection:
            consumer = await connection.fetchval(_OWNER, conversation)
            if consumer is None:
                return None
            rows = await connection.fetch(_RECENT, conversation, RECENT_MESSAGES)
        messages = (
            Message(
                role=row["role"],
                content=row["content"],
                detail=json.loads(row["detail"]) if row["detail"] else None,
            ).as_ollama()
            for row in rows
        )
        return Past(consumer, tuple(messages))

    async def usage(self, consumer: str) -> list[dict[str, Any]]:
        """A consumer's usage, a row a day and route, newest first."""
        async with self.circuit.call(3), self._connection() as connection:
            rows = await connection.fetch(_OWN_USAGE, consumer, USAGE_ROWS)
        return [{**row, "day": row["day"].isoformat()} for row in rows]

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Connection]:
        if self._pool is None:
            raise Away("database", "not opened")
        async with self._pool.acquire(timeout=2) as connection:
            yield connection


async def _apply(connection: Connection, record: Record) -> None:
    user = await connection.fetchval(_USER, record.consumer, record.at)
    if record.conversation is not None:
        await _converse(connection, user, record.conversation, record)
    if record.snippet is not None:
        await _keep_snippet(connection, user, record.at, record.snippet)
    if record.drawing is not None:
        await _keep_drawing(connection, user, record.at, record.drawing)
    if (verdict := record.verdict) is not None:
        await connection.execute(_VERDICT, verdict.snippet, json.dumps(verdict.analysis), record.at)
    if (usage := record.usage) is not None:
        await connection.execute(
            _USAGE,
            user,
            usage.route,
            record.at,
            usage.prompt_tokens,
            usage.generated_tokens,
            int(usage.error),
        )


async def _converse(connection: Connection, user: int, conversation: UUID, record: Record) -> None:
    if await connection.fetchval(_CONVERSATION, conversation, user, record.at) is None:
        _LOG.warning("messages were dropped: their conversation is another consumer's")
        return
    await connection.executemany(
        _MESSAGE, [_message(conversation, message) for message in record.messages]
    )


def _message(conversation: UUID, message: Message) -> tuple[object, ...]:
    return (
        message.id,
        conversation,
        message.role,
        message.content,
        json.dumps(message.detail) if message.detail else None,
        message.at,
        message.ordinal,
        message.model,
        message.served_by,
        message.prompt_tokens,
        message.generated_tokens,
        message.latency_ms,
        message.first_token_ms,
        message.truncated,
        message.cached,
    )


async def _keep_snippet(connection: Connection, user: int, at: datetime, snippet: Snippet) -> None:
    await connection.execute(
        _SNIPPET,
        snippet.id,
        user,
        at,
        snippet.model,
        snippet.prompt,
        snippet.answer,
        snippet.code,
        snippet.language,
        snippet.served_by,
        snippet.prompt_tokens,
        snippet.generated_tokens,
        snippet.latency_ms,
        snippet.truncated,
    )


async def _keep_drawing(connection: Connection, user: int, at: datetime, drawing: Drawing) -> None:
    await connection.execute(
        _DRAWING,
        drawing.id,
        user,
        at,
        drawing.prompt,
        drawing.negative,
        drawing.checkpoint,
        drawing.width,
        drawing.height,
        drawing.steps,
        drawing.seed,
        drawing.size_bytes,
        drawing.seconds,
        drawing.object_key,
        drawing.served_by,
    )
