"""Where `hearth smoke` puts its reports."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from rich.console import Console

from hearth import reports
from hearth.reports import ReportFiles, deliver
from smoke.report import Report
from tests.smoke.loads import LOST, SOON, STEADY, report_of

FIRST = report_of(SOON, loads=(STEADY,))
SECOND = replace(
    report_of(replace(SOON, verdict="fail")), started=FIRST.started + timedelta(days=1)
)


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(reports, "state_dir", lambda name: tmp_path / name)
    return tmp_path / "lab" / "smoke"


def delivered(report: Report, files: ReportFiles | None = None) -> str:
    console = Console(file=io.StringIO(), width=160)
    deliver(report, files or ReportFiles(), console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_first_run_says_that_there_is_none_to_compare_with(state: Path) -> None:
    assert "no earlier run to compare with" in delivered(FIRST)
    assert (state / "20261101T000000Z.json").exists()
    assert "lab keeps its promises" in (state / "last.html").read_text()


@pytest.mark.usefixtures("state")
def test_a_second_run_is_compared_with_the_first() -> None:
    delivered(FIRST)
    told = delivered(SECOND)
    assert "compared with the run of 2026-11-01 00:00:00 UTC" in told
    assert f"  chat | {SOON.name} | pass (0.13 s) to fail (0.13 s)" in told


@pytest.mark.usefixtures("state")
def test_a_chosen_report_is_compared_with_instead_of_the_last() -> None:
    delivered(SECOND)
    told = delivered(SECOND, ReportFiles(compare=FIRST))
    assert "compared with the run of 2026-11-01" in told


@pytest.mark.usefixtures("state")
def test_the_files_that_were_asked_for_are_written_in_their_forms(tmp_path: Path) -> None:
    folder = tmp_path / "new"
    files = ReportFiles(folder / "r.json", folder / "r.xml", folder / "r.html")
    delivered(report_of(LOST), files)
    assert Report.from_json((folder / "r.json").read_text()) == report_of(LOST)
    junit = ET.parse(folder / "r.xml").getroot()  # noqa: S314 - our own
    assert junit.get("failures") == "1"
    assert (folder / "r.html").read_text().startswith("<!doctype html>")
