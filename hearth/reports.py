"""Where smoke reports go: the files that were asked for, and the site's last ones."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from inventory.paths import state_dir
from smoke import history
from smoke.differences import differences
from smoke.report.junit import junit
from smoke.report.page import page
from smoke.report.terminal import show, show_differences

if TYPE_CHECKING:
    from rich.console import Console

    from smoke.report import Report


@dataclass(frozen=True, slots=True)
class ReportFiles:
    """What a person asks for beside the table.

    Attributes:
        json: Where to write the report for programs.
        junit: Where to write it for build servers.
        html: Where to write the page.
        compare: What to compare with, instead of the last report kept.
    """

    json: Path | None = None
    junit: Path | None = None
    html: Path | None = None
    compare: Report | None = None


def reports_dir(site_name: str) -> Path:
    """The site's last reports and the page of the newest."""
    return state_dir(site_name) / "smoke"


def last_page(site_name: str) -> str:
    """The page of the newest report, as one would type its path here."""
    return os.path.relpath(reports_dir(site_name) / "last.html")


def deliver(report: Report, files: ReportFiles, out: Console) -> None:
    """Print the report and what is different, write and keep it."""
    folder = reports_dir(report.site)
    before = files.compare or history.last(folder, report)
    show(report, out)
    out.print()
    if before is None:
        out.print("no earlier run to compare with")
    else:
        out.print(f"compared with the run of {before.started:%Y-%m-%d %H:%M:%S} UTC")
        show_differences(differences(before, report), out)
    history.keep(report, folder)
    text = page(report, before)
    _write(folder / "last.html", text)
    if files.html is not None:
        _write(files.html, text)
    if files.json is not None:
        _write(files.json, report.to_json() + "\n")
    if files.junit is not None:
        _write(files.junit, junit(report))


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
