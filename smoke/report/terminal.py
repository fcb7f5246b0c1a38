"""The report on a terminal, and as plain lines where there is none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from smoke.wording import between

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from smoke.differences import Difference
    from smoke.report import Report
    from smoke.verdict import Check, Verdict

_COLUMNS = ("suite", "check", "target", "found", "verdict", "detail")
_STYLES: dict[Verdict, str] = {
    "pass": "green",
    "fail": "bold red",
    "inconclusive": "yellow",
    "unjudged": "dim",
}
_AGAIN: dict[Verdict, str] = {
    "fail": "what failed and why",
    "inconclusive": "what could not be judged and why",
}
"""Verdicts that the exit code tells of: their checks are repeated last, where one looks."""


def show(report: Report, console: Console | None = None) -> None:
    """Print every check, then again those that spoil the verdict, then the verdict."""
    console = console or Console()
    if console.is_terminal:
        console.print(_table(report))
        for verdict, heading in _AGAIN.items():
            if checks := report.with_verdict(verdict):
                console.print(Text(f"\n{heading}", _STYLES[verdict]))
                console.print("\n".join(_again(checks)), markup=False, highlight=False)
    else:
        console.out("\n".join(_lines(report)), highlight=False)


def show_differences(found: Sequence[Difference], console: Console) -> None:
    """Print what changed; what did not is counted."""
    same = sum(difference.change == "none" for difference in found)
    for difference in found:
        if difference.change != "none":
            line = f"  {difference.subject} | {difference.what} | {difference.text}"
            console.print(line, markup=False, highlight=False, soft_wrap=True)
    if same or not found:
        console.print(f"  {same} comparisons without a difference", highlight=False)


def _table(report: Report) -> Table:
    table = Table(title=_summary(report))
    for column in _COLUMNS:
        table.add_column(column)
    for check in report.checks:
        style = _STYLES[check.verdict]
        table.add_row(*(Text(cell, style if cell == check.verdict else "") for cell in _row(check)))
    return table


def _lines(report: Report) -> Iterator[str]:
    for check in report.checks:
        yield " | ".join(_row(check)).rstrip(" |")
    for verdict, heading in _AGAIN.items():
        if checks := report.with_verdict(verdict):
            yield from ("", heading, *_again(checks))
    if report.with_verdict("fail") or report.with_verdict("inconclusive"):
        yield ""
    yield _summary(report)


def _again(checks: Sequence[Check]) -> list[str]:
    return [
        f"  {check.suite} | {check.name} | wanted {check.target or '-'}, found {_found(check)}"
        + (f" | {check.detail}" if check.detail else "")
        for check in checks
    ]


def _summary(report: Report) -> str:
    return f"{report.site}: {report.verdict} in {report.seconds:.0f} s"


def _row(check: Check) -> tuple[str, ...]:
    return (
        check.suite,
        check.name,
        check.target or "-",
        _found(check),
        check.verdict,
        check.detail,
    )


def _found(check: Check) -> str:
    """`0.13 s (0.11 s to 0.2 s)`: the figure, and within what the true one lies."""
    if check.interval is None:
        return check.figure or "-"
    return f"{check.figure or '-'} ({between(check.interval)})"
