"""A load's charts as SVG: how long answers took by percentile, and what happened when.

Every chart is drawn at a width in pixels and shown at that size, so that its text is as large
as the page's. Colours are the page's, by class; what they tell apart, a dash or a hatching and
a legend tell apart too.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from smoke.statistics import Distribution
from smoke.wording import seconds

if TYPE_CHECKING:
    from smoke.load.record import LoadRecord, Mark, Second

Point = tuple[float, float]

_LEFT, _RIGHT, _TOP = 58.0, 14.0, 14.0
_AXIS = 36.0
"""Below a plot: the ticks' labels and what they are."""
_CURVE_HEIGHT = 250.0
_COUNTS_HEIGHT, _SLOWEST_HEIGHT = 130.0, 90.0
_BETWEEN = 28.0
"""Between the timeline's two plots; the lower one's title stands in it."""
_LETTER = 6.6
"""A letter's width at the charts' size of text, generously."""
_MARK_LINE = 16.0
_NARROWEST_BAR = 4.0
_STEPS = 240
_KINDS = 6
"""Styles of a server's bars; more servers share them."""

_NINES = (0.0, 0.5, 0.9, 0.95, 0.99, 0.999, 0.9999, 0.99999)
CURVES = (("response", "solid"), ("service", "dashed"), ("first_token", "dotted"))
"""The histograms that are drawn, and how."""


@dataclass(frozen=True, slots=True)
class Scale:
    """From a value to a place on the picture, linear or logarithmic.

    Args:
        low: The value at `start`.
        high: The value at `end`.
        start: In pixels.
        end: In pixels.
        log: Whether equal factors are equal distances.
    """

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """Where the value is, inside the scale."""
        low, high, at = self.low, self.high, min(max(value, self.low), self.high)
        if self.log:
            low, high, at = math.log10(low), math.log10(high), math.log10(at)
        return round(self.start + (at - low) / (high - low) * (self.end - self.start), 1)


class Picture:
    """An SVG under construction."""

    def __init__(self, width: float, height: float, title: str, description: str) -> None:
        self.root = ET.Element(
            "svg",
            {
                "viewBox": f"0 0 {width:g} {height:g}",
                "width": f"{width:g}",
                "height": f"{height:g}",
                "role": "img",
            },
        )
        ET.SubElement(self.root, "title").text = title
        ET.SubElement(self.root, "desc").text = description

    def add(self, tag: str, style: str, **attributes: float | str) -> ET.Element:
        """An element of a class of the page's style sheet; `_` in names stands for `-`."""
        named = {key.replace("_", "-"): _number(value) for key, value in attributes.items()}
        return ET.SubElement(self.root, tag, {"class": style, **named})

    def line(self, style: str, start: Point, end: Point) -> None:
        """A straight line."""
        self.add("line", style, x1=start[0], y1=start[1], x2=end[0], y2=end[1])

    def path(self, style: str, points: Iterable[Point]) -> None:
        """Lines from point to point."""
        self.add("path", style, d="M" + "L".join(f"{x:g},{y:g}" for x, y in points))

    def text(self, at: Point, text: str, *, anchor: str = "middle", style: str = "label") -> None:
        """A line of text."""
        self.add("text", style, x=at[0], y=at[1], text_anchor=anchor).text = text

    def markup(self) -> str:
        """The SVG."""
        return ET.tostring(self.root, encoding="unicode")


def _number(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:g}"


# --- How long answers took ---------------------------------------------------------------------


def percentile_chart(load: LoadRecord, before: LoadRecord | None, width: float) -> str:
    """The distributions of a load, over those of the run before; empty where there are none."""
    now, then = _curves(load), _curves(before) if before else {}
    if not now:
        return ""
    everything = (*now.values(), *then.values())
    largest = max(map(len, everything))
    across = Scale(0, math.log10(2 * largest), _LEFT, width - _RIGHT)
    up = _decades(everything, _TOP + _CURVE_HEIGHT)
    picture = Picture(
        width,
        _TOP + _CURVE_HEIGHT + _AXIS,
        f"{load.name}: how long answers took, by percentile",
        "; ".join(_described(name, held) for name, held in now.items()),
    )
    _curve_grid(picture, across, up, largest)
    for style, curves in (("before", then), ("now", now)):
        for name, dash in CURVES:
            if name in curves:
                picture.path(f"curve {style} {name} {dash}", _staircase(curves[name], across, up))
    return picture.markup()


def _curves(load: LoadRecord) -> dict[str, Distribution]:
    decoded = {
        name: Distribution.decode(load.histograms[name])
        for name, _ in CURVES
        if name in load.histograms
    }
    return {name: held for name, held in decoded.items() if len(held)}


def _described(name: str, held: Distribution) -> str:
    figures = ((0.5, "half"), (0.95, "95 %"), (1.0, "all"))
    parts = (f"{share} within {seconds(held.quantile(q))}" for q, share in figures)
    return f"{name.replace('_', ' ')}: {', '.join(parts)} of {len(held)}"


def _decades(held: Sequence[Distribution], bottom: float) -> Scale:
    """A logarithmic scale of seconds that holds all of it, and at least a decade."""
    least = max(1e-6, min(one.values[0] for one in held))
    most = max(one.values[-1] for one in held)
    low = _below(least)
    return Scale(low, max(_above(most), low * 10), bottom, bottom - _CURVE_HEIGHT, log=True)


def _round_values() -> list[float]:
    """1, 2 and 5 of each decade, from a microsecond to a thousand seconds."""
    return [float(f"{digit}e{decade}") for decade in range(-6, 4) for digit in (1, 2, 5)]


def _below(value: float) -> float:
    return max((one for one in _round_values() if one <= value), default=1e-6)


def _above(value: float) -> float:
    return min((one for one in _round_values() if one >= value), default=5e3)


def _curve_grid(picture: Picture, across: Scale, up: Scale, largest: int) -> None:
    for value in _round_values():
        if up.low <= value <= up.high:
            y = up(value)
            picture.line("grid", (across.start, y), (across.end, y))
            picture.text((across.start - 6, y + 4), _tick(value), anchor="end")
    taken = -math.inf
    for share in _NINES:
        x = across(-math.log10(1 - share))
        if 1 - share >= 1 / largest and x - taken >= 30:  # noqa: PLR2004 - a label's width
            picture.line("grid", (x, up.start), (x, up.end))
            picture.text((x, up.start + 16), f"{share * 100:g} %")
            taken = x
    middle = (across.start + across.end) / 2
    picture.text((middle, up.start + 32), "of the answers came within", style="axis")


def _tick(value_s: float) -> str:
    """Without the noise of a measured figure: `50 ms`, `2 s`, `200 µs`."""
    if value_s < 1e-3:  # noqa: PLR2004
        return f"{value_s * 1e6:g} µs"
    return f"{value_s * 1e3:g} ms" if value_s < 1 else f"{value_s:g} s"


def _staircase(held: Distribution, across: Scale, up: Scale) -> list[Point]:
    """The quantiles at even steps of the scale of nines, without points that add nothing."""
    end = math.log10(2 * len(held))
    steps = [end * step / _STEPS for step in range(_STEPS + 1)]
    points = [(across(nines), up(held.quantile(1 - 10**-nines))) for nines in steps]
    return [
        point
        for index, point in enumerate(points)
        if index in (0, _STEPS) or not points[index - 1][1] == point[1] == points[index + 1][1]
    ]


# --- What happened when ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Bar:
    """Some seconds of a load that share a bar; counts are a second."""

    at: int
    seconds: int
    due: float
    failed: float
    slowest_s: float
    by_server: Mapping[str, float]

    @property
    def told(self) -> str:
        """For people who point at it."""
        until = f" to {self.at + self.seconds}" if self.seconds > 1 else ""
        counts = {"due": self.due, **self.by_server, "failed": self.failed}
        parts = (f"{name} {round(count, 2):g}" for name, count in counts.items() if count)
        slowest = f"; slowest {seconds(self.slowest_s)}" if self.slowest_s else ""
        return f"second {self.at}{until}: {', '.join(parts)} a second{slowest}"


OTHERS = "not known who"
"""Answers of which nobody knows where they came from."""


def servers(loads: Iterable[LoadRecord]) -> list[str]:
    """Who answered in any of some loads: in all of them each has its style by its place here."""
    timeline = [second for load in loads for second in load.timeline]
    named = sorted({name for second in timeline for name in second.by_server})
    unnamed = any(answered(second, OTHERS) for second in timeline)
    return [*named, OTHERS] if unnamed else named


def answered(second: Second, server: str) -> int:
    """How many complete answers of a second came from one of `servers`."""
    if server == OTHERS:
        return max(0, second.complete - sum(second.by_server.values()))
    return second.by_server.get(server, 0)


def kind(index: int) -> int:
    """The style of a server's bars, by its place in `servers`."""
    return index % _KINDS


def timeline_chart(load: LoadRecord, names: Sequence[str], width: float) -> str:
    """Requests and answers a second, by server, over the slowest response; empty without any.

    Args:
        load: What to draw.
        names: Who may have answered: the `servers` of all loads of a page.
        width: In pixels.
    """
    if not load.timeline:
        return ""
    end = max(load.timeline[-1].at + 1, math.ceil(load.seconds), 1)
    across = Scale(0, end, _LEFT, width - _RIGHT)
    rows = _mark_rows(load.marks, across)
    top = _TOP + _MARK_LINE * (max(rows, default=-1) + 1)
    middle = top + _COUNTS_HEIGHT
    bottom = middle + _BETWEEN + _SLOWEST_HEIGHT
    bars = list(_bars(load, names, math.ceil(_NARROWEST_BAR * end / (across.end - across.start))))
    picture = Picture(width, bottom + _AXIS, f"{load.name}: what happened when", _told(load))
    counts = _counts_scale(bars, middle)
    slowest = _slowest_scale(bars, bottom)
    _time_grid(picture, across, (counts, slowest), bottom)
    _stacks(picture, bars, names, across, counts)
    _due_line(picture, bars, across, counts)
    _slowest_bars(picture, bars, across, slowest)
    picture.text(
        (across.start, middle + _BETWEEN - 8), "slowest response", anchor="start", style="axis"
    )
    _marks(picture, load.marks, rows, across, (_TOP, bottom))
    return picture.markup()


def _told(load: LoadRecord) -> str:
    """The chart in words."""
    due = sum(second.due for second in load.timeline)
    complete = sum(second.complete for second in load.timeline)
    failed = sum(second.failed for second in load.timeline)
    marks = "; ".join(f"at {mark.at:.0f} s: {mark.what}" for mark in load.marks)
    counts = f"{due} requests were due, {complete} answers complete, {failed} failed"
    return f"{counts}; {marks}" if marks else counts


def _bars(load: LoadRecord, names: Sequence[str], width: int) -> Iterator[_Bar]:
    """The seconds, so many in each."""
    groups: dict[int, list[Second]] = {}
    for second in load.timeline:
        groups.setdefault(second.at // width, []).append(second)
    for index, group in sorted(groups.items()):
        held = {name: sum(answered(second, name) for second in group) / width for name in names}
        yield _Bar(
            at=index * width,
            seconds=width,
            due=sum(second.due for second in group) / width,
            failed=sum(second.failed for second in group) / width,
            slowest_s=max(second.slowest_s for second in group),
            by_server=held,
        )


def _counts_scale(bars: Sequence[_Bar], bottom: float) -> Scale:
    most = max(max(bar.due, bar.failed + sum(bar.by_server.values())) for bar in bars)
    return Scale(0, _even(most), bottom, bottom - _COUNTS_HEIGHT)


def _slowest_scale(bars: Sequence[_Bar], bottom: float) -> Scale:
    most = max(bar.slowest_s for bar in bars)
    return Scale(0, _even(most), bottom, bottom - _SLOWEST_HEIGHT)


def _even(most: float) -> float:
    """An end of a linear scale just above the largest value, easy to halve."""
    decade = 10 ** math.floor(math.log10(max(most, 1e-3)))
    steps = (1, 1.2, 1.6, 2, 3, 4, 5, 6, 8, 10)
    return float(f"{next(s for s in steps if s * decade >= most) * decade:.3g}")


def _time_grid(picture: Picture, across: Scale, plots: tuple[Scale, Scale], bottom: float) -> None:
    for scale, label in zip(plots, ("{:g}".format, _tick), strict=True):
        for share in (0, 0.5, 1):
            y = scale(scale.high * share)
            picture.line("grid", (across.start, y), (across.end, y))
            text = "0" if share == 0 else label(scale.high * share)
            picture.text((across.start - 6, y + 4), text, anchor="end")
    step = _above(across.high * 60 / (across.end - across.start))
    for index in range(int(across.high / max(1.0, step)) + 1):
        at = index * max(1.0, step)
        picture.text((across(at), bottom + 16), f"{at:g}")
    picture.text(
        ((across.start + across.end) / 2, bottom + 32), "seconds since the load began", style="axis"
    )


def hatchings() -> str:
    """What the bars of every chart of the page are filled with, to be put into it once."""
    root = ET.Element("svg", {"class": "hatchings", "aria-hidden": "true"})
    definitions = ET.SubElement(root, "defs")
    strokes = ("", "M0,6L6,0", "M0,3H6", "M0,0L6,6", "M3,0V6", "M0,6L6,0M0,0L6,6")
    for index, stroke in enumerate(strokes):
        _hatching(definitions, f"server{index}", stroke)
    _hatching(definitions, "failed", "M0,0L6,6M0,6L6,0")
    return ET.tostring(root, encoding="unicode")


def _hatching(definitions: ET.Element, name: str, stroke: str) -> None:
    size = {"width": "6", "height": "6"}
    pattern = ET.SubElement(
        definitions, "pattern", {"id": name, "patternUnits": "userSpaceOnUse", **size}
    )
    ET.SubElement(pattern, "rect", {"class": f"fill {name}", **size})
    if stroke:
        ET.SubElement(pattern, "path", {"class": "hatch", "d": stroke})


def _stacks(
    picture: Picture, bars: Sequence[_Bar], names: Sequence[str], across: Scale, up: Scale
) -> None:
    for bar in bars:
        group = picture.add("g", "bar")
        ET.SubElement(group, "title").text = bar.told
        x, end = across(bar.at), across(bar.at + bar.seconds)
        below = 0.0
        parts = [(f"server{kind(i)}", bar.by_server[name]) for i, name in enumerate(names)]
        for style, count in (*parts, ("failed", bar.failed)):
            if count:
                y = up(below + count)
                box = {"x": x, "y": y, "width": max(1.0, end - x - 1), "height": up(below) - y}
                ET.SubElement(
                    group,
                    "rect",
                    {"fill": f"url(#{style})", **{key: f"{v:.4g}" for key, v in box.items()}},
                )
                below += count


def _due_line(picture: Picture, bars: Sequence[_Bar], across: Scale, up: Scale) -> None:
    points = []
    for bar in bars:
        y = up(bar.due)
        points += [(across(bar.at), y), (across(bar.at + bar.seconds), y)]
    picture.path("due", points)


def _slowest_bars(picture: Picture, bars: Sequence[_Bar], across: Scale, up: Scale) -> None:
    for bar in bars:
        if bar.slowest_s:
            x, y = across(bar.at), up(bar.slowest_s)
            width = max(1.0, across(bar.at + bar.seconds) - x - 1)
            drawn = picture.add("rect", "slowest", x=x, y=y, width=width, height=up(0) - y)
            ET.SubElement(drawn, "title").text = bar.told


def _mark_rows(marks: Sequence[Mark], across: Scale) -> list[int]:
    """The line of text of each mark's label: the first where it hides no other."""
    ends: list[float] = []
    rows = []
    for mark in marks:
        start, end = _mark_span(mark, across)
        row = next((r for r, taken in enumerate(ends) if taken + 8 <= start), len(ends))
        ends[row : row + 1] = [end]
        rows.append(row)
    return rows


def _mark_span(mark: Mark, across: Scale) -> tuple[float, float]:
    """From where to where its label goes: to the right of its line, if there is room."""
    x, length = across(mark.at), len(mark.what) * _LETTER + 4
    if x + length <= across.end:
        return x, x + length
    start = max(across.start, across.end - length)
    return start, start + length


def _marks(
    picture: Picture,
    marks: Sequence[Mark],
    rows: Sequence[int],
    across: Scale,
    reach: tuple[float, float],
) -> None:
    for mark, row in zip(marks, rows, strict=True):
        x, y = across(mark.at), reach[0] + _MARK_LINE * row
        picture.line("mark", (x, y - 8), (x, reach[1]))
        start, _ = _mark_span(mark, across)
        room = int((across.end - start - 4) / _LETTER)
        picture.text((start + 4, y), _cut(mark.what, room), anchor="start", style="mark-label")


def _cut(text: str, room: int) -> str:
    return text if len(text) <= room else text[: max(0, room - 1)] + "…"
