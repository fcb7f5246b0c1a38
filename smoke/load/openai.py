"""The answers of servers that speak OpenAI's form: server-sent events, one a token or a few."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from smoke.load.sample import Tokens

_DONE = "[DONE]"


@dataclass
class Events:
    """Server-sent events, cut out of what comes; all but their data is passed over."""

    _rest: bytes = b""
    _data: list[str] = field(default_factory=list)

    def feed(self, chunk: bytes) -> list[str]:
        """The data of the events that are whole by now."""
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        found = []
        for line in lines:
            text = line.rstrip(b"\r").decode(errors="replace")
            if not text and self._data:
                found.append("\n".join(self._data))
                self._data.clear()
            elif text.startswith("data:"):
                self._data.append(text.removeprefix("data:").removeprefix(" "))
        return found


@dataclass
class CompletionStream:
    """A chat or a plain completion; gaps are seconds between texts.

    Its counters come with the last event but one, if the request has
    `"stream_options": {"include_usage": true}`. They tell no durations.
    """

    first: float | None = None
    gaps: list[float] = field(default_factory=list)
    tokens: Tokens = field(default_factory=Tokens)
    whole: bool = False
    fault: str = ""
    _last_text: float = 0.0
    _events: Events = field(default_factory=Events)

    def feed(self, chunk: bytes, now: float) -> None:
        """Take what one read brought at that time."""
        for data in self._events.feed(chunk):
            if data == _DONE:
                self.whole = True
            else:
                self._take(data, now)

    def _take(self, data: str, now: float) -> None:
        try:
            document = json.loads(data)
            written = any(_text(choice) for choice in document.get("choices") or ())
            usage = document.get("usage") or {}
        except (ValueError, AttributeError):
            self.fault = self.fault or f"an event is not of OpenAI's form ({data[:40]!r})"
            return
        if "error" in document:
            self.fault = self.fault or f"the model failed ({document['error']})"
        if usage:
            self.tokens = Tokens(
                int(usage.get("prompt_tokens") or 0), int(usage.get("completion_tokens") or 0)
            )
        if written and self.first is None:
            self.first = now
        elif written:
            self.gaps.append(now - self._last_text)
        if written:
            self._last_text = now


def _text(choice: Any) -> str:
    """What a choice adds, of a chat or of a plain completion; thoughts are writing too."""
    delta = choice.get("delta") or {}
    return delta.get("content") or delta.get("reasoning_content") or choice.get("text") or ""
