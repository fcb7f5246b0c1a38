"""What the language model is told: a file a task; a report's own words are never part of it."""

from __future__ import annotations

from functools import cache
from pathlib import Path


@cache
def prompt(task: str) -> str:
    """The instructions of a task."""
    return Path(__file__).with_name(f"{task}.txt").read_text(encoding="utf-8")
