"""The report's forms: JSON that programs rely on, a table, and exit codes."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from inventory.errors import HearthError
from smoke.report import Report
from smoke.report.terminal import show
from smoke.verdict import Check
from tests.smoke.loads import FEW, FREE, LOST, SOON, STEADY, SURE, report_of

if TYPE_CHECKING:
    from smoke.verdict import Verdict


def with_verdicts(*verdicts: Verdict) -> Report:
    return report_of(*(Check("s", "n", "", "", verdict) for verdict in verdicts))


def shown(report: Report, *, terminal: bool) -> str:
    console = Console(file=io.StringIO(), force_terminal=terminal, width=200, color_system=None)
    show(report, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_the_json_has_exactly_these_names() -> None:
    document = json.loads(report_of(SOON, SURE, loads=(STEADY,)).to_json())
    (load,) = document.pop("loads")
    assert document == {
        "schema": "hearth.smoke/2",
        "site": "lab",
        "started": "2026-11-01T00:00:00+00:00",
        "seconds": 12.346,
        "verdict": "pass",
        "exit_code": 0,
        "suite_seconds": {"chat": 10.5},
        "checks": [
            {
                "suite": "chat",
                "name": "chat: first token, 95 % within",
                "target": "1 s",
                "figure": "0.13 s",
                "verdict": "pass",
                "detail": "as sent 0.12 s",
                "samples": 50,
                "interval": None,
            },
            {
                "suite": "chat",
                "name": "chat: answered in full, at least",
                "target": "99 %",
                "figure": "100 %",
                "verdict": "pass",
                "detail": "",
                "samples": 380,
                "interval": ["99 %", "100 %"],
            },
        ],
        "environment": {
            "kernel": "Linux 6 x86_64",
            "cores": 4,
            "memory_bytes": 8589934592,
            "python": "3.11.7",
            "load_average_start": 0.5,
            "load_average_end": 2.25,
            "hearth": "0.1.0",
            "commit": None,
            "site_digest": "5f" * 32,
        },
    }
    assert sorted(load) == [
        "began",
        "histograms",
        "marks",
        "name",
        "offered",
        "seconds",
        "timeline",
    ]
    assert load["marks"] == [{"at": 12.5, "what": "agx0 killed"}]
    assert load["timeline"][0] == {
        "at": 0,
        "due": 4,
        "complete": 4,
        "failed": 0,
        "slowest_s": 0.004,
        "by_server": {"agx0.assistant": 3, "orin0.assistant": 1},
    }


def test_what_was_written_is_read_again() -> None:
    text = report_of(SOON, SURE, LOST, loads=(STEADY,)).to_json()
    again = Report.from_json(text)
    assert again.to_json() == text
    assert again.loads == (STEADY,)
    assert again.checks == (SOON, SURE, LOST)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema": "hearth.smoke/1"}, "its schema is hearth.smoke/1, this Hearth reads hearth.sm"),
        ({"schema": None}, "its schema is not named"),
        ({"checks": [{"suite": "chat"}]}, "is not a report of hearth.smoke/2"),
        ({"environment": {"cores": 4}}, "is not a report of hearth.smoke/2"),
        ({"loads": [{"name": "chat"}]}, "is not a report of hearth.smoke/2"),
    ],
)
def test_what_is_no_report_of_this_version_is_refused(
    change: dict[str, object], message: str
) -> None:
    document = json.loads(report_of(SOON, loads=(STEADY,)).to_json()) | change
    with pytest.raises(HearthError) as refused:
        Report.from_json(json.dumps(document))
    assert str(refused.value).startswith(message)
    assert "`hearth smoke --json`" in str(refused.value)


def test_a_damaged_histogram_is_named() -> None:
    document = json.loads(report_of(loads=(STEADY,)).to_json())
    document["loads"][0]["histograms"]["service"] = "HISTFAAA"
    with pytest.raises(HearthError, match="chat: histogram service"):
        Report.from_json(json.dumps(document))


@pytest.mark.parametrize("text", ["", "{", "[]", "3"])
def test_what_is_no_json_object_is_refused(text: str) -> None:
    with pytest.raises(HearthError, match=r"is not JSON|its schema is not named"):
        Report.from_json(text)


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
        "chat | chat: first token, 95 % within | 1 s | 0.13 s | pass | as sent 0.12 s",
        "lab: pass in 12 s",
    ]


def test_how_sure_a_figure_is_stands_beside_it() -> None:
    assert "| 99 % | 100 % (99 % to 100 %) | pass" in shown(report_of(SURE), terminal=False)


def test_what_failed_comes_again_last() -> None:
    assert shown(report_of(LOST, FEW, SOON, FREE), terminal=False).splitlines()[4:] == [
        "",
        "what failed and why",
        "  chat | chat: streams | wanted 90 %, found 12 % | <held back> & lost",
        "",
        "what could not be judged and why",
        "  image | image: soon | wanted 30 s, found 14 s | 23 answers are too few",
        "",
        "lab: fail in 12 s",
    ]


def test_on_a_terminal_it_is_a_table_and_then_what_failed() -> None:
    text = shown(report_of(SOON, LOST), terminal=True)
    assert "lab: fail in 12 s" in text
    assert "│ 0.13 s │" in text
    assert text.rstrip().splitlines()[-2:] == [
        "what failed and why",
        "  chat | chat: streams | wanted 90 %, found 12 % | <held back> & lost",
    ]
