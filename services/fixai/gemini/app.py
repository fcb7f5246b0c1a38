"""The API, as far as FixAI's consumers use Gemini's: `application()`.

POST /v1beta/models/MODEL:generateContent        structured output by responseJsonSchema or
                                                 responseSchema, else a line of text
POST /v1beta/models/MODEL:embedContent, :batchEmbedContents, :countTokens
PUT, GET /stand-in/faults                        what goes wrong (see faults)
GET /stand-in/requests                           how many came, by method and status
GET /healthz, /readyz, /metrics
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CollectorRegistry, Counter, generate_latest
from pydantic import TypeAdapter, ValidationError

from services.fixai.gemini import rules
from services.fixai.gemini.embedding import DIMENSIONS, embed
from services.fixai.gemini.faults import Fault, Faults, Kind

VERSION = "hearth-stand-in"
"""In every answer's `modelVersion`, behind the model's name."""
_CHARACTERS_PER_TOKEN = 4
_PICTURE_TOKENS = 258
_MOST_EMBEDDED = 100
_HANG_SECONDS = 0.2
_MOST_DIMENSIONS = 3072
_FAULTS = TypeAdapter(list[Fault])
_ERRORS = {
    Kind.RATE: (429, "RESOURCE_EXHAUSTED", "Quota exceeded: the stand-in was told so"),
    Kind.ERROR: (500, "INTERNAL", "The stand-in was told to fail"),
    Kind.AWAY: (503, "UNAVAILABLE", "The model is overloaded: the stand-in was told so"),
}


class _Refused(Exception):  # noqa: N818 - an answer
    """The request is answered with an error of the API."""

    def __init__(self, status: int, name: str, message: str) -> None:
        super().__init__(message)
        self.status, self.name, self.message = status, name, message


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a request holds for the rules."""

    text: str
    claimed: str | None
    pictures: tuple[bytes, ...]
    tokens: int


@dataclass(slots=True)
class StandIn:
    """The state of one: its key, its faults, what it counted.

    Attributes:
        key: of the API; empty: any key will do, but not none.
    """

    key: str = ""
    faults: Faults = field(default_factory=Faults)
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    counted: Counter = field(init=False)

    def __post_init__(self) -> None:
        self.counted = Counter(
            "gemini_stand_in_requests",
            "Requests by method and status",
            ["method", "status"],
            registry=self.registry,
        )

    def requests(self) -> dict[str, float]:
        """How many came, by method and status."""
        return {
            f"{sample.labels['method']} {sample.labels['status']}": sample.value
            for metric in self.counted.collect()
            for sample in metric.samples
            if sample.name.endswith("_total")
        }


def application(key: str = "") -> FastAPI:
    """The API, for whoever knows the key."""
    state = StandIn(key)
    app = FastAPI(title="Gemini stand-in", openapi_url=None)
    app.state.stand_in = state
    methods: dict[str, Callable[[str, Mapping[str, Any], Fault | None], Any]] = {
        "generateContent": _generate,
        "embedContent": lambda model, body, _: {"embedding": _embedding(body), **_is(model)},
        "batchEmbedContents": _batch,
        "countTokens": _count,
    }

    @app.post("/{version}/models/{call:path}")
    async def call(version: str, call: str, request: Request) -> Response:
        model, _, method = call.rpartition(":")
        if version not in {"v1", "v1beta"} or method not in methods:
            return _error(404, "NOT_FOUND", f"{version}/models/{call} is not known")
        try:
            answer = await _answer(state, request, model, method, methods[method])
        except _Refused as refused:
            answer = _error(refused.status, refused.name, refused.message)
        state.counted.labels(method, answer.status_code).inc()
        return answer

    @app.put("/stand-in/faults")
    async def tell(request: Request) -> Response:
        try:
            state.faults.tell(_FAULTS.validate_json(await request.body()))
        except ValidationError as error:
            return _error(400, "INVALID_ARGUMENT", str(error))
        return Response(status_code=204)

    @app.get("/stand-in/faults")
    async def told() -> Response:
        return JSONResponse([fault.model_dump(mode="json") for fault in state.faults.told])

    @app.get("/stand-in/requests")
    async def requests() -> Response:
        return JSONResponse(state.requests())

    @app.get("/healthz")
    @app.get("/readyz")
    async def healthy() -> Response:
        return JSONResponse({"status": "ready", "version": VERSION})

    @app.get("/metrics")
    async def metrics() -> Response:
        return Response(generate_latest(state.registry), media_type="text/plain; version=0.0.4")

    return app


async def _answer(
    state: StandIn,
    request: Request,
    model: str,
    method: str,
    work: Callable[[str, Mapping[str, Any], Fault | None], Any],
) -> Response:
    """Do a method's work, and what is to go wrong with it."""
    given = request.headers.get("x-goog-api-key") or request.query_params.get("key") or ""
    if not given or not hmac.compare_digest(given.encode(), (state.key or given).encode()):
        raise _Refused(400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key.")
    try:
        body = json.loads(await request.body())
    except ValueError:
        raise _Refused(400, "INVALID_ARGUMENT", "The body is not JSON") from None
    if not isinstance(body, dict):
        raise _Refused(400, "INVALID_ARGUMENT", "The body is not an object")
    fault = state.faults.met(method, json.dumps(body, ensure_ascii=False))
    if fault is not None and (broken := await _broken(fault, request)) is not None:
        return broken
    try:
        return JSONResponse(work(model, body, fault))
    except (AttributeError, KeyError, TypeError, ValueError, binascii.Error) as error:
        raise _Refused(400, "INVALID_ARGUMENT", f"{type(error).__name__} in the request") from None


async def _broken(fault: Fault, request: Request) -> Response | None:
    """The answer of a fault that is one of the transport, after its time."""
    if fault.kind == Kind.SLOW:
        await asyncio.sleep(fault.seconds)
        return None
    if fault.kind == Kind.HANG:
        while not await request.is_disconnected():  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(_HANG_SECONDS)
        return Response(status_code=499)
    if fault.kind == Kind.HTML:
        return Response("<html>Bad Gateway</html>", 502, media_type="text/html")
    if fault.kind not in _ERRORS:
        return None
    details = []
    if fault.kind == Kind.RATE:
        kind = "type.googleapis.com/google.rpc.RetryInfo"
        details = [{"@type": kind, "retryDelay": f"{fault.seconds:g}s"}]
    return _error(*_ERRORS[fault.kind], details)


def _error(
    status: int, name: str, message: str, details: list[dict[str, str]] | None = None
) -> JSONResponse:
    told: dict[str, Any] = {"code": status, "message": message, "status": name}
    if details:
        told["details"] = details
    return JSONResponse({"error": told}, status)


def _is(model: str) -> dict[str, str]:
    return {"modelVersion": f"{model}-{VERSION}"}


def _generate(model: str, body: Mapping[str, Any], fault: Fault | None) -> dict[str, Any]:
    asked = _asked(body)
    kind = None if fault is None else fault.kind
    base = {**_is(model), "responseId": VERSION}
    if kind in {Kind.BLOCKED, Kind.EMPTY}:
        feedback = {"promptFeedback": {"blockReason": "SAFETY"}} if kind == Kind.BLOCKED else {}
        return {**base, **feedback, "usageMetadata": _usage(asked.tokens, 0)}
    if kind == Kind.SAFETY:
        blocked = {"finishReason": "SAFETY", "index": 0}
        return {**base, "candidates": [blocked], "usageMetadata": _usage(asked.tokens, 0)}
    config = body.get("generationConfig", {})
    text = _text(config, asked)
    limit = int(config.get("maxOutputTokens") or len(text))
    reason = "STOP"
    if kind == Kind.MALFORMED:
        text = text[: len(text) // 2]
    elif kind == Kind.WRONG:
        text = '{"unexpected": true}'
    elif kind == Kind.CUT or _tokens(text) > limit:
        text, reason = text[: min(len(text) // 2, limit * _CHARACTERS_PER_TOKEN)], "MAX_TOKENS"
    candidate = {
        "content": {"role": "model", "parts": [{"text": text}]},
        "finishReason": reason,
        "index": 0,
    }
    usage = _usage(asked.tokens, _tokens(text))
    return {**base, "candidates": [candidate], "usageMetadata": usage}


def _text(config: Mapping[str, Any], asked: _Asked) -> str:
    reading = rules.read(asked.text, asked.pictures, asked.claimed)
    schema = config.get("responseJsonSchema") or config.get("responseSchema")
    if schema is None:
        return f"{reading.title} ({reading.category}, severity {reading.severity})"
    return json.dumps(rules.answer(schema, reading), ensure_ascii=False)


def _batch(model: str, body: Mapping[str, Any], _fault: Fault | None) -> dict[str, Any]:
    requests = body["requests"]
    if not 1 <= len(requests) <= _MOST_EMBEDDED:
        raise _Refused(400, "INVALID_ARGUMENT", f"1 to {_MOST_EMBEDDED} texts at once")
    return {"embeddings": [_embedding(each) for each in requests], **_is(model)}


def _embedding(body: Mapping[str, Any]) -> dict[str, list[float]]:
    told = body.get("embedContentConfig") or body
    wanted = int(told.get("outputDimensionality") or DIMENSIONS)
    if not 1 <= wanted <= _MOST_DIMENSIONS:
        raise _Refused(400, "INVALID_ARGUMENT", f"outputDimensionality: 1 to {_MOST_DIMENSIONS}")
    text = "\n".join(part.get("text", "") for part in body["content"]["parts"])
    return {"values": embed(text, wanted)}


def _count(model: str, body: Mapping[str, Any], _fault: Fault | None) -> dict[str, Any]:
    asked = _asked(body.get("generateContentRequest") or body)
    return {"totalTokens": asked.tokens, **_is(model)}


def _usage(read: int, written: int) -> dict[str, int]:
    return {
        "promptTokenCount": read,
        "candidatesTokenCount": written,
        "totalTokenCount": read + written,
    }


def _tokens(text: str) -> int:
    return -(-len(text) // _CHARACTERS_PER_TOKEN)


def _asked(body: Mapping[str, Any]) -> _Asked:
    """The report in a request: the first JSON document with a `text`, else all that is said."""
    parts = [part for content in body["contents"] for part in content.get("parts", ())]
    texts = [part["text"] for part in parts if "text" in part]
    blobs = [part.get("inlineData") or part.get("inline_data") for part in parts]
    # In either alphabet: the SDK sends the one for URLs.
    pictures = tuple(
        base64.urlsafe_b64decode(blob["data"].replace("+", "-").replace("/", "_"))
        for blob in blobs
        if blob
    )
    system = body.get("systemInstruction", {}).get("parts", ())
    read = "".join([*texts, *(part.get("text", "") for part in system)])
    tokens = _tokens(read) + _PICTURE_TOKENS * len(pictures)
    for text in texts:
        try:
            document = json.loads(text)
        except ValueError:
            continue
        if isinstance(document, dict) and isinstance(document.get("text"), str):
            return _Asked(document["text"], document.get("category"), pictures, tokens)
    return _Asked("\n".join(texts), None, pictures, tokens)
