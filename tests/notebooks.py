"""What a person does in JupyterHub: logs in, starts their server, runs a cell of a notebook."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from uuid import uuid4

import aiohttp
from yarl import URL

SECONDS = 90


class NotAdmittedError(Exception):
    """The hub did not log somebody in."""


async def run_cell(url: str, user: str, password: str, code: str) -> str:
    """What a cell prints, or its result.

    Args:
        url: the hub's.
        user: who logs in.
        password: theirs.
        code: of the cell.

    Raises:
        NotAdmittedError: it is not their password.
    """
    jar = aiohttp.CookieJar(unsafe=True)  # of a server without a name
    timeout = aiohttp.ClientTimeout(total=SECONDS)
    async with aiohttp.ClientSession(cookie_jar=jar, timeout=timeout) as session:
        await _log_in(session, url, user, password)
        await _start(session, url, user)
        home = f"{url}/user/{user}"
        token = {"X-XSRFToken": jar.filter_cookies(URL(f"{home}/"))["_xsrf"].value}
        async with session.post(f"{home}/api/kernels", headers=token, json={}) as response:
            assert response.status == 201, await response.text()
            kernel = (await response.json())["id"]
        try:
            channel = f"{home}/api/kernels/{kernel}/channels".replace("http", "ws", 1)
            async with session.ws_connect(channel, headers={"Origin": url}) as socket:
                return await asyncio.wait_for(_execute(socket, code), SECONDS)
        finally:
            await session.delete(f"{home}/api/kernels/{kernel}", headers=token)


async def _log_in(session: aiohttp.ClientSession, url: str, user: str, password: str) -> None:
    async with session.get(f"{url}/hub/login") as response:
        assert response.status == 200
    token = session.cookie_jar.filter_cookies(URL(f"{url}/hub/"))["_xsrf"].value
    form = {"username": user, "password": password, "_xsrf": token}
    async with session.post(f"{url}/hub/login", data=form, allow_redirects=False) as response:
        if response.status != 302:
            raise NotAdmittedError(f"{user}: {response.status}")


async def _start(session: aiohttp.ClientSession, url: str, user: str) -> None:
    """Their server, started where it does not run; its page hands on what it is asked with."""
    async with session.get(f"{url}/hub/spawn/{user}") as response:
        await response.read()
    async with asyncio.timeout(SECONDS):
        while True:
            async with session.get(f"{url}/user/{user}/lab") as response:
                if response.status == 200 and response.url.path == f"/user/{user}/lab":
                    return
            await asyncio.sleep(0.5)


async def _execute(socket: aiohttp.ClientWebSocketResponse, code: str) -> str:
    asked = uuid4().hex
    await socket.send_json(_request(asked, code))
    said = ""
    while True:
        message = json.loads(await socket.receive_str())
        if message["parent_header"].get("msg_id") != asked:
            continue
        kind, content = message["msg_type"], message["content"]
        if kind == "stream":
            said += content["text"]
        elif kind == "execute_result":
            said += content["data"]["text/plain"]
        elif kind == "error":
            said += f"{content['ename']}: {content['evalue']}"
        elif kind == "status" and content["execution_state"] == "idle":
            return said


def _request(number: str, code: str) -> dict[str, Any]:
    """An `execute_request` of Jupyter's messages."""
    header = {
        "msg_id": number,
        "msg_type": "execute_request",
        "session": number,
        "username": "test",
        "version": "5.3",
    }
    content = {"code": code, "silent": False, "store_history": False, "allow_stdin": False}
    return {
        "header": header,
        "parent_header": {},
        "metadata": {},
        "content": content,
        "channel": "shell",
        "buffers": [],
    }
