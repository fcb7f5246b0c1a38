"""The stand-in as a role: it knows no key but the one that the consumers have."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import uvicorn

from services.fixai.gemini.app import application
from services.fixai.roles import stopped_by
from services.fixai.settings import Settings, SettingsError


async def role(settings: Settings, stop: asyncio.Event) -> None:
    """Serve until told to stop."""
    key = ""
    with suppress(SettingsError):  # without the secret any key will do: there is nothing to guard
        key = settings.secrets.read("llm", "api-key")
    told = settings.listen
    config = uvicorn.Config(
        application(key), host=told.host, port=told.port, access_log=False, log_config=None
    )
    server = uvicorn.Server(config)

    def leave() -> None:
        server.should_exit = True

    async with stopped_by(stop, leave):
        await server.serve()
