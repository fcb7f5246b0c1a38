"""Whether a site's sandbox can run here."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from inventory.errors import HearthError
from inventory.loading import load


def why_not(site_file: Path, how: str) -> str:
    """Why the lab cannot run here; empty where it can.

    Args:
        site_file: the lab's.
        how: what to run as root instead, for the message.
    """
    if sys.platform != "linux" or os.geteuid() != 0:
        return f"the sandbox needs Linux and root: run `{how}` as root"
    from hearth.labs import lab_of  # noqa: PLC0415 - Linux only
    from sandbox import requirements  # noqa: PLC0415

    try:
        plan = lab_of(load(str(site_file))).plan
        if requirements.missing_packages(plan):
            requirements.install(plan, print)
        requirements.require(plan)
    except HearthError as error:
        return str(error)
    return ""
