"""A picture of FixAI, drawn from the site alone: who connects to whom, and so who does not.

A row for each that connects, in the order of a report's way; a column for each that listens. A dot
where they meet is an edge of `inventory.fixai_edges`: what network policies admit. Prometheus reads
figures of nearly all of them: its row would hide the rest, and is a sentence below.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from xml.etree import ElementTree as ET

from hearth.picture import (
    CAPITAL,
    CORNER,
    FONTS,
    Point,
    draw_path,
    draw_rect,
    draw_text,
    fit,
    new_picture,
    text_width,
    tooltip,
    written,
)
from inventory.fixai import Demand, FixAI
from inventory.fixai_edges import FOREIGN, INTERNET, WORLD, Edge, edges
from inventory.model import Site
from inventory.units import format_size

WIDTH = 900.0
MARGIN = 28.0
TITLE_LINE, SUBTITLE_LINE = 34.0, 52.0
HEADS_TOP, HEAD_HEIGHT, HEAD_SPACE = 72.0, 60.0, 4.0
ROWS_TOP = HEADS_TOP + HEAD_HEIGHT + 14.0
ROW, CARD_HEIGHT, CARD_WIDTH = 46.0, 38.0, 176.0
PAD = 10.0
DOT = 5.0
LEGEND, SIGN = 56.0, 26.0
FIGURES = "prometheus"
PEOPLE = {WORLD: "citizens", INTERNET: "internet"}
WAITED_FOR = frozenset({WORLD, "tunnel", "traefik", "backend"})
"""What these open, somebody waits for."""
MEANINGS = {
    "route": "a citizen waits for the answer",
    "flow": "what follows, and the nightly copies",
}


@dataclass(frozen=True)
class Drawing:
    """What there is to draw, and where."""

    site: Site
    settings: FixAI

    @cached_property
    def edges(self) -> Sequence[Edge]:
        """Without the reading of figures."""
        return [edge for edge in edges(self.settings) if edge.source != FIGURES]

    @cached_property
    def read(self) -> Sequence[str]:
        """Whose figures are read."""
        return [edge.target for edge in edges(self.settings) if edge.source == FIGURES]

    @cached_property
    def rows(self) -> Sequence[str]:
        """Who connects."""
        return list(dict.fromkeys(edge.source for edge in self.edges))

    @cached_property
    def columns(self) -> Sequence[str]:
        """Who listens: those that connect as well are in the rows' order, then come the others."""
        found = dict.fromkeys(edge.target for edge in self.edges)
        both = [name for name in self.rows if name in found]
        return [*both, *(name for name in found if name not in both)]

    @cached_property
    def demands(self) -> Mapping[str, Demand]:
        """What has pods at all times, by its name; jobs come and go."""
        return {demand.name: demand for demand in self.settings.demands()}

    @property
    def size(self) -> Point:
        """Of the picture."""
        return WIDTH, ROWS_TOP + len(self.rows) * ROW + LEGEND

    @property
    def column_width(self) -> float:
        """What a column takes."""
        return (WIDTH - 2 * MARGIN - CARD_WIDTH - 2 * PAD) / len(self.columns)

    def across(self, target: str) -> float:
        """The middle of a column."""
        left = MARGIN + CARD_WIDTH + 2 * PAD
        return left + (self.columns.index(target) + 0.5) * self.column_width

    def down(self, source: str) -> float:
        """The middle of a row."""
        return ROWS_TOP + self.rows.index(source) * ROW + CARD_HEIGHT / 2

    def where(self, workload: str) -> str:
        """The nodes of a workload; empty for who is none of the cluster's, or a job."""
        demand = self.demands.get(workload)
        return "" if demand is None else ", ".join(demand.hosts)

    def told(self, source: str) -> str:
        """What stands on a row's card below its name."""
        if source in PEOPLE:
            return f"https://{self.settings.domain}"
        if source in FOREIGN:
            return "an operator"
        if (demand := self.demands.get(source)) is None:
            return "a job, when it is needed"
        pods = f"{demand.pods} x " if demand.pods > 1 else ""
        return f"{self.where(source)}: {pods}{format_size(demand.pod.memory)}"


def svg(site: Site) -> str:
    """The picture of a site's FixAI: an SVG file's text, the same for the same site.

    Raises:
        ValueError: it has none.
    """
    if site.fixai is None or site.kubernetes is None:
        raise ValueError(f"{site.name}: no FixAI")
    found = Drawing(site, site.fixai)
    title = f"{site.name}: who connects to whom"
    root = new_picture(found.size, title, " ".join(_described(found)))
    draw_text(root, "title", (MARGIN, TITLE_LINE), title)
    subtitle = f"Kubernetes {site.kubernetes.version} on {', '.join(site.nodes)}; "
    draw_text(
        root, "detail", (MARGIN, SUBTITLE_LINE), f"{subtitle}what has no dot here is forbidden"
    )
    for target in found.columns:
        _column(root, found, target)
    for source in found.rows:
        _row(root, found, source)
    for edge in found.edges:
        _dot(root, found, edge)
    _legend(root, found)
    return written(root)


def _described(found: Drawing) -> Iterator[str]:
    """The picture in words."""
    for edge in found.edges:
        source, target = (PEOPLE.get(name, name) for name in (edge.source, edge.target))
        yield f"{source} connects to {target} ({edge.port}): {edge.why}."
    if found.read:
        yield _figures(found)


def _figures(found: Drawing) -> str:
    return f"{FIGURES} reads figures from {', '.join(found.read)}"


def _column(root: ET.Element, found: Drawing, target: str) -> None:
    """A target's head, and its line down to the last row that meets it."""
    x, taken = found.across(target), [e for e in found.edges if e.target == target]
    lowest = max(found.down(edge.source) for edge in taken)
    draw_path(root, "flow", [(x, HEADS_TOP + HEAD_HEIGHT), (x, lowest)])
    group = ET.SubElement(root, "g", id=f"listens-{target}")
    width = found.column_width - HEAD_SPACE
    draw_rect(group, "chip chip-edge", (x - width / 2, HEADS_TOP), (width, HEAD_HEIGHT), CORNER)
    ports = ", ".join(map(str, dict.fromkeys(edge.port for edge in taken)))
    lines = (
        ("chip-name", PEOPLE.get(target, target)),
        ("detail", ports),
        *([("detail", where)] if (where := found.where(target)) else []),
    )
    for number, (style, text) in enumerate(lines):
        shown = fit(text, FONTS[style], width)
        at = (x, HEADS_TOP + 19 + number * 16)
        draw_text(group, style, at, shown, anchor="middle")


def _row(root: ET.Element, found: Drawing, source: str) -> None:
    """A source's card, and its line up to the last column that it meets."""
    y = found.down(source)
    right = max(found.across(edge.target) for edge in found.edges if edge.source == source)
    draw_path(root, _style(source), [(MARGIN + CARD_WIDTH, y), (right, y)])
    group = ET.SubElement(root, "g", id=f"connects-{source}")
    at = (MARGIN, y - CARD_HEIGHT / 2)
    draw_rect(group, "card card-edge", at, (CARD_WIDTH, CARD_HEIGHT), CORNER)
    name = PEOPLE.get(source, source)
    draw_text(group, "name", (MARGIN + PAD, y - 2), name)
    told = fit(found.told(source), FONTS["detail"], CARD_WIDTH - 2 * PAD)
    draw_text(group, "detail", (MARGIN + PAD, y + 13), told)


def _dot(root: ET.Element, found: Drawing, edge: Edge) -> None:
    x, y = found.across(edge.target), found.down(edge.source)
    style = f"{_style(edge.source)}-head"
    dot = draw_rect(root, style, (x - DOT, y - DOT), (2 * DOT, 2 * DOT), DOT)
    tooltip(dot, f"{edge.source} to {edge.target}:{edge.port}: {edge.why}")


def _style(source: str) -> str:
    return "route" if source in WAITED_FOR else "flow"


def _legend(root: ET.Element, found: Drawing) -> None:
    group = ET.SubElement(root, "g", id="legend")
    x, y = MARGIN, found.size[1] - LEGEND + 14
    for style, meaning in MEANINGS.items():
        draw_path(group, style, [(x, y), (x + SIGN, y)])
        draw_text(group, "detail", (x + SIGN + PAD, y + FONTS["detail"].size * CAPITAL), meaning)
        x += SIGN + 3 * PAD + text_width(meaning, FONTS["detail"])
    if found.read:
        told = fit(_figures(found), FONTS["detail"], WIDTH - 2 * MARGIN)
        draw_text(group, "detail", (MARGIN, y + 22), told)
