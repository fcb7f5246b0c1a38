"""`/api/v1/chat`: Ollama's `/api/chat`, with a memory."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal
from uuid import UUID, uuid4

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from services.assistant.answers import Answer
from services.assistant.asking import WAIT_SECONDS, consumer_of, model_of, streams
from services.assistant.circuit import Away
from services.assistant.parts import Parts
from services.assistant.records import Message, Record, now
from services.assistant.refusals import Refused, read_json
from services.assistant.relay import Relay
from services.assistant.sessions import ANSWER_LIMIT_BYTES, digest
from services.assistant.store import Past

ROUTE = "chat"
# Where the earlier messages came from; `missing` where cache and database were away.
Source = Literal["new", "cache", "database", "missing"]
Recalled = tuple[tuple[Mapping[str, Any], ...], Source]
_NOTHING: Recalled = ((), "new")
_OK = 200


@dataclass(frozen=True)
class Turn:
    """One request of a conversation."""

    consumer: str
    conversation: UUID
    model: str
    messages: tuple[Mapping[str, Any], ...]
    past: tuple[Mapping[str, Any], ...]
    source: Source
    digest: str | None
    at: datetime = field(default_factory=now)

    @property
    def headers(self) -> dict[str, str]:
        """What the answer's headers tell of it."""
        headers = {"X-Conversation-Id": str(self.conversation)}
        if self.source == "missing":
            headers["X-Conversation-History"] = "missing"
        if self.digest is not None:
            headers["X-Cache"] = "miss"
        return headers


async def answer(parts: Parts, request: Request) -> Response:
    """Answer a chat request.

    Raises:
        Refused: it is not of Ollama's form, or the conversation is another consumer's.
    """
    result = Answer(keep_bytes=ANSWER_LIMIT_BYTES)
    data, body = await read_json(request)
    turn = await _turn(parts, body, consumer_of(request))
    if (kept := await _kept(parts, turn)) is not None:
        return await _repeat(parts, turn, result, kept, stream=streams(body))
    if turn.past or body.get("model") != turn.model or "conversation" in body:
        data = _for_ollama(body, turn)
    return Relay(
        parts.ollama,
        target="/api/chat",
        body=data,
        stream=streams(body),
        headers=turn.headers,
        answer=result,
        book=_Book(parts, turn),
        queued=parts.metrics.queued.labels(ROUTE),
    )


async def _turn(parts: Parts, body: Mapping[str, Any], consumer: str) -> Turn:
    messages = body.get("messages") or []
    if not isinstance(messages, list) or not all(isinstance(said, dict) for said in messages):
        raise Refused(400, "messages is not a list of objects; send role and content of each")
    asked = body.get("conversation")
    conversation = uuid4() if asked is None else _uuid(asked)
    models = parts.settings.models
    past, source = _NOTHING if asked is None else await _recall(parts, conversation, consumer)
    return Turn(
        consumer=consumer,
        conversation=conversation,
        model=(model := model_of(body, models.chat, stand_in=models.stand_in)),
        messages=tuple(messages),
        past=past,
        source=source,
        digest=digest({**body, "model": model}) if parts.sessions else None,
    )


def _uuid(text: object) -> UUID:
    try:
        return UUID(str(text))
    except ValueError:
        raise Refused(
            400, "conversation is not a UUID; send the X-Conversation-Id of an earlier answer"
        ) from None


async def _recall(parts: Parts, conversation: UUID, consumer: str) -> Recalled:
    past, source = await _past(parts, conversation)
    if past is None:
        if source == "missing":
            parts.metrics.without_past.inc()
        return (), source
    if past.consumer != consumer:
        raise Refused(404, "there is no such conversation; leave it out to begin one")
    return past.messages, source


async def _past(parts: Parts, conversation: UUID) -> tuple[Past | None, Source]:
    away = False
    if parts.sessions is not None:
        try:
            if (past := await parts.sessions.past(conversation)) is not None:
                return past, "cache"
        except Away:
            away = True
    if parts.store is None:
        return None, "missing" if away else "new"
    try:
        if parts.store.circuit.up:
            await parts.recorder.settle(WAIT_SECONDS)  # this node's own messages, on their way
        past = await parts.store.past(conversation)
    except Away:
        return None, "missing"
    return past, "new" if past is None else "database"


def _for_ollama(body: Mapping[str, Any], turn: Turn) -> bytes:
    told = {key: value for key, value in body.items() if key != "conversation"}
    told |= {"model": turn.model, "messages": [*turn.past, *turn.messages]}
    return json.dumps(told).encode()


async def _kept(parts: Parts, turn: Turn) -> bytes | None:
    if turn.digest is None or parts.sessions is None:
        return None
    kept = None
    with suppress(Away):
        kept = await parts.sessions.answer(turn.digest)
    parts.metrics.cache.labels("miss" if kept is None else "hit").inc()
    return kept


async def _repeat(
    parts: Parts, turn: Turn, result: Answer, kept: bytes, *, stream: bool
) -> Response:
    """Answer as Ollama did the first time."""
    result.status = _OK
    result.feed(kept)
    result.end()
    book = _Book(parts, turn, cached=True)
    book.accepted()
    await book.ended(result)
    headers = {**turn.headers, "X-Cache": "hit"}
    if not stream:
        return Response(kept, headers=headers, media_type="application/json")
    return StreamingResponse(_lines(kept), headers=headers, media_type="application/x-ndjson")


async def _lines(kept: bytes) -> AsyncIterator[bytes]:
    for line in kept.splitlines(keepends=True):
        yield line


class _Book:
    """Writes a turn down: the question when it is taken, the answer when it is over."""

    def __init__(self, parts: Parts, turn: Turn, *, cached: bool = False) -> None:
        self._parts = parts
        self._turn = turn
        self._cached = cached
        self._asked: asyncio.Task[None] | None = None

    def accepted(self) -> None:
        turn = self._turn
        if turn.messages:
            messages = [
                Message.of(said, at=turn.at, ordinal=place)
                for place, said in enumerate(turn.messages)
            ]
            self._asked = self._keep(messages)

    async def ended(self, answer: Answer) -> None:
        turn, parts = self._turn, self._parts
        usage = parts.count(ROUTE, turn.model, answer, cached=self._cached)
        said = [self._said(answer)] if answer.said_something else []
        tasks = [
            parts.recorder.keep(
                Record(
                    consumer=turn.consumer,
                    conversation=turn.conversation if said else None,
                    messages=tuple(said),
                    usage=usage,
                )
            )
        ]
        if self._asked is not None:
            tasks.append(self._asked)
            tasks.append(asyncio.create_task(self._remember(answer)))
        await asyncio.wait(tasks, timeout=WAIT_SECONDS)

    def _keep(self, messages: Sequence[Message]) -> asyncio.Task[None]:
        turn = self._turn
        return self._parts.recorder.keep(
            Record(
                at=turn.at,
                consumer=turn.consumer,
                conversation=turn.conversation,
                messages=tuple(messages),
            )
        )

    def _said(self, answer: Answer) -> Message:
        return Message.of(
            answer.message,
            model=self._turn.model,
            served_by=self._parts.settings.name,
            prompt_tokens=answer.prompt_tokens,
            generated_tokens=answer.generated_tokens,
            latency_ms=answer.latency_ms,
            first_token_ms=answer.first_token_ms,
            truncated=not answer.complete,
            cached=self._cached,
        )

    async def _remember(self, answer: Answer) -> None:
        turn, sessions = self._turn, self._parts.sessions
        if sessions is None:
            return
        said = [answer.message] if answer.said_something else []
        whole = turn.source in {"new", "database"}
        past = turn.past if whole else ()
        with suppress(Away):
            await sessions.remember(
                turn.conversation,
                turn.consumer,
                [*past, *turn.messages, *said],
                whole=whole,
            )
            if turn.digest and answer.complete and answer.raw and not self._cached:
                await sessions.keep_answer(turn.digest, bytes(answer.raw))
