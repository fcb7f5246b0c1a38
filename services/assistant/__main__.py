"""Run the assistant: `python -m services.assistant`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import uvicorn

from services.assistant import logs, settings
from services.assistant.app import Assistant

# Streams that still run after this are cut and stored as truncated.
_FAREWELL_SECONDS = 30


def main() -> int:
    """Serve until told to stop; the exit code."""
    path = Path(os.environ.get(settings.ENVIRONMENT, settings.DEFAULT_PATH))
    try:
        told = settings.load(path)
    except settings.SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    logs.to_stdout()
    uvicorn.run(
        Assistant(told),
        host=told.listen.host,
        port=told.listen.port,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=_FAREWELL_SECONDS,
        lifespan="on",
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
