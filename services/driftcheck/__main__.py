"""Run the drift check: `python -m services.driftcheck`."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path

from aiohttp import web

from services.driftcheck import settings
from services.driftcheck.app import DriftCheck, application


def main() -> int:
    """Serve until told to stop; the exit code."""
    logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(levelname)s %(message)s")
    try:
        check = DriftCheck(Path(os.environ.get(settings.ENVIRONMENT, settings.DEFAULT_PATH)))
    except settings.SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    web.run_app(application(check), port=check.settings.port, access_log=None, print=None)
    return 0


if __name__ == "__main__":
    sys.exit(main())
