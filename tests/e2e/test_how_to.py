"""The how-to "Add a board" holds when it is followed word for word."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from inventory.paths import PROJECT
from tests.e2e.conftest import HEARTH, UP_SECONDS, run

pytestmark = pytest.mark.e2e

PAGE = PROJECT / "docs/how-to/add-a-board.md"
SITE_FILE = PROJECT / "inventory/sites/mine.yaml"
BLOCK = re.compile(r"^```(yaml|sh)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture
def told() -> Iterator[list[tuple[str, str]]]:
    """The page's blocks, by kind; the lab that they make is gone afterwards."""
    if SITE_FILE.exists():
        pytest.skip(f"{SITE_FILE} is somebody's own site")
    yield BLOCK.findall(PAGE.read_text())
    run([HEARTH, "down", "mine"], timeout=120)
    SITE_FILE.unlink()


def test_adding_a_board_works_as_it_is_told(told: list[tuple[str, str]]) -> None:
    (site,) = (text for kind, text in told if kind == "yaml")
    SITE_FILE.write_text(site)
    commands = [line for kind, text in told if kind == "sh" for line in text.splitlines()]
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"  # as `activate` has it
    said = {}
    for command in commands:
        ran = run(["sh", "-c", command], timeout=UP_SECONDS, env={"PATH": path})
        assert ran.code == 0, f"{command}\n{ran.output}"
        said[command] = ran.output
    assert "pi42" in said["hearth check mine"]
    assert "1 machines" in said["hearth bootstrap mine --limit pi42"]
    greeting, models = (out for command, out in said.items() if command.startswith("ssh"))
    assert "pi42: Raspberry Pi 4 (2 GB), edge of mine" in greeting
    assert "qwen2.5:0.5b" in models
    assert "mine: pass" in said["hearth up mine"]
