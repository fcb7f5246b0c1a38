"""The stand-in for ComfyUI: it speaks ComfyUI's words, and draws what can be looked at."""

from __future__ import annotations

import asyncio
import struct
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from services.assistant.comfyui import ComfyUI, DrawingFailed, Sketch, workflow
from services.standins.comfyui import Studio, application, options
from services.standins.graph import CHECKPOINT
from services.standins.picture import Wish, png
from tests.services.assistants import eventually
from tests.services.fakes import served

SKETCH = Sketch("a hearth", "smoke", width=256, height=128, steps=3, seed=42)


@asynccontextmanager
async def _studio(
    home: Path, step_seconds: float = 0.0
) -> AsyncIterator[tuple[str, aiohttp.ClientSession]]:
    async with (
        served(application(Studio(home, step_seconds))) as url,
        aiohttp.ClientSession() as session,
    ):
        yield url, session


async def _ask(session: aiohttp.ClientSession, url: str) -> Any:
    async with session.get(url) as response:
        assert response.status == 200
        return await response.json()


async def _post(session: aiohttp.ClientSession, url: str, body: Any) -> tuple[int, Any]:
    async with session.post(url, json=body) as response:
        return response.status, await response.json()


def pixels(content: bytes) -> tuple[int, int, bytes]:
    """Width, height, and the rows of a PNG of unfiltered RGB; every checksum is looked at."""
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    chunks: dict[bytes, bytes] = {}
    rest = content[8:]
    while rest:
        size = struct.unpack(">I", rest[:4])[0]
        kind, data = rest[4:8], rest[8 : 8 + size]
        assert struct.unpack(">I", rest[8 + size : 12 + size])[0] == zlib.crc32(kind + data)
        chunks[kind] = data
        rest = rest[12 + size :]
    width, height, depth, colour = struct.unpack(">IIBB", chunks[b"IHDR"][:10])
    assert (depth, colour) == (8, 2)
    assert b"IEND" in chunks
    return width, height, zlib.decompress(chunks[b"IDAT"])


def test_the_assistant_draws_with_it(tmp_path: Path) -> None:
    async def check() -> None:
        async with _studio(tmp_path) as (url, session):
            comfyui = ComfyUI(session, url)
            await comfyui.probe()
            assert await comfyui.checkpoint() == CHECKPOINT
            first, second = await comfyui.draw(SKETCH), await comfyui.draw(SKETCH)
        assert first == second
        width, height, rows = pixels(first)
        assert (width, height, len(rows)) == (256, 128, 128 * (1 + 256 * 3))
        assert b"Hearth's stand-in for ComfyUI" in first

    asyncio.run(check())
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "assistant_00001_.png",
        "assistant_00002_.png",
    ]


@pytest.mark.parametrize("change", [{"prompt": "ice"}, {"negative": "fog"}, {"seed": 43}])
def test_another_text_or_seed_is_another_picture(change: dict[str, Any]) -> None:
    wish = {"prompt": "a hearth", "negative": "smoke", "seed": 42, "width": 64, "height": 64}

    assert pixels(png(Wish(**wish), {})) != pixels(png(Wish(**{**wish, **change}), {}))  # type: ignore[arg-type]


def test_a_graph_with_a_fault_is_refused_in_comfyuis_words(tmp_path: Path) -> None:
    async def check() -> None:
        async with _studio(tmp_path) as (url, session):
            faulty = workflow(SKETCH, "none.safetensors")
            faulty["3"]["inputs"]["steps"] = 0
            faulty["8"]["inputs"]["samples"] = ["4", 0]
            del faulty["9"]["inputs"]["images"]
            status, told = await _post(session, f"{url}/prompt", {"prompt": faulty})
            assert status == 400
            assert told["error"]["type"] == "prompt_outputs_failed_validation"
            errors = {n: [e["type"] for e in f["errors"]] for n, f in told["node_errors"].items()}
            assert errors == {
                "4": ["value_not_in_list"],
                "3": ["value_smaller_than_min"],
                "8": ["return_type_mismatch"],
                "9": ["required_input_missing"],
            }
            assert told["node_errors"]["4"]["errors"][0]["details"].startswith(
                "ckpt_name, 'none.safetensors' not in ["
            )
            with pytest.raises(DrawingFailed, match="Prompt outputs failed validation"):
                await ComfyUI(session, url)._submit(faulty)

    asyncio.run(check())


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        (None, "Prompt has no outputs"),
        ({}, "Prompt has no outputs"),
        ({"1": {"class_type": "Nope", "inputs": {}}}, "Cannot execute because node Nope does not"),
        ({"1": {"class_type": ["x"], "inputs": {}}}, "Cannot execute because node ['x'] does not"),
        (
            {"1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": CHECKPOINT}}},
            "Prompt has no outputs",
        ),
    ],
)
def test_what_is_no_graph_is_refused(tmp_path: Path, prompt: Any, message: str) -> None:
    async def check() -> None:
        async with _studio(tmp_path) as (url, session):
            status, told = await _post(session, f"{url}/prompt", {"prompt": prompt})
            assert status == 400
            assert told["error"]["message"].startswith(message)

    asyncio.run(check())


def test_graphs_are_drawn_one_at_a_time_and_listed(tmp_path: Path) -> None:
    async def check() -> None:
        async with _studio(tmp_path, step_seconds=0.05) as (url, session):
            body = {"prompt": workflow(SKETCH, CHECKPOINT)}
            tickets = [(await _post(session, f"{url}/prompt", body))[1] for _ in "abc"]
            assert [ticket["number"] for ticket in tickets] == [1, 2, 3]
            await asyncio.sleep(0.02)
            queue = await _ask(session, f"{url}/queue")
            first, *waiting = (ticket["prompt_id"] for ticket in tickets)
            assert [listed[1] for listed in queue["queue_running"]] == [first]
            assert [listed[1] for listed in queue["queue_pending"]] == waiting
            assert await _ask(session, f"{url}/history/{first}") == {}
            assert (await _ask(session, f"{url}/prompt"))["exec_info"]["queue_remaining"] == 3

            async def drawn() -> bool:
                return len(await _ask(session, f"{url}/history")) == 3

            await eventually(drawn)
            told = (await _ask(session, f"{url}/history/{first}"))[first]
            assert told["status"]["status_str"] == "success"
            assert told["outputs"]["9"]["images"][0]["type"] == "output"

    asyncio.run(check())


def test_a_listener_hears_how_its_graph_gets_on(tmp_path: Path) -> None:
    async def check() -> list[dict[str, Any]]:
        heard = []
        async with (
            _studio(tmp_path) as (url, session),
            session.ws_connect(f"{url}/ws?clientId=ada") as socket,
            asyncio.timeout(10),
        ):
            body = {"prompt": workflow(SKETCH, CHECKPOINT), "client_id": "ada"}
            await _post(session, f"{url}/prompt", body)
            async for message in socket:
                heard.append(message.json())
                if heard[-1] == {"type": "status", "data": heard[-1]["data"]} and len(heard) > 3:
                    break
        return heard

    heard = asyncio.run(check())
    kinds = [message["type"] for message in heard]
    assert (kinds[0], heard[0]["data"]["sid"]) == ("status", "ada")
    said = [kind for kind in kinds if kind != "status"]
    assert said[:2] == ["execution_start", "execution_cached"]
    assert said[-3:] == ["executed", "execution_success", "executing"]
    assert said.count("progress") == SKETCH.steps
    assert [m["data"]["node"] for m in heard if m["type"] == "executing"][-1] is None


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("filename=../secret", 400),
        ("filename=", 400),
        ("filename=x.png&subfolder=..", 400),
        ("filename=x.png", 404),
    ],
)
def test_only_images_are_shown(tmp_path: Path, query: str, status: int) -> None:
    async def check() -> None:
        (tmp_path / "output").mkdir()
        (tmp_path / "secret").write_text("x")
        async with (
            _studio(tmp_path / "output") as (url, session),
            session.get(f"{url}/view?{query}") as response,
        ):
            assert response.status == status

    asyncio.run(check())


def test_an_image_that_cannot_be_kept_is_told(tmp_path: Path) -> None:
    async def check() -> None:
        async with _studio(tmp_path / "none") as (url, session):
            with pytest.raises(DrawingFailed, match="No such file or directory"):
                await ComfyUI(session, url).draw(SKETCH)

    asyncio.run(check())


def test_it_takes_the_command_line_of_the_real_one() -> None:
    told = options(
        [
            *("--listen", "192.0.2.1", "--port", "7860"),
            *("--output-directory", "/out", "--disable-all-custom-nodes"),
        ]
    )

    assert (told.listen, told.port, told.output_directory) == ("192.0.2.1", 7860, Path("/out"))
