"""A machine that is not the one that the site describes is refused before any is touched."""

from __future__ import annotations

import pytest

from tests.deploys.record import Run

Runs = dict[str, Run]

REFUSED = {
    "another": (
        "agx-r36: runs ubuntu-20.04, the site says ubuntu-22.04; correct hosts.agx-r36.os, or "
        "flash the board"
    ),
    "unknown": (
        "agx-r36: runs fedora-43, which Hearth does not know; flash one of ubuntu-20.04, "
        "ubuntu-22.04"
    ),
    "silent": "agx-r36: does not say what it is; see `hearth doctor boards`",
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_stranger_is_refused_with_the_remedy(runs: Runs, what: str) -> None:
    assert runs[f"stranger, {what}"].error == REFUSED[what]


@pytest.mark.parametrize("what", REFUSED)
def test_beside_a_stranger_no_machine_is_touched(runs: Runs, what: str) -> None:
    assert runs["bare"].commands("pi4")
    assert runs[f"stranger, {what}"].events == []


def test_a_container_may_play_any_board_of_a_sandbox(runs: Runs) -> None:
    # It runs Debian 12, where the site says Ubuntu 18.04.
    assert runs["sandbox"].failed == []
    assert "Packages are installed" in runs["sandbox"].titles("nano-r32")
