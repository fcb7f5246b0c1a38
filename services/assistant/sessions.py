"""Redis: the recent messages of conversations, and answers that repeat.

`session:<conversation>`   list of `{"consumer", "message"}`, oldest first, expires when not used
`answer:<digest>`          an answer's bytes as Ollama sent them, expires
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

from redis.asyncio import Redis as Client
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from services.assistant.circuit import Circuit
from services.assistant.settings import Redis
from services.assistant.store import RECENT_MESSAGES, Past

SESSION_SECONDS = 6 * 3600
ANSWER_SECONDS = 3600
ANSWER_LIMIT_BYTES = 256 * 1024
# They change where an answer goes, not what it says.
_NOT_IN_DIGEST = frozenset({"conversation", "keep_alive"})


def digest(body: Mapping[str, Any]) -> str | None:
    """What names the answer of a request that always has the same one; None for every other."""
    options = body.get("options") or {}
    if not isinstance(options, dict) or body.get("conversation") is not None:
        return None
    if options.get("temperature") != 0 and options.get("seed") is None:
        return None
    told = {key: value for key, value in body.items() if key not in _NOT_IN_DIGEST}
    told["stream"] = body.get("stream", True)
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


class Sessions:
    """Every method raises `Away` where Redis is."""

    def __init__(self, redis: Redis) -> None:
        self._client = Client(
            host=redis.host,
            port=redis.port,
            password=redis.password.get_secret_value() if redis.password else None,
            socket_timeout=1,
            socket_connect_timeout=1,
            retry=Retry(NoBackoff(), 0),  # the circuit decides when to try again
            max_connections=32,
        )
        self._stale: set[str] = set()
        self.circuit = Circuit("cache", (RedisError,), limit_seconds=1.5)

    async def close(self) -> None:
        """Disconnect."""
        await self._client.aclose()

    async def probe(self) -> None:
        """Ask whether it answers."""
        async with self._call():
            await self._client.ping()

    async def past(self, conversation: UUID) -> Past | None:
        """A conversation's recent messages; None where it is not remembered here."""
        async with self._call():
            lines = await self._client.lrange(_session(conversation), 0, -1)
        entries = [json.loads(line) for line in lines]
        if not entries:
            return None
        return Past(entries[0]["consumer"], tuple(entry["message"] for entry in entries))

    async def remember(
        self,
        conversation: UUID,
        consumer: str,
        messages: Sequence[Mapping[str, Any]],
        *,
        whole: bool,
    ) -> None:
        """Add messages to a conversation.

        Args:
            conversation: of which.
            consumer: its owner.
            messages: in Ollama's form, oldest first.
            whole: these are all its messages. Else they are added only if the earlier ones are
                still there: a session without them would hide them.
        """
        key = _session(conversation)
        lines = [json.dumps({"consumer": consumer, "message": message}) for message in messages]
        if not lines:
            return
        try:
            async with self._call(), self._client.pipeline(transaction=True) as pipeline:
                if whole:
                    pipeline.delete(key)
                    pipeline.rpush(key, *lines)
                else:
                    pipeline.rpushx(key, *lines)
                pipeline.ltrim(key, -RECENT_MESSAGES, -1)
                pipeline.expire(key, SESSION_SECONDS)
                await pipeline.execute()
        except BaseException:
            self._stale.add(key)
            raise

    async def answer(self, name: str) -> bytes | None:
        """An answer that was kept."""
        async with self._call():
            kept = await self._client.get(f"answer:{name}")
        return kept if isinstance(kept, bytes) else None

    async def keep_answer(self, name: str, answer: bytes) -> None:
        """Keep an answer."""
        async with self._call():
            await self._client.set(f"answer:{name}", answer, ex=ANSWER_SECONDS)

    @asynccontextmanager
    async def _call(self) -> AsyncIterator[None]:
        async with self.circuit.call():
            # What could not be added while Redis was away makes these sessions wrong.
            if stale := frozenset(self._stale):
                await self._client.delete(*stale)
                self._stale -= stale
            yield


def _session(conversation: UUID) -> str:
    return f"session:{conversation}"
