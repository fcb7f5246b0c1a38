"""`/api/v1/image`: draws with ComfyUI, keeps the image in the bucket."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator
from typing import Annotated, Any
from uuid import UUID, uuid4

import aiohttp
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from services.assistant.asking import WAIT_SECONDS, consumer_of
from services.assistant.circuit import Away
from services.assistant.comfyui import ComfyUI, DrawingFailed, Sketch
from services.assistant.objects import Bucket
from services.assistant.parts import Parts
from services.assistant.records import Drawing, Record, Usage
from services.assistant.refusals import Refused, read_json

ROUTE = "image"
_PNG = "image/png"
_SEED_LIMIT = 2**53 - 1  # what JSON carries exactly everywhere
_CHUNK_BYTES = 64 * 1024

Side = Annotated[int, Field(ge=64, le=2048, multiple_of=8)]


class Wish(BaseModel):
    """The body of a request; sizes in pixels."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    prompt: Annotated[str, Field(min_length=1, max_length=10_000)]
    negative: Annotated[str, Field(max_length=10_000)] = ""
    width: Side = 512
    height: Side = 512
    steps: Annotated[int, Field(ge=1, le=150)] = 20
    seed: Annotated[int, Field(ge=0, le=_SEED_LIMIT)] | None = None


async def answer(parts: Parts, request: Request) -> dict[str, Any]:
    """Draw an image and keep it: what the client is told of it.

    Raises:
        Refused: the wish is not one, a part is away, or ComfyUI could not draw it.
    """
    started = time.monotonic()
    comfyui, bucket = _needed(parts)
    _, body = await read_json(request)
    wish = _wish(body)
    seed = random.randrange(_SEED_LIMIT + 1) if wish.seed is None else wish.seed  # noqa: S311
    sketch = Sketch(wish.prompt, wish.negative, wish.width, wish.height, wish.steps, seed)
    image = uuid4()
    try:
        await bucket.probe()  # before minutes of drawing that nothing could keep
        checkpoint = await comfyui.checkpoint()
        png = await comfyui.draw(sketch)
        await bucket.put(_key(image), png, _PNG)
    except Away as error:
        raise Refused.away(error) from error
    except DrawingFailed as error:
        raise Refused(502, f"{error}; change the request, or look at ComfyUI's log") from error
    seconds = time.monotonic() - started
    drawing = Drawing(
        id=image,
        prompt=wish.prompt,
        negative=wish.negative,
        checkpoint=checkpoint,
        width=wish.width,
        height=wish.height,
        steps=wish.steps,
        seed=seed,
        size_bytes=len(png),
        seconds=seconds,
        object_key=_key(image),
        served_by=parts.settings.name,
    )
    parts.metrics.first_token_seconds.labels(ROUTE, checkpoint).observe(seconds)
    kept = parts.recorder.keep(
        Record(consumer=consumer_of(request), drawing=drawing, usage=Usage(route=ROUTE))
    )
    await asyncio.wait([kept], timeout=WAIT_SECONDS)
    return {
        "id": str(image),
        "url": f"/api/v1/image/{image}",
        "width": wish.width,
        "height": wish.height,
        "seed": seed,
        "seconds": round(seconds, 3),
    }


async def show(parts: Parts, image: UUID) -> Response:
    """An image that was drawn.

    Raises:
        Refused: there is none of this id, or the bucket is away.
    """
    if parts.bucket is None:
        raise Refused(501, f"{parts.settings.name} keeps no images; ask another assistant")
    try:
        stored = await parts.bucket.get(_key(image))
    except Away as error:
        raise Refused.away(error) from error
    if stored is None:
        raise Refused(404, "there is no such image; use the url that /api/v1/image told")
    headers = {"Cache-Control": "private, max-age=31536000, immutable"}
    if (length := stored.headers.get("Content-Length")) is not None:
        headers["Content-Length"] = length
    return StreamingResponse(_chunks(stored), media_type=_PNG, headers=headers)


def _needed(parts: Parts) -> tuple[ComfyUI, Bucket]:
    if parts.comfyui is None or parts.bucket is None:
        raise Refused(501, f"{parts.settings.name} draws no images; ask another assistant")
    return parts.comfyui, parts.bucket


def _wish(body: dict[str, Any]) -> Wish:
    try:
        return Wish.model_validate(body)
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}"
            for fault in error.errors(include_url=False, include_input=False)
        )
        raise Refused(400, faults) from None


def _key(image: UUID) -> str:
    return f"images/{image}.png"


async def _chunks(stored: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    async with stored:
        async for chunk in stored.content.iter_chunked(_CHUNK_BYTES):
            yield chunk
