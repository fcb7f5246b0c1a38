"""The report's forms: JSON that programs rely on, a table, and exit codes."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from smoke.report import Report
from smoke.verdict import Check

if TYPE_CHECKING:
    from smoke.verdict import Verdict

SOON = Check("chat", "chat: first token, 95 % within", "1 s", "0.13 s", "pass", "50 requests", 50)


def report_of(*checks: Check) -> Report:
    return Report("lab", datetime(2026, 11, 1, tzinfo=UTC), 12.3456, checks, {"x": "HISTFAAA"})


def with_verdicts(*verdicts: Verdict) -> Report:
    return report_of(*(Check("s", "n", "", "", verdict) for verdict in verdicts))


def shown(report: Report, *, terminal: bool) -> str:
    console = Console(file=io.StringIO(), force_terminal=terminal, width=200, color_system=None)
    report.show(console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_the_json_has_exactly_these_names() -> None:
    assert json.loads(report_of(SOON).to_json()) == {
        "schema": "hearth.smoke/1",
        "site": "lab",
        "started": "2026-11-01T00:00:00+00:00",
        "seconds": 12.346,
        "verdict": "pass",
        "exit_code": 0,
        "checks": [
            {
                "suite": "chat",
                "name": "chat: first token, 95 % within",
                "target": "1 s",
                "figure": "0.13 s",
                "verdict": "pass",
                "detail": "50 requests",
                "samples": 50,
            }
        ],
        "histograms": {"x": "HISTFAAA"},
    }


@pytest.mark.parametrize(
    ("verdicts", "code"),
    [
        (("pass", "pass", "unjudged"), 0),
        (("pass", "fail", "inconclusive"), 1),
        (("pass", "inconclusive"), 2),
        (("unjudged",), 2),
        ((), 2),
    ],
)
def test_the_exit_code_is_the_gravest_verdict(verdicts: tuple[Verdict, ...], code: int) -> None:
    assert with_verdicts(*verdicts).exit_code == code


def test_without_a_terminal_a_check_is_one_plain_line() -> None:
    assert shown(report_of(SOON), terminal=False).splitlines() == [
        "chat | chat: first token, 95 % within | 1 s | 0.13 s | pass | 50 requests",
        "lab: pass in 12 s",
    ]


def test_on_a_terminal_it_is_a_table() -> None:
    text = shown(report_of(SOON), terminal=True)
    assert "lab: pass in 12 s" in text
    assert "│ 0.13 s │" in text
