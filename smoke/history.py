"""A site's last reports, kept as JSON in a folder: what a new one is compared with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inventory.errors import HearthError
from smoke.report import Report

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KEPT = 10
_NAME = "%Y%m%dT%H%M%SZ.json"


def keep(report: Report, folder: Path) -> Path:
    """Write the report under its time, in UTC; what is more than the last ten goes."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / report.started.strftime(_NAME)
    path.write_text(report.to_json() + "\n")
    for old in sorted(folder.glob("*.json"))[:-KEPT]:
        old.unlink()
    return path


def last(folder: Path, report: Report) -> Report | None:
    """The newest kept report with a load that this one has too, else the newest of all."""
    names = {load.name for load in report.loads}
    kept = list(_readable(folder))
    alike = (one for one in kept if names & {load.name for load in one.loads})
    return next(alike, next(iter(kept), None))


def _readable(folder: Path) -> Iterator[Report]:
    """Newest first; those of another version of Hearth are no use."""
    for path in sorted(folder.glob("*.json"), reverse=True):
        try:
            yield read(path)
        except HearthError:
            continue


def read(path: Path) -> Report:
    """A report from its JSON.

    Raises:
        HearthError: There is none, or it is not one.
    """
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise HearthError(f"{path}: cannot be read ({error}); name a report's JSON") from None
    try:
        return Report.from_json(text)
    except HearthError as error:
        raise HearthError(f"{path}: {error}") from None
