"""A machine that is switched off is told from one that refuses us."""

from __future__ import annotations

from pathlib import Path

import pytest

from hearth import remote
from hearth.remote import absent, ask, ask_all

FAKE_SSH = """#!/bin/sh
case "$*" in
*" off "*) echo "ssh: connect to host off port 22: Connection timed out" >&2; exit 255 ;;
*" closed "*) echo "Connection closed by UNKNOWN port 65535" >&2; exit 255 ;;
*" new "*) echo "hearth@new: Permission denied (publickey)." >&2; exit 255 ;;
*" other "*) echo "Host key verification failed." >&2; exit 255 ;;
*" slow "*) exec sleep 5 ;;
*" broken "*) exit 3 ;;
*) echo well ;;
esac
"""


@pytest.fixture(autouse=True)
def ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Machines by how they answer."""
    (tmp_path / "ssh").write_text(FAKE_SSH)
    (tmp_path / "ssh").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(remote, "SECONDS", 0.5)


def test_only_machines_out_of_reach_are_absent() -> None:
    hosts = ["off", "closed", "new", "other", "slow", "broken", "well"]
    assert absent(Path("ssh_config"), hosts) == ["off", "closed", "slow"]


def test_an_answer_is_what_a_command_printed() -> None:
    assert ask(Path("ssh_config"), "well", "uptime") == "well\n"
    assert ask(Path("ssh_config"), "broken", "uptime") is None
    answers = ask_all(Path("ssh_config"), ["well", "off"], "uptime")
    assert answers == {"well": "well\n", "off": None}
