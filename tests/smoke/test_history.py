"""The last reports of a site, and which of them a new one is compared with."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from inventory.errors import HearthError
from smoke import history
from smoke.report import Report
from tests.smoke.loads import SOON, STEADY, report_of


def at_minute(minute: int, **changes: object) -> Report:
    report = report_of(SOON)
    return replace(report, started=report.started + timedelta(minutes=minute), **changes)  # type: ignore[arg-type]


def test_the_last_ten_are_kept(tmp_path: Path) -> None:
    (tmp_path / "last.html").write_text("stays")
    for minute in range(12):
        history.keep(at_minute(minute), tmp_path)
    kept = sorted(path.name for path in tmp_path.glob("*.json"))
    assert len(kept) == 10
    assert kept[0] == "20261101T000200Z.json"
    assert (tmp_path / "last.html").exists()


def test_the_last_run_is_the_newest_with_a_load_in_common(tmp_path: Path) -> None:
    history.keep(at_minute(1, loads=(STEADY,)), tmp_path)
    history.keep(at_minute(2), tmp_path)
    found = history.last(tmp_path, at_minute(3, loads=(STEADY,)))
    assert found is not None
    assert found.loads == (STEADY,)


def test_without_a_load_in_common_it_is_the_newest(tmp_path: Path) -> None:
    history.keep(at_minute(1, loads=(STEADY,)), tmp_path)
    history.keep(at_minute(2, seconds=2.0), tmp_path)
    found = history.last(tmp_path, at_minute(3))
    assert found is not None
    assert found.seconds == 2


def test_reports_that_cannot_be_read_are_passed_over(tmp_path: Path) -> None:
    assert history.last(tmp_path / "none", at_minute(3)) is None
    (tmp_path / "20261101T000500Z.json").write_text('{"schema": "hearth.smoke/1"}')
    assert history.last(tmp_path, at_minute(3)) is None
    history.keep(at_minute(1), tmp_path)
    assert history.last(tmp_path, at_minute(3)) == at_minute(1)


def test_a_named_report_that_cannot_be_read_is_an_error_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(HearthError, match=r"none\.json: cannot be read .*; name a report's JSON"):
        history.read(tmp_path / "none.json")
    (tmp_path / "old.json").write_text('{"schema": "hearth.smoke/1"}')
    with pytest.raises(HearthError, match=r"old\.json: its schema is hearth\.smoke/1, this Hearth"):
        history.read(tmp_path / "old.json")
