"""What the benchmarks measured, kept in build/bench.json."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from inventory.paths import PROJECT

REPORT = PROJECT / "build" / "bench.json"


@dataclass(frozen=True, slots=True)
class Figure:
    """A measured time.

    Attributes:
        peer: what `ratio` compares with, None where there is nothing.
    """

    name: str
    value: float
    unit: str
    peer: str | None
    ratio: float | None


def record(found: Sequence[Figure], report: Path = REPORT) -> None:
    """Writes the figures into the report; those of other names stay in it."""
    kept = json.loads(report.read_text()) if report.is_file() else []
    names = {figure.name for figure in found}
    rows = [row for row in kept if row["name"] not in names] + [asdict(f) for f in found]
    report.parent.mkdir(exist_ok=True)
    report.write_text(json.dumps(rows, indent=2) + "\n")
