"""The outcome of a run: a table for people, JSON for programs."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from smoke.verdict import EXIT_CODES, Check, Verdict, overall

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

SCHEMA = "hearth.smoke/1"
"""Goes up when a name in the JSON changes its meaning or goes away."""

_COLUMNS = ("suite", "check", "target", "found", "verdict", "detail")
_STYLES: dict[Verdict, str] = {
    "pass": "green",
    "fail": "bold red",
    "inconclusive": "yellow",
    "unjudged": "dim",
}


@dataclass(frozen=True)
class Report:
    """What a run found.

    Args:
        site: The site's name.
        started: When, in UTC.
        seconds: How long it took.
        checks: In the order of the suites.
        histograms: Latency distributions in microseconds, by name, in HdrHistogram's
            compressed base64 form.
    """

    site: str
    started: datetime
    seconds: float
    checks: tuple[Check, ...]
    histograms: Mapping[str, str] = field(default_factory=dict)

    @property
    def verdict(self) -> Verdict:
        """What the checks come to."""
        return overall(self.checks)

    @property
    def exit_code(self) -> int:
        """0 all pass, 1 a check failed, 2 inconclusive."""
        return EXIT_CODES[self.verdict]

    def to_json(self) -> str:
        """The report for programs; `schema` names its version."""
        document = {
            "schema": SCHEMA,
            "site": self.site,
            "started": self.started.isoformat(),
            "seconds": round(self.seconds, 3),
            "verdict": self.verdict,
            "exit_code": self.exit_code,
            "checks": [asdict(check) for check in self.checks],
            "histograms": dict(self.histograms),
        }
        return json.dumps(document, indent=2)

    def show(self, console: Console | None = None) -> None:
        """Print the table: framed and coloured on a terminal, else one plain line a check."""
        console = console or Console()
        if console.is_terminal:
            console.print(self._table())
        else:
            console.out("\n".join(self._lines()), highlight=False)

    def _table(self) -> Table:
        table = Table(title=f"{self.site}: {self.verdict} in {self.seconds:.0f} s")
        for column in _COLUMNS:
            table.add_column(column)
        for check in self.checks:
            style = _STYLES[check.verdict]
            cells = [Text(cell, style if cell == check.verdict else "") for cell in _row(check)]
            table.add_row(*cells)
        return table

    def _lines(self) -> list[str]:
        rows = [_row(check) for check in self.checks]
        last = f"{self.site}: {self.verdict} in {self.seconds:.0f} s"
        return [" | ".join(row).rstrip(" |") for row in rows] + [last]


def _row(check: Check) -> tuple[str, ...]:
    return (
        check.suite,
        check.name,
        check.target or "-",
        check.figure or "-",
        check.verdict,
        check.detail,
    )
