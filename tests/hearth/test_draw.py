"""The picture of a site: complete, legible, and the same every time."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address
from typing import Any
from xml.etree import ElementTree as ET

import pytest
import yaml

from hearth.draw import layout, svg
from hearth.picture import FONTS, text_width
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
    weights = [{"service": f"orin0-{copy}.assistant", "weight": 1} for copy in range(copies)]
    data["routes"]["chat"]["upstreams"] = [
        {"service": "agx0.assistant", "weight": 80},
        {"service": "nano-0.assistant", "weight": 20 - copies},
        *weights,
    ]
    return Site.model_validate(data | {"name": "grown"})


def lone_machine() -> Site:
    """A gateway that answers its only route itself, and holds one service that others ask."""
    data = homelab()
    gateway = data["hosts"]["pi51"]
    gateway["services"]["ollama"] = {"models": ["llama3.2"], "memory": "3GiB"}
    chat = data["routes"]["chat"] | {"upstreams": [{"service": "pi51.ollama"}], "fallback": None}
    changes = {"name": "lone", "hosts": {"pi51": gateway}, "routes": {"chat": chat}}
    return Site.model_validate(data | changes)


def without_routes() -> Site:
    data = homelab()
    return Site.model_validate(data | {"name": "silent", "routes": {}})


def serving(*kinds: str) -> Site:
    """The homelab with a registry that has images for these kinds: all others are planned."""
    registry = {"address": "192.168.1.251", "images": {kind: f"{kind}:1" for kind in kinds}}
    return Site.model_validate(homelab() | {"name": "serving", "registry": registry})


SITES = [
    *(load("homelab"), load("sandbox"), grown(3), grown(5), lone_machine(), without_routes()),
    serving("nginx", "assistant"),
]
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
def test_no_label_lies_on_a_card_or_on_another(site: Site) -> None:
    root = picture(site)
    styles = ("label answers-edge", "label card-edge")
    labels = [rect for rect in root if rect.attrib.get("class") in styles]
    assert len(labels) == sum(bool(card.lines) for card in layout(site).cards.values())
    found = [boxes(label)[0] for label in labels]
    for index, one in enumerate(found):
        others = found[index + 1 :] + [boxes(card_of(root, name))[0] for name in site.hosts]
        for other in others:
            apart_across = one[2] < other[0] or other[2] < one[0]
            apart_down = one[3] < other[1] or other[3] < one[1]
            assert apart_across or apart_down


@every_site
def test_it_is_the_same_every_time(site: Site) -> None:
    assert svg(site) == svg(site.model_copy(deep=True))


def label(host_name: str, site: Site | None = None) -> list[tuple[str, str]]:
    cards = layout(site or load("homelab")).cards
    return [(line.text, line.style) for line in cards[host_name].lines]


def test_an_arrow_says_which_requests_go_where() -> None:
    assert label("agx0") == [
        ("chat 80 % → assistant", "route-label"),
        ("code 100 % → assistant", "route-label"),
    ]


def test_an_arrow_to_a_fallback_says_so() -> None:
    assert label("nano") == [("chat fallback → assistant", "route-label")]
    assert "nano" in layout(load("homelab")).upstream_hosts


def test_a_route_to_a_planned_service_is_dim() -> None:
    planned = serving("nginx", "kong")
    assert ("image 100 % → assistant", "route-dim") in label("orin0", planned)


def test_a_line_to_a_planned_service_is_dim() -> None:
    planned = serving("nginx", "assistant", "redis", "minio")
    assert label("pi52", planned) == [
        ("agx0, orin0, nano → postgres", "flow-dim"),
        ("agx0, orin0, nano → redis, minio", "flow-label"),
    ]
    assert label("pi41", planned) == [("pi51 → grafana", "flow-dim")]


def test_a_planned_service_draws_no_line_to_what_it_will_use() -> None:
    assert label("pi52", serving("nginx", "postgres", "redis", "minio")) == []


def test_services_with_the_same_clients_share_a_line() -> None:
    assert label("pi52") == [
        ("agx0, orin0, nano, pi31 → postgres, minio", "flow-label"),
        ("agx0, orin0, nano → redis", "flow-label"),
    ]


def test_lines_are_drawn_for_what_is_used_and_for_stated_clients() -> None:
    data = homelab()
    data["hosts"]["pi52"]["services"]["redis"] |= {"clients": ["pi31", "pi52"]}
    site = Site.model_validate(data)
    assert layout(site).clients["pi52.redis"] == ["agx0", "orin0", "nano", "pi31"]
    assert ("pi31", "pi52") in layout(site).client_pairs


def test_collecting_logs_and_metrics_draws_no_lines() -> None:
    site = load("homelab")
    assert {"pi51", "pi31"} < set(site.placement("pi41.loki").clients_of("http"))
    found = layout(site)
    assert found.clients["pi41.loki"] == []
    assert found.clients["pi41.alertmanager"] == []
    assert site.placement("pi41.grafana").uses[0].reference == "pi51.prometheus"
    assert found.clients["pi51.prometheus"] == []
    assert all(names == [] for to, names in found.clients.items() if to.endswith("-exporter"))


def test_the_legend_says_which_lines_are_left_out() -> None:
    assert "other clients, without logs and metrics" in map(words, texts(picture(load("homelab"))))


def test_a_service_shows_the_ports_that_others_reach_and_no_others() -> None:
    cards = layout(load("homelab")).cards
    shown = {c.placement.reference: c.ports for name in ("pi51", "pi52") for c in cards[name].chips}
    assert shown["pi52.minio"] == " :9000"
    assert shown["pi51.redis"] == ""


def test_the_words_for_those_who_do_not_see_it_name_the_fallback() -> None:
    described = picture(load("homelab"))[1].text or ""
    assert "20 % to orin0.assistant; nano.assistant while none of them answers." in described


def test_the_gateway_shows_its_open_ports() -> None:
    assert label("pi51") == [("80, 443, 3000 from anywhere", "route-label")]


def test_what_the_network_may_ask_for_is_on_its_machine_once_a_port() -> None:
    assert label("pi31")[0] == ("53, 123 from the network", "route-label")


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
