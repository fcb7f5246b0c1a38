"""Where Hearth keeps its files: a cache per user, and a state folder in the checkout."""

from __future__ import annotations

import os
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent


def cache_dir() -> Path:
    """The per-user cache of what was downloaded or built: HEARTH_CACHE, else XDG's.

    Deleting it costs time, never data.
    """
    if override := os.environ.get("HEARTH_CACHE"):
        return Path(override)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hearth"


def state_dir(site_name: str) -> Path:
    """A site's local files (ssh configuration, certificates), inside the checkout."""
    return PROJECT / ".hearth" / site_name
