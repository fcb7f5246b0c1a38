"""What a model said, gathered from Ollama's lines while they pass."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_MILLISECONDS = 1000.0
_NANOSECONDS = 1e-9


@dataclass
class Answer:
    """An answer as far as it came; the clock is `time.monotonic`.

    Attributes:
        started: when the request came.
        keep_bytes: how much of the raw answer is kept in `raw`; more, and `raw` is None.
        status: Ollama's; None where it did not answer.
        final: the line with `done`, once it came.
        error: what Ollama said in the middle.
    """

    started: float = field(default_factory=time.monotonic)
    keep_bytes: int = 0
    status: int | None = None
    raw: bytearray | None = field(default_factory=bytearray)
    final: Mapping[str, Any] | None = None
    error: str | None = None
    first_token: float | None = None
    ended: float | None = None
    _text: list[str] = field(default_factory=list)
    _thinking: list[str] = field(default_factory=list)
    _tool_calls: list[Any] = field(default_factory=list)
    _rest: bytes = b""

    def feed(self, chunk: bytes) -> None:
        """Take bytes as they came."""
        if self.raw is not None:
            self.raw += chunk
            if len(self.raw) > self.keep_bytes:
                self.raw = None
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            self._take(line)

    def end(self) -> None:
        """No more bytes come."""
        rest, self._rest = self._rest, b""
        self._take(rest)
        self.ended = time.monotonic()

    @property
    def complete(self) -> bool:
        """Whether its end came, without an error."""
        return self.final is not None and self.error is None

    @property
    def broken(self) -> bool:
        """Whether it is Ollama's fault that there is no whole answer."""
        return self.status is None or self.status >= 400 or self.error is not None  # noqa: PLR2004

    @property
    def torn(self) -> bool:
        """Whether the last byte is in the middle of a line."""
        return bool(self._rest)

    @property
    def text(self) -> str:
        """All that was said."""
        return "".join(self._text)

    @property
    def message(self) -> dict[str, Any]:
        """As one message in Ollama's form."""
        message: dict[str, Any] = {"role": "assistant", "content": self.text}
        if self._thinking:
            message["thinking"] = "".join(self._thinking)
        if self._tool_calls:
            message["tool_calls"] = self._tool_calls
        return message

    @property
    def said_something(self) -> bool:
        """Whether there is anything to remember."""
        return bool(self._text or self._thinking or self._tool_calls)

    @property
    def latency_ms(self) -> float:
        """From the request to the end."""
        return ((self.ended or time.monotonic()) - self.started) * _MILLISECONDS

    @property
    def first_token_ms(self) -> float | None:
        """From the request to the first token."""
        return None if self.first_token is None else (self.first_token - self.started) * 1000

    @property
    def prompt_tokens(self) -> int:
        """Read by the model; 0 where it did not say."""
        return self._figure("prompt_eval_count")

    @property
    def generated_tokens(self) -> int:
        """Written by the model; of a truncated answer its lines, which are a token each."""
        return self._figure("eval_count") if self.final else len(self._text) + len(self._thinking)

    @property
    def tokens_per_second(self) -> float | None:
        """As Ollama measured it."""
        seconds = self._figure("eval_duration") * _NANOSECONDS
        return self._figure("eval_count") / seconds if seconds else None

    def _figure(self, name: str) -> int:
        value = (self.final or {}).get(name)
        return int(value) if isinstance(value, int | float) else 0

    def _take(self, line: bytes) -> None:
        if not line.strip():
            return
        try:
            document = json.loads(line)
        except ValueError:
            return
        if isinstance(document, dict):
            self._read(document)

    def _read(self, document: Mapping[str, Any]) -> None:
        if "error" in document:
            self.error = str(document["error"])
        said = document.get("message")
        said = said if isinstance(said, dict) else document
        text = said.get("content") or document.get("response")
        thinking = said.get("thinking")
        if isinstance(text, str) and text:
            self._text.append(text)
        if isinstance(thinking, str) and thinking:
            self._thinking.append(thinking)
        if isinstance(calls := said.get("tool_calls"), list):
            self._tool_calls += calls
        if self.first_token is None and self.said_something:
            self.first_token = time.monotonic()
        if document.get("done"):
            self.final = document
