"""The report as one page of HTML that asks nothing of any other file or host."""

from __future__ import annotations

import base64
import hashlib
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from inventory.units import format_size
from smoke.differences import TITLES, Difference, differences
from smoke.report import charts
from smoke.statistics import Distribution, quantile_interval
from smoke.verdict import overall
from smoke.wording import between, duration, seconds

if TYPE_CHECKING:
    from smoke.environment import Environment as Surroundings
    from smoke.load.record import LoadRecord
    from smoke.report import Report
    from smoke.verdict import Check, Verdict

WIDTHS = {"wide": 1080, "narrow": 340}
"""Pixels of a chart: on a desk and on paper, and on a telephone."""

_SHOWN = 12
"""More checks of one suite that all passed are folded up."""

SYMBOLS: dict[Verdict, str] = {"pass": "✓", "fail": "✗", "inconclusive": "?", "unjudged": "-"}
CHANGES = {"none": "=", "better": "▲", "worse": "▼", "other": "≠"}

_SENTENCES: dict[Verdict, str] = {
    "pass": "keeps its promises",
    "fail": "does not keep its promises",
    "inconclusive": "could not be judged",
    "unjudged": "could not be judged",
}


@cache
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=True,
    )


def page(report: Report, before: Report | None = None) -> str:
    """The whole page.

    Args:
        report: What to show.
        before: Another run to compare it with.
    """
    style = Path(__file__).with_name("page.css").read_text()
    names = charts.servers(report.loads)
    return (
        _environment()
        .get_template("page.html.j2")
        .render(
            report=report,
            before=before,
            style=Markup(style),  # noqa: S704 - a file of Hearth's own
            style_hash=_hash(style),
            sentence=_SENTENCES[report.verdict],
            counts=_counts(report.checks),
            suites=[
                _Suite(name, list(held)) for name, held in groupby(report.checks, lambda c: c.suite)
            ],
            loads=[_load(load, names, before) for load in report.loads],
            hatchings=_drawn(charts.hatchings()),
            differences=_differences(before, report),
            environment=_rows(report.environment),
            environment_before=dict(_rows(before.environment)) if before else {},
            symbols=SYMBOLS,
            changes=CHANGES,
            between=between,
            duration=duration,
            moment=_moment,
        )
    )


def _hash(style: str) -> str:
    """What the content security policy lets this one style sheet in by."""
    return base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()


def _drawn(svg: str) -> Markup:
    """An SVG whose texts its writer has escaped."""
    return Markup(svg)  # noqa: S704 - made by ElementTree


def _moment(when: datetime) -> str:
    return when.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _counts(checks: Sequence[Check]) -> str:
    """`24 of 26 checks passed, 1 failed, 1 not judged`."""
    words: tuple[tuple[Verdict, str], ...] = (
        ("fail", "failed"),
        ("inconclusive", "inconclusive"),
        ("unjudged", "without a judgement"),
    )
    verdicts = Counter(check.verdict for check in checks)
    found = [(verdicts[verdict], word) for verdict, word in words]
    passed = f"{verdicts['pass']} of {len(checks)} checks passed"
    return ", ".join([passed, *(f"{count} {word}" for count, word in found if count)])


@dataclass(frozen=True, slots=True)
class _Suite:
    """A suite's checks; many of them, all well, are shown when somebody asks."""

    name: str
    checks: Sequence[Check]

    @property
    def verdict(self) -> Verdict:
        return overall(self.checks)

    @property
    def counts(self) -> str:
        return _counts(self.checks)

    @property
    def open(self) -> bool:
        return self.verdict != "pass" or len(self.checks) <= _SHOWN


@dataclass(frozen=True, slots=True)
class _Figures:
    """A distribution as a row: median, p95 and its interval, p99, longest."""

    title: str
    count: int
    median: str
    p95: str
    sure: str
    p99: str
    longest: str


@dataclass(frozen=True, slots=True)
class _Load:
    """A load as the page shows it; the charts by the class that shows or hides them."""

    record: LoadRecord
    began: str
    curves: dict[str, Markup]
    timelines: dict[str, Markup]
    legend: list[tuple[str, str]]
    servers: list[tuple[int, str, int]]
    due: int
    failed: int
    figures: list[_Figures]
    before: bool


def _load(load: LoadRecord, names: Sequence[str], before: Report | None) -> _Load:
    then = next((one for one in before.loads if one.name == load.name), None) if before else None
    return _Load(
        record=load,
        began=_moment(datetime.fromtimestamp(load.began, UTC)),
        curves={
            style: _drawn(charts.percentile_chart(load, then, width))
            for style, width in WIDTHS.items()
        },
        timelines={
            style: _drawn(charts.timeline_chart(load, names, width))
            for style, width in WIDTHS.items()
        },
        legend=[(dash, TITLES[name]) for name, dash in charts.CURVES if name in load.histograms],
        servers=_servers(load, names),
        due=sum(second.due for second in load.timeline),
        failed=sum(second.failed for second in load.timeline),
        figures=[_figures(name, load) for name in TITLES if name in load.histograms],
        before=then is not None,
    )


def _servers(load: LoadRecord, names: Sequence[str]) -> list[tuple[int, str, int]]:
    """The style, the name and the answers of each that gave any."""
    rows = []
    for index, name in enumerate(names):
        if answers := sum(charts.answered(second, name) for second in load.timeline):
            rows.append((charts.kind(index), name, answers))
    return rows


def _figures(name: str, load: LoadRecord) -> _Figures:
    held = Distribution.decode(load.histograms[name])
    if not len(held):
        return _Figures(TITLES[name], 0, "-", "-", "-", "-", "-")
    low, high = quantile_interval(held, 0.95)
    return _Figures(
        title=TITLES[name],
        count=len(held),
        median=seconds(held.quantile(0.5)),
        p95=seconds(held.quantile(0.95)),
        sure=between((seconds(low), "unknown" if math.isinf(high) else seconds(high))),
        p99=seconds(held.quantile(0.99)),
        longest=seconds(held.quantile(1)),
    )


def _differences(before: Report | None, now: Report) -> Sequence[Difference]:
    return differences(before, now) if before else ()


def _rows(environment: Surroundings | None) -> list[tuple[str, str]]:
    if environment is None:
        return []
    commit = f" at {environment.commit}" if environment.commit else ""
    return [
        ("load average, start", f"{environment.load_average_start:g}"),
        ("load average, end", f"{environment.load_average_end:g}"),
        ("cores", str(environment.cores)),
        ("memory", format_size(environment.memory_bytes)),
        ("kernel", environment.kernel),
        ("Python", environment.python),
        ("Hearth", f"{environment.hearth}{commit}"),
        ("site, SHA-256", environment.site_digest),
    ]
