"""What the doctor's program printed becomes a table, JSON, or the reason why there is neither."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from hearth import cli
from hearth.doctor import Diagnosis, examine
from inventory.errors import HearthError
from inventory.loading import SITES

PI: dict[str, Any] = {
    "machine": {"os": "debian-12", "architecture": "arm64"},
    "memory": {"total_bytes": 8_454_569_984},
    "docker": {"server": "20.10.24+dfsg1"},
}
BARE = PI | {"docker": {"server": ""}}
GONE = {"machine": None, "memory": None, "docker": None}
ERROR = {
    "host": "agx0",
    "subject": "reachable",
    "level": "error",
    "what": "192.168.1.154 does not answer",
    "remedy": "see that it is on",
}
NOTE = {
    "host": "pi51",
    "subject": "cgroups",
    "level": "note",
    "what": "the kernel [v2] keeps no memory limits",
    "remedy": "the bootstrap mends this",
}


def document(*findings: dict[str, str], **hosts: dict[str, Any]) -> dict[str, Any]:
    """What the program prints."""
    return {"site": "homelab", "hosts": hosts, "findings": list(findings)}


def shown(diagnosis: Diagnosis) -> list[str]:
    """The lines that a person sees, without those that are empty."""
    console = Console(width=140, highlight=False)
    with console.capture() as captured:
        diagnosis.show(console)
    return [line.rstrip() for line in captured.get().splitlines() if line.strip()]


def test_a_machine_that_is_ready_is_one_line() -> None:
    assert shown(Diagnosis(document(pi51=PI, pi52=BARE))) == [
        "pi51 ready: debian-12 arm64, 7.9 GiB, Docker 20.10",
        "pi52 ready: debian-12 arm64, 7.9 GiB, no Docker yet",
    ]


def test_findings_are_a_table_with_their_remedies() -> None:
    heading, note, error, ready = shown(Diagnosis(document(NOTE, ERROR, pi51=BARE, agx0=GONE)))
    assert heading.split() == ["host", "subject", "finding", "remedy"]
    assert note.split(maxsplit=3) == ["pi51", "note", "cgroups", note[note.index("the kernel") :]]
    assert "the kernel [v2] keeps no memory limits" in note
    assert note.endswith("the bootstrap mends this")
    assert error.split()[:3] == ["agx0", "error", "reachable"]
    assert ready.startswith("pi51 ready: ")


def test_errors_are_what_the_exit_code_is_about() -> None:
    assert Diagnosis(document(pi51=PI)).exit_code == 0
    assert Diagnosis(document(NOTE, NOTE | {"level": "warning"}, pi51=PI)).exit_code == 0
    assert Diagnosis(document(NOTE, ERROR, pi51=PI, agx0=GONE)).exit_code == 1


def test_the_summary_counts() -> None:
    diagnosis = Diagnosis(document(NOTE, NOTE, ERROR, pi51=PI, agx0=GONE))
    assert diagnosis.summary == "2 machines, 1 error, 0 warnings, 2 notes"


Answer = Callable[..., list[Sequence[str]]]


@pytest.fixture
def answer(monkeypatch: pytest.MonkeyPatch) -> Answer:
    """Lets the program print something; returns the commands by which it was run."""

    def prepare(stdout: str, stderr: str = "", code: int = 0) -> list[Sequence[str]]:
        commands: list[Sequence[str]] = []

        def run(command: Sequence[str], **_: object) -> subprocess.CompletedProcess[str]:
            commands.append(command)
            return subprocess.CompletedProcess(command, code, stdout, stderr)

        monkeypatch.setattr(subprocess, "run", run)
        return commands

    return prepare


def test_the_program_is_given_the_sites_file(answer: Answer) -> None:
    commands = answer(json.dumps(document(pi51=PI)), stderr="a warning of somebody's")
    assert examine("homelab").document["site"] == "homelab"
    assert commands == [[sys.executable, "-m", "deploys.doctor", str(SITES / "homelab.yaml")]]


def test_a_relative_path_is_made_whole(answer: Answer, monkeypatch: pytest.MonkeyPatch) -> None:
    commands = answer(json.dumps(document()))
    monkeypatch.chdir(SITES)
    examine("homelab.yaml")
    assert Path(commands[0][-1]) == SITES / "homelab.yaml"


def test_a_program_that_fails_is_an_error_with_its_last_words(answer: Answer) -> None:
    answer("", stderr="Traceback ...\nImportError: no pyinfra\n", code=1)
    with pytest.raises(HearthError, match=r"doctor of homelab failed: .*\nImportError: no pyinfra"):
        examine("homelab")


def test_a_program_that_never_ends_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(command: Sequence[str], **_: object) -> None:
        raise subprocess.TimeoutExpired(command, 300)

    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(HearthError, match="doctor of homelab failed: no end after 300 s"):
        examine("homelab")


def command(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """The exit code of `hearth doctor`."""
    monkeypatch.setattr(sys, "argv", ["hearth", "doctor", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return int(ended.value.code or 0)


def test_the_command_prints_json_and_nothing_else(
    answer: Answer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    printed = document(ERROR, agx0=GONE)
    answer(json.dumps(printed))
    assert command(monkeypatch, "homelab", "--json") == 1
    assert json.loads(capsys.readouterr().out) == printed


def test_the_command_prints_a_table_under_one_line_of_its_own(
    answer: Answer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answer(json.dumps(document(NOTE, pi51=PI)))
    assert command(monkeypatch, "homelab") == 0
    out = capsys.readouterr().out
    assert "ok  doctor: 1 machine, 0 errors, 0 warnings, 1 note" in out
    assert out.rstrip().endswith("pi51 ready: debian-12 arm64, 7.9 GiB, Docker 20.10")


def test_an_unknown_site_is_no_visit(
    answer: Answer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    commands = answer("")
    assert command(monkeypatch, "hoomlab") == 1
    assert "hoomlab: no such site" in capsys.readouterr().err
    assert commands == []
