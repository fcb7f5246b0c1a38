"""One streamed request in a form of Ollama's, timed line by line."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from smoke.load.http import SERVED_BY, encode, sample_of
from smoke.load.sample import Tokens

if TYPE_CHECKING:
    from collections.abc import Mapping

    from smoke.load.http import Client, Exchange
    from smoke.load.sample import Outcome, Sample

# Of Ollama itself, and of what stands beside it and speaks the same form.
CHAT_PATHS = ("/api/chat", "/api/v1/chat")
GENERATE_PATHS = ("/api/generate", "/api/v1/code")
TOO_MANY_REQUESTS = 429
_NANOSECONDS = 1e-9


def chat_body(model: str, tokens: int) -> dict[str, Any]:
    """A chat request that asks for at most so many tokens, streamed."""
    said = {"role": "user", "content": "Tell me about the weather."}
    return {"messages": [said], **_streamed(model, tokens)}


def generate_body(model: str, tokens: int) -> dict[str, Any]:
    """A request for code of at most so many tokens, streamed."""
    return {"prompt": "Write a function that sorts a list.", **_streamed(model, tokens)}


def _streamed(model: str, tokens: int) -> dict[str, Any]:
    return {"model": model, "stream": True, "options": {"num_predict": tokens}}


def body_for(path: str, model: str, tokens: int) -> dict[str, Any]:
    """A request in the form of that path of an upstream."""
    return (generate_body if path in GENERATE_PATHS else chat_body)(model, tokens)


@dataclass
class Stream:
    """The lines of an answer and when they came; gaps are seconds between texts.

    Its first and last line tell when they were made, by the server's clock.
    """

    reads: int = 0
    lines: int = 0
    first_line: float | None = None
    first_text: float | None = None
    last_line: float | None = None
    final: Mapping[str, Any] | None = None
    fault: str = ""
    gaps: list[float] = field(default_factory=list)
    made_first: str = ""
    made_last: str = ""
    _last_text: float = 0.0
    _rest: bytes = b""

    @property
    def first(self) -> float | None:
        """When its first token came: the first text, or the first line of a silent model."""
        return self.first_line if self.first_text is None else self.first_text

    @property
    def whole(self) -> bool:
        """Whether its last line came."""
        return self.final is not None

    @property
    def tokens(self) -> Tokens:
        """The counters of its last line."""
        return Tokens(
            prompt=self.figure("prompt_eval_count"),
            generated=self.figure("eval_count"),
            generating_s=self.figure("eval_duration") * _NANOSECONDS,
            load_s=self.figure("load_duration") * _NANOSECONDS,
        )

    @property
    def made_over_s(self) -> float:
        """From when its first line was made to its last; what its counters say, if lines do not."""
        try:
            first, last = map(datetime.fromisoformat, (self.made_first, self.made_last))
        except ValueError:
            return self.tokens.generating_s
        return (last - first).total_seconds()

    def figure(self, name: str) -> int:
        """A figure of its last line, such as `eval_count`; 0 where it has none."""
        return int((self.final or {}).get(name) or 0)

    def feed(self, chunk: bytes, now: float) -> None:
        """Take what one read brought at that time."""
        self.reads += 1
        *whole, self._rest = (self._rest + chunk).split(b"\n")
        for line in whole:
            if line.strip():
                self._take(line, now)

    def _take(self, line: bytes, now: float) -> None:
        try:
            document = json.loads(line)
            text = _text(document)
        except (ValueError, AttributeError):
            self.fault = self.fault or f"a line is not of Ollama's form ({line[:40]!r})"
            return
        self.lines += 1
        self.first_line = now if self.first_line is None else self.first_line
        self.last_line = now
        self.made_last = document.get("created_at") or ""
        self.made_first = self.made_first or self.made_last
        if text:
            if self.first_text is None:
                self.first_text = now
            else:
                self.gaps.append(now - self._last_text)
            self._last_text = now
        if "error" in document:
            self.fault = self.fault or f"the model failed ({document['error']})"
        if document.get("done"):
            self.final = document


def _text(document: Any) -> str:
    """What the model wrote, of a chat or of a plain completion; thoughts are writing too."""
    message = document.get("message", {})
    return message.get("content") or message.get("thinking") or document.get("response") or ""


@dataclass(frozen=True)
class Answer:
    """How one request went; times in seconds on the event loop's clock.

    Args:
        due: When it should have been sent.
        exchange: The request and its answer, as HTTP has them.
        stream: The lines of its body.
    """

    due: float
    exchange: Exchange
    stream: Stream

    @property
    def sample(self) -> Sample:
        """For a record."""
        return sample_of(self.due, self.exchange, self.stream)

    @property
    def sent(self) -> float:
        """When it was sent."""
        return self.exchange.sent

    @property
    def on_wire(self) -> float:
        """When it left, the connection being up; `sent` where it did not."""
        return self.exchange.sent if self.exchange.on_wire is None else self.exchange.on_wire

    @property
    def ended(self) -> float:
        """When its last byte came, or it failed."""
        return self.exchange.ended

    @property
    def outcome(self) -> Outcome:
        """`complete` where it came to its proper end."""
        return self.exchange.outcome(self.stream)

    @property
    def status(self) -> int | None:
        """None where no answer began."""
        return self.exchange.status

    @property
    def fault(self) -> str:
        """What went wrong, for people."""
        return self.exchange.fault or self.stream.fault

    @property
    def served_by(self) -> str:
        """The response header that names the upstream, as it came."""
        return self.exchange.header(SERVED_BY)

    @property
    def retry_after(self) -> float | None:
        """What a refusal asks the client to wait, in seconds."""
        return self.sample.retry_after

    @property
    def first(self) -> float | None:
        """When its first token came: the first text, or the first line of a silent model."""
        return self.stream.first

    @property
    def spread(self) -> float:
        """Seconds from the first line to the last."""
        if self.stream.first_line is None or self.stream.last_line is None:
            return 0.0
        return self.stream.last_line - self.stream.first_line

    def figure(self, name: str) -> int:
        """A figure of the stream's last line, such as `eval_count`; 0 where it has none."""
        return self.stream.figure(name)

    def seconds(self, name: str) -> float:
        """A duration of the stream's last line, such as `eval_duration`."""
        return self.figure(name) * _NANOSECONDS


async def ask(
    client: Client,
    url: str,
    body: Mapping[str, Any],
    *,
    headers: Mapping[str, str],
    due: float | None = None,
) -> Answer:
    """Send one request and read its stream to the end; faults are part of the answer."""
    told = {"Content-Type": "application/json", **headers}
    stream = Stream()
    exchange = await client.exchange(encode("POST", url, told, json.dumps(body).encode()), stream)
    return Answer(due=exchange.sent if due is None else due, exchange=exchange, stream=stream)
