"""The picture of FixAI: a dot for every connection that is admitted, and for no other."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest

from hearth.draw_fixai import FIGURES, WIDTH, svg
from inventory.fixai_edges import edges
from inventory.model import Site
from inventory.paths import PROJECT
from tests.components.fixai.whole import site
from tests.hearth.test_draw import extent, local, texts, words

SITES = {
    "as it is": site(),
    "kraft and keda": site(kafka={"profile": "kraft"}, scaling="keda"),
    "ngrok and a real model": site(
        tunnel={"by": "ngrok", "url": "https://fixai.ngrok.app"}, llm={"simulated": False}
    ),
}
every_site = pytest.mark.parametrize("one", SITES.values(), ids=SITES)


def picture(one: Site) -> ET.Element:
    return ET.fromstring(svg(one))  # noqa: S314 - our own


def test_the_picture_in_the_documentation_is_of_fixai_as_it_is() -> None:
    committed = (PROJECT / "docs" / "fixai.svg").read_text(encoding="utf-8")
    assert committed == svg(site()), "run `hearth draw fixai > docs/fixai.svg`"


@every_site
def test_a_dot_is_an_edge_and_an_edge_is_a_dot(one: Site) -> None:
    assert one.fixai is not None
    rects = [part for part in picture(one) if local(part) == "rect"]
    dots = [title.text for rect in rects for title in rect if local(title) == "title"]
    assert sorted(map(str, dots)) == sorted(
        f"{edge.source} to {edge.target}:{edge.port}: {edge.why}"
        for edge in edges(one.fixai)
        if edge.source != FIGURES
    )


@every_site
def test_a_dot_is_where_its_row_and_its_column_meet(one: Site) -> None:
    assert one.fixai is not None
    root = picture(one)

    def box(name: str) -> tuple[float, float, float, float]:
        group = next(part for part in root if part.attrib.get("id") == name)
        rect = next(part for part in group if local(part) == "rect")
        x, y, width, height = (float(rect.attrib[key]) for key in ("x", "y", "width", "height"))
        return x, y, x + width, y + height

    for rect in root:
        told = [title.text or "" for title in rect if local(title) == "title"]
        if local(rect) != "rect" or not told:
            continue
        source, _, rest = told[0].partition(" to ")
        left, _, right, _ = box(f"listens-{rest.partition(':')[0]}")
        _, top, _, bottom = box(f"connects-{source}")
        assert left < float(rect.attrib["x"]) < right
        assert top < float(rect.attrib["y"]) < bottom


@every_site
def test_every_text_is_whole_and_inside(one: Site) -> None:
    for text in texts(picture(one)):
        left, right = extent(text)
        assert 0 < left < right < WIDTH, words(text)
        assert "…" not in words(text)
