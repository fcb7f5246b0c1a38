"""ComfyUI: draws one image from a text.

DrawingFailed     it took the request and could not draw
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import aiohttp

from services.assistant.circuit import Away, Circuit

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_LIMIT_SECONDS = 280.0  # below the gateway's five minutes
_POLL_SECONDS = (0.1, 0.2, 0.5, 1.0)
_SAVE_NODE = "9"
_SERVER_ERROR = 500
_BAD_REQUEST = 400
_SHOWN_CHARACTERS = 200


class DrawingFailed(Exception):  # noqa: N818 - an outcome that the client reads
    """It could not draw; says what ComfyUI said."""


@dataclass(frozen=True)
class Sketch:
    """What is to be drawn; sizes in pixels."""

    prompt: str
    negative: str
    width: int
    height: int
    steps: int
    seed: int


def workflow(sketch: Sketch, checkpoint: str) -> dict[str, Any]:
    """ComfyUI's own text-to-image graph, in the form of its API."""
    return {
        "4": _node("CheckpointLoaderSimple", ckpt_name=checkpoint),
        "5": _node("EmptyLatentImage", width=sketch.width, height=sketch.height, batch_size=1),
        "6": _node("CLIPTextEncode", text=sketch.prompt, clip=["4", 1]),
        "7": _node("CLIPTextEncode", text=sketch.negative, clip=["4", 1]),
        "3": _node(
            "KSampler",
            seed=sketch.seed,
            steps=sketch.steps,
            cfg=7.0,
            sampler_name="euler",
            scheduler="normal",
            denoise=1.0,
            model=["4", 0],
            positive=["6", 0],
            negative=["7", 0],
            latent_image=["5", 0],
        ),
        "8": _node("VAEDecode", samples=["3", 0], vae=["4", 2]),
        _SAVE_NODE: _node("SaveImage", filename_prefix="assistant", images=["8", 0]),
    }


def _node(kind: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": kind, "inputs": inputs}


class ComfyUI:
    """Its methods raise `Away` where it is."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = url
        self._checkpoint: str | None = None
        self.circuit = Circuit("images", (aiohttp.ClientError,), limit_seconds=10)

    async def probe(self) -> None:
        """Ask whether it answers."""
        async with self.circuit.call(3), self._get("/system_stats"):
            pass

    async def checkpoint(self) -> str:
        """The model that draws: the first that is installed.

        Raises:
            DrawingFailed: none is.
        """
        if self._checkpoint is None:
            name = "CheckpointLoaderSimple"
            async with self.circuit.call(), self._get(f"/object_info/{name}") as response:
                document = await response.json()
            try:
                self._checkpoint = str(document[name]["input"]["required"]["ckpt_name"][0][0])
            except (KeyError, IndexError, TypeError):
                raise DrawingFailed(
                    "ComfyUI has no checkpoint; put one in models/checkpoints"
                ) from None
        return self._checkpoint

    async def draw(self, sketch: Sketch) -> bytes:
        """Draw it: a PNG.

        Raises:
            DrawingFailed: it could not, or took too long.
        """
        checkpoint = await self.checkpoint()
        ticket = await self._submit(workflow(sketch, checkpoint))
        try:
            async with asyncio.timeout(_LIMIT_SECONDS):
                image = await self._finished(ticket)
        except TimeoutError:
            raise DrawingFailed(f"ComfyUI took over {_LIMIT_SECONDS:.0f} s") from None
        async with self.circuit.call(30), self._get("/view", image) as response:
            return await response.read()

    async def _submit(self, graph: Mapping[str, Any]) -> str:
        body = {"prompt": graph, "client_id": uuid4().hex}
        async with (
            self.circuit.call(),
            self._session.post(f"{self._url}/prompt", json=body) as response,
        ):
            _check(response)
            text = await response.text()
            if response.status >= _BAD_REQUEST:
                self._checkpoint = None  # it may have been removed: ask again next time
                raise DrawingFailed(f"ComfyUI refused the workflow ({_reason(text)})")
        return str(json.loads(text)["prompt_id"])

    async def _finished(self, ticket: str) -> dict[str, str]:
        """Where the image of a ticket is, once it is drawn."""
        tries = 0
        while True:
            async with self.circuit.call(), self._get(f"/history/{ticket}") as response:
                told = (await response.json()).get(ticket)
            if told is not None and (image := _image(told)) is not None:
                return image
            await asyncio.sleep(_POLL_SECONDS[min(tries // 5, len(_POLL_SECONDS) - 1)])
            tries += 1

    @asynccontextmanager
    async def _get(
        self, path: str, params: Mapping[str, str] | None = None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        async with self._session.get(self._url + path, params=params) as response:
            _check(response)
            if response.status >= _BAD_REQUEST:
                raise DrawingFailed(f"ComfyUI answered {response.status} to {path.split('/')[1]}")
            yield response


def _check(response: aiohttp.ClientResponse) -> None:
    if response.status >= _SERVER_ERROR:
        raise Away("images", f"status {response.status}")


def _reason(text: str) -> str:
    try:
        reason = str(json.loads(text)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        reason = text
    return reason[:_SHOWN_CHARACTERS]


def _image(told: Mapping[str, Any]) -> dict[str, str] | None:
    """The image of a finished ticket; None while it is drawn."""
    status = told.get("status") or {}
    if status.get("status_str") == "error":
        raise DrawingFailed(f"ComfyUI failed ({_failure(status)})")
    images = told.get("outputs", {}).get(_SAVE_NODE, {}).get("images") or []
    if images:
        return {name: str(images[0].get(name, "")) for name in ("filename", "subfolder", "type")}
    if status.get("completed"):
        raise DrawingFailed("ComfyUI finished without an image")
    return None


def _failure(status: Mapping[str, Any]) -> str:
    for kind, detail in status.get("messages") or []:
        if kind == "execution_error":
            return str(detail.get("exception_message", ""))[:_SHOWN_CHARACTERS].strip()
    return "it did not say why"
