"""`/api/v1/code`: Ollama's `/api/generate`, kept, and looked at by SonarQube."""

from __future__ import annotations

import asyncio
import json
import re
from uuid import UUID, uuid4

from starlette.requests import Request
from starlette.responses import Response

from services.assistant.answers import Answer
from services.assistant.asking import WAIT_SECONDS, consumer_of, model_of, streams
from services.assistant.parts import Parts
from services.assistant.records import Record, Snippet
from services.assistant.refusals import Refused, read_json
from services.assistant.relay import Relay

ROUTE = "code"
_FENCED = re.compile(r"^```[ \t]*([\w+#.-]*)[^\n]*\n(.*?)(?:^```|\Z)", re.MULTILINE | re.DOTALL)


async def answer(parts: Parts, request: Request) -> Response:
    """Answer a code request.

    Raises:
        Refused: it is not of Ollama's form.
    """
    result = Answer()
    data, body = await read_json(request)
    prompt = body.get("prompt", "")
    if not isinstance(prompt, str):
        raise Refused(400, "prompt is not a string; send what the code should do")
    models = parts.settings.models
    model = model_of(body, models.code, stand_in=models.stand_in)
    if body.get("model") != model:
        data = json.dumps({**body, "model": model}).encode()
    book = _Book(parts, consumer_of(request), model, prompt)
    return Relay(
        parts.ollama,
        target="/api/generate",
        body=data,
        stream=streams(body),
        headers={"X-Snippet-Id": str(book.snippet)},
        answer=result,
        book=book,
        queued=parts.metrics.queued.labels(ROUTE),
    )


def code_in(answer: str) -> tuple[str, str | None]:
    """The code in an answer and its language: its fenced blocks, or all of it without one."""
    blocks = _FENCED.findall(answer)
    if not blocks:
        return answer, None
    languages = [language for language, _ in blocks if language]
    return "\n".join(code for _, code in blocks), languages[0].lower() if languages else None


class _Book:
    """Writes a snippet down."""

    def __init__(self, parts: Parts, consumer: str, model: str, prompt: str) -> None:
        self._parts = parts
        self._consumer = consumer
        self._model = model
        self._prompt = prompt
        self.snippet: UUID = uuid4()

    def accepted(self) -> None:
        """Nothing is written before there is code."""

    async def ended(self, answer: Answer) -> None:
        parts = self._parts
        snippet = self._snippet(answer) if answer.text else None
        usage = parts.count(ROUTE, self._model, answer)
        kept = parts.recorder.keep(Record(consumer=self._consumer, snippet=snippet, usage=usage))
        if snippet is not None and answer.complete:
            parts.analyses.ask(self._consumer, snippet)
        await asyncio.wait([kept], timeout=WAIT_SECONDS)

    def _snippet(self, answer: Answer) -> Snippet:
        code, language = code_in(answer.text)
        return Snippet(
            id=self.snippet,
            model=self._model,
            prompt=self._prompt,
            answer=answer.text,
            code=code,
            language=language,
            served_by=self._parts.settings.name,
            prompt_tokens=answer.prompt_tokens,
            generated_tokens=answer.generated_tokens,
            latency_ms=answer.latency_ms,
            truncated=not answer.complete,
        )
