"""The last of a lab's life: it grows by a board, as the how-to tells word for word, and goes."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from inventory.paths import PROJECT
from tests.e2e.conftest import SITE_FILE, UP_SECONDS, Lab, Ran, run

pytestmark = pytest.mark.e2e

Up = tuple[Lab, Ran, dict[str, Any]]
PAGE = PROJECT / "docs/how-to/add-a-board.md"
MINE = PROJECT / "inventory/sites/mine.yaml"
BLOCK = re.compile(r"^```(yaml|sh)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture
def told() -> Iterator[list[tuple[str, str]]]:
    """The page's blocks, by kind, of this lab instead of the sandbox."""
    if MINE.exists():
        pytest.skip(f"{MINE} is somebody's own site")
    page = PAGE.read_text()
    for theirs, ours in (
        ("extends: sandbox", f"extends: {SITE_FILE.with_suffix('')}"),
        (".hearth/sandbox/", ".hearth/e2e/"),
    ):
        assert theirs in page
        page = page.replace(theirs, ours)
    yield BLOCK.findall(page)
    MINE.unlink()


def test_a_board_is_added_as_it_is_told(lab: Up, told: list[tuple[str, str]]) -> None:
    it = lab[0]
    containers = "docker ps --no-trunc --format '{{.ID}}'"
    before = {name: it.ssh(name, containers) for name in it.site.hosts}
    (site,) = (text for kind, text in told if kind == "yaml")
    MINE.write_text(site)
    commands = [line for kind, text in told if kind == "sh" for line in text.splitlines()]
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"  # as `activate` has it
    said = {}
    for command in commands:
        ran = run(["sh", "-c", command], timeout=UP_SECONDS, env={"PATH": path})
        assert ran.code == 0, f"{command}\n{ran.output}"
        said[command] = ran.output
    assert "pi42" in said["hearth check mine"]
    assert "8 machines, 0 errors, 0 warnings" in said["hearth doctor mine"]
    assert "1 machines" in said["hearth bootstrap mine --limit pi42"]
    greeting, models = (out for command, out in said.items() if command.startswith("ssh"))
    assert "pi42: Raspberry Pi 4 (2 GB), edge of e2e" in greeting
    assert "qwen2.5:0.5b" in models
    assert "e2e: pass" in said["hearth up mine"]
    assert {name: it.ssh(name, containers) for name in it.site.hosts} == before


def test_down_leaves_no_trace(lab: Up) -> None:
    ran = lab[0].hearth("down", str(SITE_FILE), timeout=120)
    assert ran.code == 0, ran.output
    assert "hearth.e2e" not in run(["ip", "netns"], timeout=10).output
    mounted = Path("/proc/self/mountinfo").read_text()
    assert not [name for name in ("hearth.e2e", "hearth/e2e") if name in mounted]
    assert not Path("/run/hearth/e2e").exists()
    assert not Path("/var/lib/hearth/e2e").exists()
    assert not (PROJECT / ".hearth/e2e").exists()
    assert not (PROJECT / "stacks/Pulumi.e2e.yaml").exists()
    commands = (c.read_bytes() for c in Path("/proc").glob("[0-9]*/cmdline") if c.exists())
    assert not [c for c in commands if b"hearth.e2e" in c or b"hearth/e2e" in c]
