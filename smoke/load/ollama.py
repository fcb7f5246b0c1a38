"""One streamed request in Ollama's chat form, timed line by line."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import aiohttp

from smoke.load.sample import Tokens

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import SimpleNamespace

CHAT_PATHS = ("/api/chat", "/api/v1/chat")
"""Of Ollama itself, and of what stands beside it and speaks the same form."""
TOO_MANY_REQUESTS = 429
_OK = 200
_NANOSECONDS = 1e-9

Outcome = Literal["complete", "truncated", "refused", "unreachable"]


def chat_body(model: str, tokens: int) -> dict[str, Any]:
    """A chat request that asks for at most so many tokens, streamed."""
    return {
        "model": model,
        "messages": [{"role": "user", "content": "Tell me about the weather."}],
        "stream": True,
        "options": {"num_predict": tokens},
    }


@dataclass
class Stream:
    """The lines of an answer and when they came; gaps are seconds between texts."""

    reads: int = 0
    lines: int = 0
    first_line: float | None = None
    first_text: float | None = None
    last_line: float | None = None
    final: Mapping[str, Any] | None = None
    fault: str = ""
    gaps: list[float] = field(default_factory=list)
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
        sent: When it was.
        on_wire: When its headers left, the connection being up; `sent` where they did not.
        ended: When its last byte came, or it failed.
        outcome: `complete` ended with `done`, `truncated` began and did not, `refused` had
            another status than 200, `unreachable` had none.
        fault: What went wrong, for people.
        served_by: The response header that names the upstream, as it came.
        retry_after: What a refusal asks the client to wait, in seconds.
    """

    due: float
    sent: float
    on_wire: float
    ended: float
    outcome: Outcome
    status: int | None = None
    fault: str = ""
    served_by: str = ""
    retry_after: float | None = None
    stream: Stream = field(default_factory=Stream)

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


@dataclass
class _Mark:
    """Where the client notes when a request's headers left."""

    at: float | None = None


def tracing() -> aiohttp.TraceConfig:
    """What a session needs for `Answer.on_wire`."""
    config = aiohttp.TraceConfig()
    config.on_request_headers_sent.append(_note)
    return config


async def _note(_session: object, context: SimpleNamespace, _params: object) -> None:
    mark = context.trace_request_ctx
    if isinstance(mark, _Mark):
        mark.at = asyncio.get_running_loop().time()


async def ask(  # noqa: PLR0913 - what is sent, to whom, as whom, and when
    session: aiohttp.ClientSession,
    url: str,
    body: Mapping[str, Any],
    *,
    timeout_s: float,
    headers: Mapping[str, str],
    due: float | None = None,
) -> Answer:
    """Send one request and read its stream to the end; faults are part of the answer."""
    loop = asyncio.get_running_loop()
    sent = loop.time()
    due = sent if due is None else due
    stream, mark = Stream(), _Mark()
    status: int | None = None
    answered: Mapping[str, str] = {}
    fault = ""
    try:
        timeout = aiohttp.ClientTimeout(total=timeout_s)
        async with session.post(
            url, json=body, headers=headers, timeout=timeout, trace_request_ctx=mark
        ) as response:
            status, answered = response.status, response.headers
            async for chunk in response.content.iter_any():
                if status == _OK:
                    stream.feed(chunk, loop.time())
    except TimeoutError:
        fault = f"no end within {timeout_s:.0f} s"
    except (aiohttp.ClientError, OSError) as error:
        fault = f"{type(error).__name__}: {error}"
    return Answer(
        due=due,
        sent=sent,
        on_wire=sent if mark.at is None else mark.at,
        ended=loop.time(),
        outcome=_outcome(status, stream, fault),
        status=status,
        fault=fault or stream.fault,
        served_by=answered.get("X-Served-By", ""),
        retry_after=_seconds(answered.get("Retry-After")),
        stream=stream,
    )


def _outcome(status: int | None, stream: Stream, fault: str) -> Outcome:
    if status is None:
        return "unreachable"
    if status != _OK:
        return "refused"
    broken = bool(fault or stream.fault) or stream.final is None
    return "truncated" if broken else "complete"


def _seconds(header: str | None) -> float | None:
    """The header in its form as seconds; the form as a date is nobody's here."""
    return float(header) if header is not None and header.isdigit() else None
