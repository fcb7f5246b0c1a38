"""Images: drawn, kept, shown; or a clear word about what is away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.services.assistants import Lab, Node
from tests.services.fakes import PNG, FakeBucket, FakeComfyUI, FakeOllama
from tests.services.servers import Postgres


@asynccontextmanager
async def _studio(lab: Lab, comfyui: FakeComfyUI, bucket: FakeBucket) -> AsyncIterator[Node]:
    ollama = FakeOllama()
    async with ollama.running(), comfyui.running(), bucket.running():
        lab.told["images"] = {"url": comfyui.url}
        keys = {"access_key": "key-id", "secret_key": "key", "region": "us-east-1"}
        lab.told["objects"] = {"endpoint": bucket.url, "bucket": "pictures", **keys}
        async with lab.assistant(ollama, "orin0.assistant") as node:
            yield node


def test_an_image_is_drawn_kept_written_down_and_shown(
    lab: Lab, cluster: Postgres, database: str
) -> None:
    async def check() -> None:
        comfyui, bucket = FakeComfyUI(), FakeBucket()
        lab.with_database(cluster, database)
        async with _studio(lab, comfyui, bucket) as node:
            wish = {"prompt": "a hearth", "negative": "smoke", "width": 256, "height": 128}
            reply = await node.post("/api/v1/image", {**wish, "steps": 4, "seed": 42})
            told = reply.json
            assert reply.status == 200
            assert told["url"] == f"/api/v1/image/{told['id']}"
            assert (told["width"], told["height"], told["seed"]) == (256, 128, 42)
            assert 0 < told["seconds"] < 10
            assert bucket.objects == {f"/pictures/images/{told['id']}.png": PNG}
            first = 'assistant_first_token_seconds_count{model="sd15.safetensors",route="image"}'
            assert await node.figure(first) == 1
            shown = await node.get(told["url"])
            assert (shown.body, shown.headers["Content-Type"]) == (PNG, "image/png")
            assert await node.parts.recorder.settle(5)
        connection = await cluster.connect(database)
        row = await connection.fetchrow("SELECT * FROM generated_images")
        assert row is not None
        assert (row["prompt"], row["negative"], row["seed"]) == ("a hearth", "smoke", 42)
        assert (row["checkpoint"], row["size_bytes"]) == ("sd15.safetensors", len(PNG))
        usage = await connection.fetchrow("SELECT route, requests, errors FROM api_usage")
        assert usage is not None
        assert tuple(usage) == ("image", 1, 0)
        await connection.close()

    asyncio.run(check())


def test_the_workflow_is_comfyuis_text_to_image(lab: Lab) -> None:
    async def check() -> None:
        comfyui = FakeComfyUI()
        async with _studio(lab, comfyui, FakeBucket()) as node:
            wish = {"prompt": "yes", "negative": "no", "width": 256, "height": 128}
            await node.post("/api/v1/image", {**wish, "steps": 4, "seed": 42})
        [graph] = comfyui.graphs
        kinds = {part["class_type"]: part["inputs"] for part in graph.values()}
        assert set(kinds) == {
            *("CheckpointLoaderSimple", "CLIPTextEncode", "EmptyLatentImage"),
            *("KSampler", "VAEDecode", "SaveImage"),
        }
        sampler = kinds["KSampler"]
        assert (sampler["seed"], sampler["steps"]) == (42, 4)
        assert graph[sampler["positive"][0]]["inputs"]["text"] == "yes"
        assert graph[sampler["negative"][0]]["inputs"]["text"] == "no"
        assert kinds["EmptyLatentImage"] == {"width": 256, "height": 128, "batch_size": 1}
        assert kinds["CheckpointLoaderSimple"] == {"ckpt_name": "sd15.safetensors"}
        assert graph[kinds["SaveImage"]["images"][0]]["class_type"] == "VAEDecode"

    asyncio.run(check())


def test_without_a_seed_each_image_has_its_own(lab: Lab) -> None:
    async def check() -> None:
        async with _studio(lab, FakeComfyUI(), FakeBucket()) as node:
            seeds = {(await node.post("/api/v1/image", {"prompt": "x"})).json["seed"] for _ in "ab"}
            assert len(seeds) == 2

    asyncio.run(check())


@pytest.mark.parametrize(
    ("wish", "error"),
    [
        ({}, "prompt: Field required"),
        ({"prompt": "x", "width": 70}, "width: Input should be a multiple of 8"),
        ({"prompt": "x", "steps": 0}, "steps: Input should be greater than or equal to 1"),
        ({"prompt": "x", "sede": 1}, "sede: Extra inputs are not permitted"),
    ],
)
def test_a_wrong_wish_is_told_what_is_wrong(lab: Lab, wish: dict[str, Any], error: str) -> None:
    async def check() -> None:
        async with _studio(lab, FakeComfyUI(), FakeBucket()) as node:
            reply = await node.post("/api/v1/image", wish)
            assert (reply.status, reply.json) == (400, {"error": error})

    asyncio.run(check())


def test_an_away_bucket_is_told_before_anything_is_drawn(lab: Lab) -> None:
    async def check() -> None:
        comfyui, bucket = FakeComfyUI(), FakeBucket(refuses=True)
        async with _studio(lab, comfyui, bucket) as node:
            reply = await node.post("/api/v1/image", {"prompt": "x"})
            assert reply.status == 503
            assert int(reply.headers["Retry-After"]) >= 1
            assert reply.json == {"error": "objects is away (status 403); try again later"}
            assert comfyui.graphs == []
            ready = (await node.get("/ready")).json
            assert ready["degraded"] == {"objects": "status 403"}

    asyncio.run(check())


def test_an_away_comfyui_is_told(lab: Lab) -> None:
    async def check() -> None:
        comfyui = FakeComfyUI()
        async with _studio(lab, FakeComfyUI(), FakeBucket()) as node:
            assert node.parts.comfyui is not None
            async with comfyui.running():
                pass
            node.parts.comfyui._url = comfyui.url
            reply = await node.post("/api/v1/image", {"prompt": "x"})
            assert reply.status == 503
            assert "Retry-After" in reply.headers
            assert reply.json["error"].startswith("images is away (ClientConnectorError)")

    asyncio.run(check())


def test_what_comfyui_could_not_draw_is_told_with_its_words(lab: Lab) -> None:
    async def check() -> None:
        async with _studio(lab, FakeComfyUI(failure="out of memory"), FakeBucket()) as node:
            reply = await node.post("/api/v1/image", {"prompt": "x"})
            assert reply.status == 502
            assert reply.json["error"].startswith("ComfyUI failed (out of memory)")
        async with _studio(lab, FakeComfyUI(refuses=True), FakeBucket()) as node:
            reply = await node.post("/api/v1/image", {"prompt": "x"})
            assert reply.status == 502
            assert "refused the workflow (Value not in list)" in reply.json["error"]
        async with _studio(lab, FakeComfyUI(checkpoints=[]), FakeBucket()) as node:
            reply = await node.post("/api/v1/image", {"prompt": "x"})
            assert "has no checkpoint" in reply.json["error"]

    asyncio.run(check())


def test_where_nothing_draws_the_answer_says_so(lab: Lab) -> None:
    async def check() -> None:
        ollama = FakeOllama()
        async with ollama.running(), lab.assistant(ollama) as node:
            reply = await node.post("/api/v1/image", {"prompt": "x"})
            assert reply.status == 501
            assert reply.json["error"].startswith("agx0.assistant draws no images")

    asyncio.run(check())


def test_an_image_that_is_not_there_is_404_and_a_wrong_id_400(lab: Lab) -> None:
    async def check() -> None:
        async with _studio(lab, FakeComfyUI(), FakeBucket()) as node:
            absent = await node.get("/api/v1/image/00000000-0000-4000-8000-000000000000")
            assert absent.status == 404
            assert (await node.get("/api/v1/image/x")).status == 400

    asyncio.run(check())
