"""Off a terminal a step is two plain lines, and little between them."""

from __future__ import annotations

import pytest

from hearth import console
from hearth.console import out, step
from inventory.errors import HearthError


@pytest.fixture(autouse=True)
def _off_a_terminal() -> None:
    assert not out.is_terminal


def test_a_step_says_that_it_starts_what_came_of_it_and_how_long_it_took(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with step("pulumi up") as progress:
        progress.summary = "3 created"
    started, done = capsys.readouterr().out.splitlines()
    assert started == "  pulumi up ..."
    assert done.startswith("ok  pulumi up: 3 created (0.")
    assert done.endswith(" s)")


def test_a_step_that_fails_says_so_and_raises(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(HearthError, match="no such machine"), step("bootstrap"):
        raise HearthError("no such machine")
    assert capsys.readouterr().out.splitlines()[-1].startswith("failed  bootstrap (")


def test_progress_in_quick_succession_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    with step("bootstrap") as progress:
        for number in range(100):
            progress(f"line {number}")
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_now_and_then_a_line_of_progress_is_shown(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console, "_PLAIN_INTERVAL_SECONDS", 0)
    with step("bootstrap") as progress:
        progress("Docker engine")
    assert "    Docker engine" in capsys.readouterr().out.splitlines()


def test_brackets_in_what_tools_say_are_no_markup(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console, "_PLAIN_INTERVAL_SECONDS", 0)
    with step("bootstrap") as progress:
        progress("[pi51] [red]Success")
        progress.summary = "[agx0]"
    printed = capsys.readouterr().out
    assert "[pi51] [red]Success" in printed
    assert "bootstrap: [agx0] (" in printed


def test_a_step_that_fails_claims_no_success(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="broken"), step("pulumi up"):
        raise ValueError("broken")
    assert "ok" not in capsys.readouterr().out
