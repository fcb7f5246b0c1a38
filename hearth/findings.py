"""Findings as a table: where, how bad, about what, what was found, what to do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rich.markup import escape
from rich.table import Table

COLOURS = {"error": "red", "unjudged": "yellow", "warning": "yellow", "note": "dim"}


def findings_table(findings: Iterable[Mapping[str, str]], where: str) -> Table:
    """A table of findings.

    Args:
        findings: each with `level`, `subject`, `what`, `remedy` and where it is.
        where: the key, and the heading, of where it is: `host`.
    """
    table = Table(box=None, pad_edge=False)
    for heading in (where, "", "subject", "finding", "remedy"):
        table.add_column(heading, no_wrap=heading in {where, "", "subject"})
    for found in findings:
        cells = [escape(found[key]) for key in (where, "level", "subject", "what", "remedy")]
        cells[1] = f"[{COLOURS[found['level']]}]{found['level']}[/]"
        table.add_row(*cells)
    return table
