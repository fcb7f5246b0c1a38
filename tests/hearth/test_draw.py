"""The picture of a site: complete, legible, and the same every time."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address
from typing import Any
from xml.etree import ElementTree as ET

import pytest
import yaml

from hearth.draw import FONTS, layout, svg, text_width
from inventory.loading import load, site_path
from inventory.model import Site
from inventory.paths import PROJECT

LONGEST_NAME = "w" * 31


def homelab() -> dict[str, Any]:
    """What the homelab's file says, to be changed."""
    data: dict[str, Any] = yaml.safe_load(site_path("homelab").read_text(encoding="utf-8"))
    return data


def grown(copies: int) -> Site:
    """The homelab with every machine but the gateway so many times more, a name at its longest."""
    data = homelab()
    first = IPv4Address("192.168.1.2")
    originals = [name for name in data["hosts"] if name != "pi51"]
    for index in range(copies * len(originals)):
        copy, which = divmod(index, len(originals))
        host = data["hosts"][originals[which]] | {"address": str(first + index)}
        data["hosts"][f"{originals[which]}-{copy}"] = host
    services = data["hosts"]["pi52"]["services"] | {
        LONGEST_NAME: {"kind": "redis", "port": 7000, "clients": tuple(data["hosts"])}
    }
    data["hosts"][LONGEST_NAME] = data["hosts"]["pi52"] | {
        "address": "192.168.1.99",
        "services": services,
    }
    weights = [{"service": f"orin0-{copy}.ollama", "weight": 1} for copy in range(copies)]
    data["routes"]["chat"]["upstreams"] = [
        {"service": "agx0.ollama", "weight": 80},
        {"service": "nano.ollama", "weight": 20 - copies},
        *weights,
    ]
    return Site.model_validate(data | {"name": "grown"})


def lone_machine() -> Site:
    """A gateway that answers its only route itself, and holds one service that others ask."""
    data = homelab()
    gateway = data["hosts"]["pi51"]
    gateway["services"]["ollama"] = {"models": ["llama3.2"], "memory": "3GiB"}
    chat = data["routes"]["chat"] | {"upstreams": [{"service": "pi51.ollama"}]}
    changes = {"name": "lone", "hosts": {"pi51": gateway}, "routes": {"chat": chat}}
    return Site.model_validate(data | changes)


def without_routes() -> Site:
    data = homelab()
    return Site.model_validate(data | {"name": "silent", "routes": {}})


SITES = [load("homelab"), load("sandbox"), grown(3), grown(5), lone_machine(), without_routes()]
every_site = pytest.mark.parametrize(
    "site", SITES, ids=lambda site: f"{site.name}-{len(site.hosts)}"
)


def picture(site: Site) -> ET.Element:
    return ET.fromstring(svg(site))  # noqa: S314 - our own


def local(element: ET.Element) -> str:
    return element.tag.rpartition("}")[2]


def texts(element: ET.Element) -> Iterator[ET.Element]:
    return (found for found in element.iter() if local(found) == "text")


def words(text: ET.Element) -> str:
    """What a text shows: its own and its parts', not its tooltip."""
    parts = [text.text or ""] + [part.text or "" for part in text if local(part) == "tspan"]
    return "".join(part.strip("\n") for part in parts)


def extent(text: ET.Element) -> tuple[float, float]:
    """From where to where a text runs, by the estimate that the picture is drawn with."""
    width = text_width(words(text).rstrip(), FONTS[text.attrib["class"]])
    before = {"start": 0.0, "middle": 0.5, "end": 1.0}[text.attrib["text-anchor"]]
    left = float(text.attrib["x"]) - width * before
    return left, left + width


def boxes(element: ET.Element) -> list[tuple[float, float, float, float]]:
    """Left, top, right and bottom of every rectangle."""
    found = []
    for rect in (e for e in element.iter() if local(e) == "rect"):
        x, y, width, height = (float(rect.attrib[key]) for key in ("x", "y", "width", "height"))
        found.append((x, y, x + width, y + height))
    return found


def card_of(root: ET.Element, host_name: str) -> ET.Element:
    return next(e for e in root if e.attrib.get("id") == f"host-{host_name}")


@every_site
def test_it_is_one_well_formed_picture_with_a_title_and_a_description(site: Site) -> None:
    root = picture(site)
    assert [local(part) for part in root][:2] == ["title", "desc"]
    assert root[0].text == f"{site.name}: machines, services, routes"
    assert root.attrib["aria-labelledby"].split() == [part.attrib["id"] for part in root[:2]]


@every_site
def test_it_asks_for_nothing_from_elsewhere(site: Site) -> None:
    drawn = svg(site).replace('xmlns="http://www.w3.org/2000/svg"', "")
    assert not [sign for sign in ("http", "url(", "href", "@import", "<script") if sign in drawn]


@every_site
def test_every_machine_and_service_is_named_on_its_card(site: Site) -> None:
    root = picture(site)
    for name, host in site.hosts.items():
        card = card_of(root, name)
        said = {"".join(part.itertext()).strip() for part in card.iter()}
        assert any(name in text.split() for text in said)
        assert str(host.address) in said
        assert host.hardware.title in said
        tooltips = {text.partition(":")[0] for text in said}
        assert {p.reference for p in site.on_host(name)} <= tooltips


@every_site
def test_no_text_overflows_its_card(site: Site) -> None:
    root = picture(site)
    for name in site.hosts:
        group = card_of(root, name)
        left, top, right, bottom = boxes(group)[0]
        for text in texts(group):
            start, end = extent(text)
            assert left < start < end < right, words(text)
            assert top < float(text.attrib["y"]) < bottom


@every_site
def test_no_text_overflows_the_picture(site: Site) -> None:
    root = picture(site)
    _, _, width, height = map(float, root.attrib["viewBox"].split())
    for text in texts(root):
        start, end = extent(text)
        assert 0 < start < end < width, words(text)
        assert 0 < float(text.attrib["y"]) < height


@every_site
def test_no_card_lies_on_another(site: Site) -> None:
    root = picture(site)
    cards = [boxes(card_of(root, name))[0] for name in site.hosts]
    for index, one in enumerate(cards):
        for other in cards[index + 1 :]:
            apart_across = one[2] < other[0] or other[2] < one[0]
            apart_down = one[3] < other[1] or other[3] < one[1]
            assert apart_across or apart_down


@every_site
def test_no_service_lies_outside_its_card(site: Site) -> None:
    root = picture(site)
    for name in site.hosts:
        card, *inside = boxes(card_of(root, name))
        for box in inside:
            assert card[0] < box[0] < box[2] < card[2]
            assert card[1] < box[1] < box[3] < card[3]


@every_site
def test_it_is_the_same_every_time(site: Site) -> None:
    assert svg(site) == svg(site.model_copy(deep=True))


def label(host_name: str) -> list[tuple[str, str]]:
    return [(line.text, line.style) for line in layout(load("homelab")).cards[host_name].lines]


def test_an_arrow_says_which_requests_go_where() -> None:
    assert label("agx0") == [
        ("chat 80 % → ollama", "route-label"),
        ("code 100 % → ollama", "route-label"),
    ]


def test_a_route_to_a_planned_service_is_dim() -> None:
    assert ("image 100 % → comfyui", "route-dim") in label("orin0")


def test_services_with_the_same_clients_share_a_line() -> None:
    assert label("pi52") == [
        ("pi51, agx0, orin0 → postgres, redis", "flow-label"),
        ("orin0 → minio", "flow-dim"),
    ]


def test_the_gateway_shows_its_open_ports() -> None:
    assert label("pi51") == [("80, 443 from anywhere", "route-label")]


def test_clients_too_many_to_name_are_counted() -> None:
    site = grown(3)
    lines = [line.text for line in layout(site).cards[LONGEST_NAME].lines]
    assert lines[-1].startswith("25 machines → www")


def test_tiers_stand_in_the_flow_of_a_request() -> None:
    bands = layout(load("homelab")).bands
    assert [(band.tier, band.first_row) for band in bands] == [
        ("gateway", 0),
        ("ai", 1),
        ("data", 2),
        ("monitoring", 3),
        ("edge", 3),
        ("utility", 3),
    ]


def test_the_picture_in_the_documentation_is_of_the_homelab_as_it_is() -> None:
    committed = (PROJECT / "docs" / "homelab.svg").read_text(encoding="utf-8")
    assert committed == svg(load("homelab")), "run `hearth draw homelab > docs/homelab.svg`"
