"""The picture of an environment: what its resources say, legible, and the same every time."""

from __future__ import annotations

from itertools import pairwise
from xml.etree import ElementTree as ET

import pytest

from hearth.draw_environment import (
    BALANCER,
    CACHE,
    CLUSTER,
    DATABASE,
    DISTRIBUTION,
    ENDPOINT,
    NAT,
    STANDBY,
    SUBNET,
    Declared,
    layout,
    svg,
)
from hearth.picture import FONTS, text_width
from inventory.paths import PROJECT
from policies.graph import Graph
from tests.hearth.test_draw import boxes, extent, local, texts, words
from tests.policies.stack import ENVIRONMENTS, graph_of

every_environment = pytest.mark.parametrize("name", ENVIRONMENTS)


def picture(name: str) -> ET.Element:
    return ET.fromstring(svg(graph_of(name)))  # noqa: S314 - our own


def cards_of(root: ET.Element) -> list[ET.Element]:
    return [part for part in root if part.attrib.get("id", "").startswith("card-")]


def test_the_picture_in_the_documentation_is_of_production_as_it_is() -> None:
    committed = (PROJECT / "docs" / "production.svg").read_text(encoding="utf-8")
    remedy = "run `hearth draw production > docs/production.svg`"
    assert committed == svg(graph_of("production")), remedy


@every_environment
def test_it_says_who_connects_to_whom_as_the_security_groups_do(name: str) -> None:
    assert set(Declared(graph_of(name)).connections()) == {
        (DISTRIBUTION, BALANCER, 443),
        (BALANCER, CLUSTER, 8000),
        (CLUSTER, DATABASE, 5432),
        (CLUSTER, CACHE, 6379),
    }
    arrows = {(arrow.client, arrow.server) for arrow in layout(graph_of(name)).arrows}
    assert arrows > {(c, s) for c, s, _ in Declared(graph_of(name)).connections()}


def test_a_rule_that_is_gone_is_an_arrow_that_is_gone() -> None:
    whole = graph_of("production")
    left = [r for r in whole.resources if r.name != "production-cache-client-0"]
    arrows = layout(Graph(left, whole.environment)).arrows
    assert (CLUSTER, CACHE) not in {(arrow.client, arrow.server) for arrow in arrows}


@every_environment
def test_subnets_stand_in_the_tier_that_their_routes_make_them(name: str) -> None:
    graph = graph_of(name)
    tiers = Declared(graph).tiers()
    assert sum(map(len, tiers.values())) == len(graph.of_type(SUBNET))
    for tier, subnets in tiers.items():
        assert all(f"-{tier}-" in subnet.name for subnet in subnets)
    frames = {frame.title: frame for frame in layout(graph).frames}
    for tier, subnets in tiers.items():
        shown = [text for _, text in frames[tier].subnets]
        assert [text.split() for text in shown] == [
            [str(s.get("availabilityZone")), str(s.get("cidrBlock"))] for s in subnets
        ]


@every_environment
def test_cards_stand_in_the_tier_whose_subnets_their_resources_name(name: str) -> None:
    graph, found = graph_of(name), layout(graph_of(name))
    frames = {frame.title: frame for frame in found.frames}
    for type_ in (CLUSTER, DATABASE, CACHE, BALANCER, NAT):
        for resource in graph.of_type(type_):
            frame = frames[Declared(graph).tier_of(resource)]
            card = found.cards[resource.urn if type_ == NAT else type_]
            assert frame.y < card.y < card.bottom < frame.y + frame.height, resource.name


def test_every_zone_of_production_goes_out_by_its_own_gateway_and_dev_by_one() -> None:
    ways = {
        name: [a.server for a in layout(graph_of(name)).arrows if a.client == CLUSTER]
        for name in ENVIRONMENTS
    }
    gateways = {name: {r.urn for r in graph_of(name).of_type(NAT)} for name in ENVIRONMENTS}
    assert {name: len(urns & set(ways[name])) for name, urns in gateways.items()} == {
        "production": 3,
        "dev": 1,
    }
    assert ENDPOINT in ways["production"]


def test_what_dev_does_not_have_is_not_drawn() -> None:
    assert STANDBY in layout(graph_of("production")).cards
    assert STANDBY not in layout(graph_of("dev")).cards


def test_who_uses_a_bucket_is_read_from_the_roles_policies() -> None:
    lines = layout(graph_of("production")).cards["aws:s3/bucket:Bucket"].lines
    assert lines == ("access", "backups: backup", "checkpoints: api, ollama", "logs")


@every_environment
def test_no_card_lies_on_another_and_no_text_leaves_its_card(name: str) -> None:
    root = picture(name)
    cards = cards_of(root)
    found = [boxes(card)[0] for card in cards]
    for index, one in enumerate(found):
        for other in found[index + 1 :]:
            apart_across = one[2] < other[0] or other[2] < one[0]
            assert apart_across or one[3] < other[1] or other[3] < one[1]
    for card, (left, top, right, bottom) in zip(cards, found, strict=True):
        for text in texts(card):
            start, end = extent(text)
            assert left < start < end < right, words(text)
            assert top < float(text.attrib["y"]) < bottom


@every_environment
def test_no_text_is_cut_short(name: str) -> None:
    assert "…" not in svg(graph_of(name))


@every_environment
def test_no_line_crosses_a_card_or_the_name_of_a_subnet(name: str) -> None:
    found = layout(graph_of(name))
    named = [
        (x, x + text_width(text, FONTS["detail"]), frame.y)
        for frame in found.frames
        for x, text in frame.subnets
    ]
    for (x, start), (end_x, end) in (pair for a in found.arrows for pair in pairwise(a.points)):
        if x != end_x:
            continue
        top, bottom = sorted((start, end))
        for card in found.cards.values():
            across = card.x < x < card.x + card.width
            assert not (across and card.y < bottom and top < card.bottom)
        for left, right, y in named:
            assert not (left < x < right and top < y + 10 < bottom)


def test_it_has_words_for_those_who_do_not_see_it() -> None:
    root = picture("production")
    assert [local(part) for part in root][:2] == ["title", "desc"]
    described = root[1].text or ""
    assert "load balancer connects to Kubernetes 1.36, API private (8000)." in described


def test_it_asks_for_nothing_from_elsewhere() -> None:
    drawn = svg(graph_of("production")).replace('xmlns="http://www.w3.org/2000/svg"', "")
    assert not [sign for sign in ("http:", "https:", "url(", "href", "<script") if sign in drawn]
