"""What is kept: the shape of one line of the spool, and of what PostgreSQL is given."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID, uuid4

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field

_OWN_FIELDS = frozenset({"role", "content"})


def now() -> datetime:
    """The present, with its zone."""
    return datetime.now(UTC)


def clean(text: str) -> str:
    """The text without what PostgreSQL refuses: NUL, and halves of surrogate pairs."""
    return text.encode("utf-8", "replace").decode().replace("\0", "\ufffd")


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, Mapping):
        return {clean(str(key)): _clean(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_clean(item) for item in value]
    return value


# Before, because pydantic itself refuses the halves of surrogate pairs.
Text = Annotated[str, BeforeValidator(_clean)]
Document = Annotated[dict[str, Any], BeforeValidator(_clean)]
Tokens = Annotated[int, AfterValidator(lambda count: max(0, count))]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Message(_Part):
    """One message of a conversation.

    Attributes:
        detail: what an Ollama message has besides role and content (images, tool calls, ...).
        latency_ms: from the request to the answer's end; of answers alone, as is all below.
        truncated: the answer's end never came, or nobody waited for it.
        cached: no model ran for it.
        ordinal: its place among the messages of the same `at`.
    """

    id: UUID = Field(default_factory=uuid4)
    role: Text
    content: Text
    detail: Document | None = None
    at: AwareDatetime = Field(default_factory=now)
    ordinal: int = 0
    model: Text | None = None
    served_by: Text | None = None
    prompt_tokens: Tokens | None = None
    generated_tokens: Tokens | None = None
    latency_ms: float | None = None
    first_token_ms: float | None = None
    truncated: bool = False
    cached: bool = False

    @classmethod
    def of(cls, message: Mapping[str, Any], **facts: Any) -> Message:
        """From Ollama's form."""
        detail = {key: value for key, value in message.items() if key not in _OWN_FIELDS}
        return cls(
            role=str(message.get("role", "")),
            content=str(message.get("content") or ""),
            detail=detail or None,
            **facts,
        )

    def as_ollama(self) -> dict[str, Any]:
        """In Ollama's form."""
        return {"role": self.role, "content": self.content, **(self.detail or {})}


class Snippet(_Part):
    """A piece of generated code; `answer` is all that the model wrote, `code` the code in it."""

    id: UUID = Field(default_factory=uuid4)
    model: Text
    prompt: Text
    answer: Text
    code: Text
    language: Text | None = None
    served_by: Text
    prompt_tokens: Tokens | None = None
    generated_tokens: Tokens | None = None
    latency_ms: float
    truncated: bool = False


class Drawing(_Part):
    """A generated image; its pixels lie in the bucket under `object_key`."""

    id: UUID
    prompt: Text
    negative: Text
    checkpoint: Text
    width: int
    height: int
    steps: int
    seed: int
    size_bytes: int
    seconds: float
    object_key: Text
    served_by: Text


class Verdict(_Part):
    """What the analysis of a snippet found."""

    snippet: UUID
    analysis: Document


class Usage(_Part):
    """What one request adds to its consumer's day."""

    route: Text
    prompt_tokens: Tokens = 0
    generated_tokens: Tokens = 0
    error: bool = False


class Record(_Part):
    """What one step of a request leaves behind; applied whole or not at all."""

    at: AwareDatetime = Field(default_factory=now)
    consumer: Text
    conversation: UUID | None = None
    messages: tuple[Message, ...] = ()
    snippet: Snippet | None = None
    drawing: Drawing | None = None
    verdict: Verdict | None = None
    usage: Usage | None = None
