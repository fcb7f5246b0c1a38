"""Targets beside HTTP: each against a server of its kind."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import pytest
from aiohttp import WSMsgType, web

from services.s3 import Keys as ServiceKeys
from services.s3 import signed as signed_by_the_service
from smoke.load.postgres import PostgresTarget
from smoke.load.resp import RedisTarget
from smoke.load.s3 import Keys, S3Target, signed
from smoke.load.sample import Sample, Target
from smoke.load.websocket import WebSocketTarget
from tests.ports import free_port
from tests.services.servers import OWNER, Postgres, RedisServer

KEYS = Keys("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")


async def ask(target: Target, count: int, *, at_once: bool = False) -> list[Sample]:
    """So many requests to a target, opened and closed around them."""
    now = asyncio.get_running_loop().time()
    await target.open()
    try:
        if at_once:
            return list(await asyncio.gather(*(target.request(now) for _ in range(count))))
        return [await target.request(now) for _ in range(count)]
    finally:
        await target.close()


def outcomes(samples: list[Sample]) -> list[str]:
    return [sample.outcome for sample in samples]


def statement(
    server: Postgres, text: str, *arguments: object, timeout_s: float = 10
) -> PostgresTarget:
    uri = f"postgresql://{OWNER}@127.0.0.1:{server.port}/postgres"
    return PostgresTarget(uri, text, arguments=arguments, connections=2, timeout_s=timeout_s)


def test_postgresql_answers_a_statement_with_arguments(postgres: Postgres) -> None:
    target = statement(postgres, "SELECT generate_series(1, $1::int)", 100)
    samples = asyncio.run(ask(target, 5))
    assert outcomes(samples) == ["complete"] * 5
    assert all(sample.due <= sample.sent <= sample.ended for sample in samples)


def test_a_statement_that_postgresql_turns_down_is_refused(postgres: Postgres) -> None:
    [sample] = asyncio.run(ask(statement(postgres, "SELECT missing"), 1))
    assert sample.outcome == "refused"
    assert 'column "missing" does not exist' in sample.fault


def test_waiting_for_a_connection_of_postgresql_is_part_of_the_answer(postgres: Postgres) -> None:
    target = statement(postgres, "SELECT pg_sleep(0.2)")
    samples = asyncio.run(ask(target, 4, at_once=True))
    took = sorted(sample.ended - sample.sent for sample in samples)
    assert outcomes(samples) == ["complete"] * 4
    assert took[-1] >= 0.4  # two connections: the third waits for one of the first


def test_postgresql_that_takes_too_long_times_out(postgres: Postgres) -> None:
    [sample] = asyncio.run(ask(statement(postgres, "SELECT pg_sleep(9)", timeout_s=0.3), 1))
    assert (sample.outcome, sample.fault) == ("timed out", "no end within 0.3 s")


def test_postgresql_that_ends_a_session_is_unreachable(postgres: Postgres) -> None:
    target = statement(postgres, "SELECT pg_terminate_backend(pg_backend_pid())")
    [sample] = asyncio.run(ask(target, 1))
    assert sample.outcome == "unreachable"


def test_postgresql_that_is_not_there_cannot_be_opened() -> None:
    nowhere = Postgres(data=None, port=free_port())  # type: ignore[arg-type]
    with pytest.raises(OSError, match="Connect call failed"):
        asyncio.run(ask(statement(nowhere, "SELECT 1"), 1))


def test_redis_answers_a_command(redis_server: RedisServer) -> None:
    target = RedisTarget("127.0.0.1", redis_server.port, ("SET", "a", b"\r\n\0"))
    samples = asyncio.run(ask(target, 3))
    assert outcomes(samples) == ["complete"] * 3
    assert [sample.reused for sample in samples] == [False, True, True]

    async def stored() -> object:
        client = redis_server.client()
        try:
            return await client.get("a")
        finally:
            await client.aclose()

    assert asyncio.run(stored()) == b"\r\n\0"


@pytest.mark.parametrize(
    "command",
    [("PING",), ("GET", "missing"), ("STRLEN", "a"), ("COMMAND", "INFO", "GET"), ("TIME",)],
    ids=["a status", "nothing", "a number", "nested lists", "a list"],
)
def test_every_kind_of_reply_is_read_to_its_end(
    redis_server: RedisServer, command: tuple[str, ...]
) -> None:
    target = RedisTarget("127.0.0.1", redis_server.port, command, timeout_s=5)
    samples = asyncio.run(ask(target, 3))
    assert outcomes(samples) == ["complete"] * 3
    assert samples[-1].reused


def test_a_command_that_redis_does_not_know_is_refused(redis_server: RedisServer) -> None:
    [sample] = asyncio.run(ask(RedisTarget("127.0.0.1", redis_server.port, ("NONE",)), 1))
    assert sample.outcome == "refused"
    assert "ERR unknown command" in sample.fault


def test_redis_with_a_password_lets_in_who_has_it(redis_server: RedisServer) -> None:
    async def scenario() -> list[list[str]]:
        client = redis_server.client()
        await client.config_set("requirepass", "correct")
        await client.aclose()
        return [
            outcomes(
                await ask(RedisTarget("127.0.0.1", redis_server.port, ("PING",), password=word), 1)
            )
            for word in ("correct", "wrong", "")
        ]

    assert asyncio.run(scenario()) == [["complete"], ["refused"], ["refused"]]


def test_redis_that_is_not_there_is_unreachable() -> None:
    [sample] = asyncio.run(ask(RedisTarget("127.0.0.1", free_port(), ("PING",)), 1))
    assert sample.outcome == "unreachable"


async def with_app(
    handler: Callable[[web.Request], Awaitable[web.StreamResponse]],
    use: Callable[[int], Awaitable[list[Sample]]],
) -> list[Sample]:
    """What `use` makes of the port of such a server."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app, shutdown_timeout=0)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return await use(int(runner.addresses[0][1]))
    finally:
        await runner.cleanup()


async def echo(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    async for message in socket:
        if message.type is not WSMsgType.TEXT or message.data == "go away":
            break
        await asyncio.sleep(0.05)
        await socket.send_str(message.data)
    await socket.close()
    return socket


async def turn_down(_request: web.Request) -> web.Response:
    return web.Response(status=403)


def test_a_websocket_answers_message_by_message_over_one_connection() -> None:
    async def use(port: int) -> list[Sample]:
        return await ask(WebSocketTarget(f"ws://127.0.0.1:{port}/", "hello"), 3)

    samples = asyncio.run(with_app(echo, use))
    assert outcomes(samples) == ["complete"] * 3
    assert [sample.reused for sample in samples] == [False, True, True]
    assert all(sample.ended - sample.sent >= 0.05 for sample in samples)


def test_a_websocket_that_closes_instead_of_answering_is_unreachable() -> None:
    async def use(port: int) -> list[Sample]:
        return await ask(WebSocketTarget(f"ws://127.0.0.1:{port}/", "go away"), 1)

    [sample] = asyncio.run(with_app(echo, use))
    assert sample.outcome == "unreachable"
    assert "closed the connection without an answer" in sample.fault


def test_a_server_that_wants_no_websocket_refuses() -> None:
    async def use(port: int) -> list[Sample]:
        return await ask(WebSocketTarget(f"ws://127.0.0.1:{port}/", "hello"), 1)

    [sample] = asyncio.run(with_app(turn_down, use))
    assert sample.outcome == "refused"


def test_objects_are_signed_as_the_labs_own_services_sign_them() -> None:
    at = datetime(2013, 5, 24, tzinfo=UTC)
    ours = signed(KEYS, "PUT", "http://pi51:9000/bucket/load/0", b"data", at)
    theirs = signed_by_the_service(
        ServiceKeys(KEYS.access_key, KEYS.secret_key, KEYS.region),
        "PUT",
        "/bucket/load/0",
        headers={"Host": "pi51:9000"},
        payload_sha256=ours["x-amz-content-sha256"],
        at=at,
    )
    assert ours["Authorization"] == theirs["Authorization"]


def test_keys_do_not_tell_their_secret() -> None:
    assert KEYS.secret_key not in repr(KEYS)


def test_objects_are_put_and_fetched_one_after_the_other() -> None:
    stored: dict[str, bytes] = {}

    async def bucket(request: web.Request) -> web.Response:
        if request.method == "PUT":
            stored[request.path] = await request.read()
            return web.Response()
        found = stored.get(request.path)
        return web.Response(status=404) if found is None else web.Response(body=found)

    async def use(port: int) -> list[Sample]:
        origin = f"http://127.0.0.1:{port}"
        put = S3Target(origin, "photos", KEYS, operation="PUT", objects=2, size=10)
        get = S3Target(origin, "photos", KEYS, operation="GET", objects=3)
        return [*await ask(put, 3), *await ask(get, 3)]

    samples = asyncio.run(with_app(bucket, use))
    assert outcomes(samples) == ["complete"] * 5 + ["refused"]
    assert samples[-1].status == 404
    assert stored == {"/photos/load/0": bytes(10), "/photos/load/1": bytes(10)}
