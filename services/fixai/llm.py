"""The language model, by Google's own SDK: typed answers, within a budget, errors by their kind.

    LlmError         no answer
      Busy           asking again later may help: quota, 5xx, timeouts, nobody there
      Unanswerable   asking again will not: refused, blocked, malformed or cut off twice

A report's words go to the model as a JSON document in a message of its own, behind instructions
that stand apart (`system_instruction`) and say that it is data. What comes back is only taken as
the form that was asked for: a report can at worst describe itself wrongly.
"""

from __future__ import annotations

import asyncio
import functools
import json
import logging
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import httpx2
import prometheus_client
from google import genai
from google.genai import errors, types
from prometheus_client import CollectorRegistry
from pydantic import BaseModel, ValidationError

from services.fixai.prompts import prompt
from services.fixai.settings import Llm as Told

Form = TypeVar("Form", bound=BaseModel)
T = TypeVar("T")

EMBEDDING_DIMENSIONS = 256
_ATTEMPTS = 4
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.5, 20.0
_OUTPUT_TOKENS = 1024
_CHARACTERS_PER_TOKEN = 3
"""Fewer than on average, so that the budget errs to the safe side."""
_PICTURE_TOKENS = 258
_TOO_MANY = 429
_PASSING = frozenset({408, _TOO_MANY, 500, 502, 503, 504})
_BLOCKED = frozenset(
    {
        types.FinishReason.SAFETY,
        types.FinishReason.RECITATION,
        types.FinishReason.BLOCKLIST,
        types.FinishReason.PROHIBITED_CONTENT,
        types.FinishReason.SPII,
        types.FinishReason.IMAGE_SAFETY,
    }
)
_log = logging.getLogger(__name__)


class LlmError(Exception):
    """No answer; the text says why, without the report's content."""


class Busy(LlmError):  # noqa: N818 - a state of the world, not a mistake
    """Asking again later may help.

    Attributes:
        others: whether other questions were answered meanwhile: it is this one that fails.
    """

    def __init__(self, text: str, *, others: bool) -> None:
        super().__init__(text)
        self.others = others


class Unanswerable(LlmError):  # noqa: N818 - an answer
    """Asking again will not help."""


class _Malformed(Exception):  # noqa: N818 - an answer
    """The answer is not of the form."""


class _Cut(Exception):  # noqa: N818 - an answer
    """The answer ends at the limit of its tokens."""


class Budget:
    """Tokens a minute of one process: spent as they come, filled up evenly.

    Each process has its own: the sum is the replicas' times it, and the API's own quota is the
    last word (429). Who comes first is served first.

    Args:
        per_minute: also the most that can be saved up.
    """

    def __init__(
        self,
        per_minute: int,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._most = float(per_minute)
        self._per_second = per_minute / 60
        self._clock, self._sleep = clock, sleep
        self._left, self._seen = self._most, clock()
        self._turn = asyncio.Lock()

    async def spend(self, tokens: int) -> None:
        """Return when so many may be spent; more than a minute's count as a minute's."""
        async with self._turn:
            wanted = min(float(tokens), self._most)
            self._fill()
            while self._left < wanted:
                await self._sleep((wanted - self._left) / self._per_second)
                self._fill()
            self._left -= wanted

    def settle(self, estimated: int, actual: int) -> None:
        """Correct what was spent by what the API counted."""
        self._left = min(self._left + estimated - actual, self._most)

    def _fill(self) -> None:
        now = self._clock()
        self._left = min(self._left + (now - self._seen) * self._per_second, self._most)
        self._seen = now


@dataclass(slots=True)
class Usage:
    """What was asked of the API, by model.

    Attributes:
        read: tokens in.
        written: tokens out, thoughts among them.
        results: requests by model and what became of them.
    """

    registry: CollectorRegistry | None = None
    read: Counter[str] = field(default_factory=Counter)
    written: Counter[str] = field(default_factory=Counter)
    results: Counter[tuple[str, str]] = field(default_factory=Counter)
    _tokens: prometheus_client.Counter = field(init=False)
    _requests: prometheus_client.Counter = field(init=False)

    def __post_init__(self) -> None:
        self._tokens = prometheus_client.Counter(
            "fixai_llm_tokens",
            "Tokens that the API counted",
            ["model", "direction"],
            registry=self.registry,
        )
        self._requests = prometheus_client.Counter(
            "fixai_llm_requests",
            "Requests to the API by what became of them",
            ["model", "result"],
            registry=self.registry,
        )

    def spent(self, model: str, read: int, written: int) -> None:
        """The API counted these."""
        self.read[model] += read
        self.written[model] += written
        self._tokens.labels(model, "in").inc(read)
        self._tokens.labels(model, "out").inc(written)

    def ended(self, model: str, result: str) -> None:
        """A request was answered, or not."""
        self.results[model, result] += 1
        self._requests.labels(model, result).inc()


class Llm:
    """Asks the model; its methods raise `LlmError`.

    Args:
        told: where, which models, how much of them.
        key: of the API.
        usage: counts.
    """

    def __init__(
        self,
        told: Told,
        key: str,
        usage: Usage,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._told = told
        self._usage = usage
        self._sleep = sleep
        self._answered = 0
        self._budget = Budget(told.tokens_per_minute)
        self._slots = asyncio.Semaphore(told.concurrency)
        limits = httpx2.Limits(max_connections=told.concurrency)
        self._http = httpx2.AsyncClient(limits=limits)
        # Its own client: with aiohttp the SDK waits up to ten seconds by itself after an error.
        # The retries are ours: they know the budget and the delay that the server names.
        options = types.HttpOptions(
            base_url=told.base_url,
            api_version="v1beta",
            timeout=round(told.timeout_seconds * 1000),
            retry_options=types.HttpRetryOptions(attempts=1),
            httpx_async_client=self._http,
        )
        self._client = genai.Client(vertexai=False, api_key=key, http_options=options)

    async def close(self) -> None:
        """Let the connections go."""
        await self._client.aio.aclose()
        await self._http.aclose()

    async def ask(
        self,
        task: str,
        report: Mapping[str, Any],
        form: type[Form],
        pictures: Sequence[tuple[bytes, str]] = (),
    ) -> Form:
        """What the model makes of a report.

        Args:
            task: the prompt's name.
            report: the data, as the JSON document that the prompt tells of.
            form: of the answer.
            pictures: content and type, such as `image/png`.

        Raises:
            Busy: it does not answer now.
            Unanswerable: it will not answer this.
        """
        parts = [types.Part.from_text(text=json.dumps(report, ensure_ascii=False))]
        parts += [types.Part.from_bytes(data=data, mime_type=kind) for data, kind in pictures]
        contents = [types.Content(role="user", parts=parts)]
        limit = _OUTPUT_TOKENS
        size = len(prompt(task)) + len(parts[0].text or "")
        for last in (False, True):
            estimated = size // _CHARACTERS_PER_TOKEN + len(pictures) * _PICTURE_TOKENS + limit
            try:
                answer = await self._generate(task, contents, form, limit, estimated)
                return _valid(answer, form)
            except _Cut:
                if last:
                    raise Unanswerable("the answer is longer than its limit, twice") from None
                limit *= 4
            except _Malformed as error:
                if last:
                    raise Unanswerable(f"the answer is malformed, twice ({error})") from None
                contents = [*contents, *_repair(answer)]
        raise AssertionError("unreachable")

    async def embed(self, text: str) -> tuple[float, ...]:
        """A text as a vector of unit length.

        Raises:
            Busy: it does not answer now.
            Unanswerable: it will not answer this.
        """
        model = self._told.embedding_model
        config = types.EmbedContentConfig(
            task_type="CLUSTERING", output_dimensionality=EMBEDDING_DIMENSIONS
        )
        estimated = len(text) // _CHARACTERS_PER_TOKEN + 1
        answer = await self._patiently(
            model,
            estimated,
            lambda: self._client.aio.models.embed_content(
                model=model, contents=text, config=config
            ),
        )
        # The API does not count the tokens of embeddings: the estimate stands.
        self._usage.spent(model, estimated, 0)
        values = (answer.embeddings[0].values if answer.embeddings else None) or []
        length = sum(value * value for value in values) ** 0.5
        if len(values) != EMBEDDING_DIMENSIONS or not length:
            raise Unanswerable(f"the embedding has {len(values)} dimensions or no length")
        return tuple(round(value / length, 5) for value in values)

    async def _generate(
        self,
        task: str,
        contents: Sequence[types.Content],
        form: type[BaseModel],
        limit: int,
        estimated: int,
    ) -> types.GenerateContentResponse:
        model = self._told.model
        config = types.GenerateContentConfig(
            system_instruction=prompt(task),
            response_mime_type="application/json",
            response_json_schema=_schema(form),
            temperature=0.0,
            max_output_tokens=limit,
            thinking_config=types.ThinkingConfig(thinking_budget=0),
        )
        answer = await self._patiently(
            model,
            estimated,
            lambda: self._client.aio.models.generate_content(
                model=model, contents=list(contents), config=config
            ),
        )
        usage = answer.usage_metadata or types.GenerateContentResponseUsageMetadata()
        read = usage.prompt_token_count or 0
        written = (usage.candidates_token_count or 0) + (usage.thoughts_token_count or 0)
        self._usage.spent(model, read, written)
        self._budget.settle(estimated, read + written)
        return answer

    async def _patiently(self, model: str, estimated: int, call: Callable[[], Awaitable[T]]) -> T:
        """Call, and again after what may pass.

        Raises:
            Busy: it did not pass.
            Unanswerable: it cannot.
        """
        pause, answered = _FIRST_PAUSE_SECONDS, self._answered
        for attempt in range(1, _ATTEMPTS + 1):
            await self._budget.spend(estimated)
            try:
                async with self._slots, asyncio.timeout(self._told.timeout_seconds):
                    answer = await call()
            except (errors.APIError, httpx2.HTTPError, TimeoutError, OSError, ValueError) as error:
                why, wanted = _passing(error)
                self._usage.ended(model, why)
                wait = pause * random.uniform(0.75, 1.25) if wanted is None else wanted  # noqa: S311
                if attempt == _ATTEMPTS or wait > _LONGEST_PAUSE_SECONDS:
                    others = self._answered > answered
                    raise Busy(f"{model}: {why}, {attempt} times", others=others) from None
                _log.info("%s: %s; asking again in %.1f s", model, why, wait)
                await self._sleep(wait)
                pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)
            else:
                self._answered += 1
                self._usage.ended(model, "answered")
                return answer
        raise AssertionError("unreachable")


@functools.cache
def _schema(form: type[BaseModel]) -> dict[str, Any]:
    """The JSON Schema of an answer, which takes longer to make than to send."""
    return form.model_json_schema()


def _passing(error: Exception) -> tuple[str, float | None]:
    """What to call an error that may pass, and how many seconds the server wants to be left alone.

    Raises:
        Unanswerable: it does not pass.
    """
    if isinstance(error, errors.APIError):
        if error.code not in _PASSING:
            # The message may quote the request; the status does not.
            raise Unanswerable(f"the API refuses ({error.code} {error.status})") from None
        return f"status {error.code}", _delay(error.details)
    if isinstance(error, TimeoutError | httpx2.TimeoutException):
        return "timeout", None
    if isinstance(error, errors.UnknownApiResponseError | json.JSONDecodeError):
        return "not JSON", None
    if isinstance(error, ValueError):
        raise Unanswerable(f"the SDK refuses ({type(error).__name__})") from None
    return type(error).__name__, None


def _delay(details: Any) -> float | None:
    """The seconds of a `RetryInfo`."""
    try:
        for detail in details["error"]["details"]:
            if detail["@type"].endswith("google.rpc.RetryInfo"):
                return float(detail["retryDelay"].removesuffix("s"))
    except (AttributeError, KeyError, TypeError, ValueError):
        return None
    return None


def _valid(answer: types.GenerateContentResponse, form: type[Form]) -> Form:
    """The answer in its form.

    Raises:
        Unanswerable: it was blocked.
        _Cut: it is not whole.
        _Malformed: it is not of the form.
    """
    if answer.prompt_feedback is not None and answer.prompt_feedback.block_reason is not None:
        raise Unanswerable(f"the prompt is blocked ({answer.prompt_feedback.block_reason.value})")
    if not answer.candidates:
        raise _Malformed("no candidate")
    candidate = answer.candidates[0]
    if candidate.finish_reason in _BLOCKED:
        raise Unanswerable(f"the answer is blocked ({candidate.finish_reason.value})")
    if candidate.finish_reason == types.FinishReason.MAX_TOKENS:
        raise _Cut
    try:
        return form.model_validate_json(_said(answer))
    except ValidationError as error:
        raise _Malformed(error.errors(include_url=False, include_input=False)[0]["type"]) from None


def _said(answer: types.GenerateContentResponse) -> str:
    content = answer.candidates[0].content if answer.candidates else None
    return "".join(part.text or "" for part in (content and content.parts) or ())


def _repair(answer: types.GenerateContentResponse) -> list[types.Content]:
    """What was said, and that it was wrong."""
    wrong = types.Content(role="model", parts=[types.Part.from_text(text=_said(answer) or "{}")])
    again = types.Content(role="user", parts=[types.Part.from_text(text=prompt("repair"))])
    return [wrong, again]
