"""What pictures are made of: colours for light and dark screens, fonts, lines, boxes, texts.

Lengths are in units of the picture, pixels where it is shown at its own size.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from xml.etree import ElementTree as ET

Point = tuple[float, float]

ARROW_HEAD = 4.0
TURN = 5.0
CORNER = 8.0
BACKGROUND_CORNER = 14.0
CAPITAL = 0.36
"""Half the height of a capital, in em: what centres a line of text."""


@dataclass(frozen=True, slots=True)
class Font:
    """A size, in units of the picture, and whether it is bold."""

    size: float
    bold: bool = False


FONTS = {
    "title": Font(19, bold=True),
    "tier": Font(11, bold=True),
    "name": Font(14, bold=True),
    "detail": Font(11),
    "chip-name": Font(11.5),
    "chip-dim": Font(11.5),
    "route-label": Font(11.5, bold=True),
    "route-dim": Font(11.5),
    "flow-label": Font(11.5),
    "flow-dim": Font(11.5),
}
FAMILY = "system-ui, -apple-system, 'Segoe UI', Roboto, Helvetica, Arial, sans-serif"

LIGHT_AND_DARK = {
    "background": ("fill", "#f6f7f9", "#12161c"),
    "background-edge": ("stroke", "#d8dde4", "#2a313b"),
    "band": ("fill", "#eaedf2", "#1a2029"),
    "card": ("fill", "#ffffff", "#242c37"),
    "card-edge": ("stroke", "#ccd3dc", "#3a4554"),
    "chip": ("fill", "#eef4fb", "#2b3a4d"),
    "chip-edge": ("stroke", "#a9c1dc", "#4d6b8e"),
    "answers": ("fill", "#fdeee3", "#4a3022"),
    "answers-edge": ("stroke", "#e08a4c", "#d9814a"),
    "planned-edge": ("stroke", "#b4bcc7", "#566172"),
    "bar": ("fill", "#e3e7ed", "#38434f"),
    "used": ("fill", "#4a8f6d", "#5fae88"),
    "title": ("fill", "#1c232c", "#eef2f6"),
    "name": ("fill", "#1c232c", "#eef2f6"),
    "tier": ("fill", "#66717f", "#98a5b4"),
    "detail": ("fill", "#58636f", "#a7b2bf"),
    "chip-name": ("fill", "#22303f", "#dfe8f2"),
    "chip-dim": ("fill", "#6a7582", "#97a3b1"),
    "port": ("fill", "#5b6f86", "#a3b8d0"),
    "label": ("fill", "#ffffff", "#242c37"),
    "route": ("stroke", "#d06a26", "#e88f55"),
    "route-head": ("fill", "#d06a26", "#e88f55"),
    "route-label": ("fill", "#a8490c", "#f5ab7a"),
    "route-dim": ("fill", "#a8673f", "#c98f6a"),
    "flow": ("stroke", "#9fadbd", "#64748a"),
    "flow-head": ("fill", "#9fadbd", "#64748a"),
    "flow-label": ("fill", "#43505f", "#c3cedb"),
    "flow-dim": ("fill", "#75808d", "#8d99a8"),
}
"""Class to property and its colour on light and on dark screens."""

_NARROW, _SLIM, _WIDE = "'.,:;|!ijlI", "frt()[]-/ ", "mwMW%@→…"
_NARROW_EM, _SLIM_EM, _WIDE_EM, _CAPITAL_EM, _OTHER_EM = 0.34, 0.42, 1.0, 0.74, 0.64
_BOLD = 1.1


def text_width(text: str, font: Font) -> float:
    """An upper estimate, by the widest of the usual sans-serif fonts (DejaVu Sans)."""
    width = font.size * sum(_em(character) for character in text)
    return width * _BOLD if font.bold else width


def _em(character: str) -> float:
    if character in _NARROW:
        return _NARROW_EM
    if character in _SLIM:
        return _SLIM_EM
    if character in _WIDE or not character.isascii():
        return _WIDE_EM
    return _CAPITAL_EM if character.isupper() else _OTHER_EM


def fit(text: str, font: Font, width: float) -> str:
    """The text, cut short with an ellipsis where it is wider."""
    if text_width(text, font) <= width:
        return text
    while text and text_width(f"{text}…", font) > width:
        text = text[:-1]
    return f"{text}…"


def new_picture(size: Point, title: str, description: str) -> ET.Element:
    """An empty picture with its words for those who do not see it."""
    width, height = size
    root = ET.Element(
        "svg",
        {
            "xmlns": "http://www.w3.org/2000/svg",
            "viewBox": f"0 0 {number(width)} {number(height)}",
            "width": number(width),
            "height": number(height),
            "role": "img",
            "aria-labelledby": "title desc",
            "font-family": FAMILY,
        },
    )
    ET.SubElement(root, "title", id="title").text = title
    ET.SubElement(root, "desc", id="desc").text = description
    ET.SubElement(root, "style").text = style_sheet()
    draw_rect(
        root, "background background-edge", (0.5, 0.5), (width - 1, height - 1), BACKGROUND_CORNER
    )
    return root


def written(root: ET.Element) -> str:
    """The picture as an SVG file's text, the same for the same picture."""
    ET.indent(root)
    return ET.tostring(root, encoding="unicode") + "\n"


def style_sheet() -> str:
    """The colours for light and for dark screens, and the fonts."""
    light = [f".{name}{{{key}:{colour}}}" for name, (key, colour, _) in LIGHT_AND_DARK.items()]
    dark = [f".{name}{{{key}:{colour}}}" for name, (key, _, colour) in LIGHT_AND_DARK.items()]
    fonts = [
        f".{name}{{font-size:{font.size:g}px;font-weight:{600 if font.bold else 400}}}"
        for name, font in FONTS.items()
    ]
    shapes = [
        ".planned{fill:none}",
        ".planned-edge{stroke-dasharray:3 3}",
        ".route,.flow{fill:none;stroke-linejoin:round}",
        ".route{stroke-width:2}",
    ]
    media = ["@media (prefers-color-scheme:dark){", *dark, "}"]
    return "\n".join(["", *light, *fonts, *shapes, *media, ""])


def number(value: float) -> str:
    """To a tenth, without a trailing `.0`."""
    return f"{round(value, 1):g}"


def draw_rect(parent: ET.Element, style: str, at: Point, size: Point, corner: float) -> ET.Element:
    """A box with round corners."""
    x, y, width, height = (number(value) for value in (*at, *size))
    attributes = {"class": style, "x": x, "y": y, "width": width, "height": height}
    return ET.SubElement(parent, "rect", attributes | {"rx": number(corner)})


def draw_text(
    parent: ET.Element, style: str, at: Point, text: str, *, anchor: str = "start"
) -> ET.Element:
    """A line of text at its baseline."""
    attributes = {"class": style, "x": number(at[0]), "y": number(at[1]), "text-anchor": anchor}
    element = ET.SubElement(parent, "text", attributes)
    element.text = text
    return element


def tooltip(element: ET.Element, text: str) -> None:
    """What is told of an element while it is pointed at."""
    ET.SubElement(element, "title").text = text


def draw_path(parent: ET.Element, style: str, points: Sequence[Point]) -> None:
    """A line through the points, its turns rounded."""
    steps = [f"M{_pair(points[0])}"]
    for before, corner, after in zip(points, points[1:], points[2:], strict=False):
        enter, leave = _towards(corner, before), _towards(corner, after)
        steps.append(f"L{_pair(enter)}Q{_pair(corner)} {_pair(leave)}")
    steps.append(f"L{_pair(points[-1])}")
    ET.SubElement(parent, "path", {"class": style, "d": "".join(steps)})


def _towards(start: Point, end: Point) -> Point:
    """A turn's length along the way, or half the way where that is less."""
    distance = math.dist(start, end)
    share = min(TURN, distance / 2) / distance
    return start[0] + (end[0] - start[0]) * share, start[1] + (end[1] - start[1]) * share


def arrow_head(parent: ET.Element, style: str, tip: Point, *, up: bool = False) -> None:
    """The head of an arrow that points down, or with `up` up."""
    x, y = tip
    back = y + 2 * ARROW_HEAD if up else y - 2 * ARROW_HEAD
    wings: Iterable[Point] = (tip, (x - ARROW_HEAD, back), (x + ARROW_HEAD, back))
    ET.SubElement(parent, "path", {"class": style, "d": f"M{'L'.join(map(_pair, wings))}Z"})


def _pair(point: Point) -> str:
    return f"{number(point[0])},{number(point[1])}"
