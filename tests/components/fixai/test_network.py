"""Connections are admitted along the edges of the table, at both ends, and no others."""

from __future__ import annotations

import json

import pytest

from inventory.fixai_edges import FOREIGN, INTERNET, WORLD, edges, forbidden, namespace_of
from inventory.model import Site
from inventory.paths import PROJECT
from tests.components.fixai.admission import End, admitted, pods
from tests.components.fixai.whole import containers, recorded, site, templates
from tests.services.policies.documents import Told, namespace, pod
from tests.services.policies.packets import Filter

SITES = {
    "zookeeper": site(),
    "kraft": site(kafka={"profile": "kraft"}, store_metrics=False),
    "keda and ngrok": site(
        scaling="keda",
        llm={"simulated": False},
        tunnel={"by": "ngrok", "url": "https://fixai.ngrok.app"},
    ),
    "no tunnel": site(tunnel={"by": "none"}),
}
OUTSIDE = {
    WORLD: End(WORLD, address="world"),
    INTERNET: End(INTERNET, address="internet"),
    **{name: End(name, name) for name in FOREIGN},
}
each_site = pytest.mark.parametrize("of", SITES.values(), ids=SITES.keys())


@each_site
def test_exactly_the_edges_are_admitted(of: Site) -> None:
    assert of.fixai is not None
    recording = recorded(of)
    ends = {**OUTSIDE, **pods(recording)}
    told = {(edge.source, edge.target, edge.port) for edge in edges(of.fixai)}
    found = {
        (source, target, port)
        for source, one in ends.items()
        for target, other in ends.items()
        for port in {edge.port for edge in edges(of.fixai)}
        if source != target
        and not {source, target} <= OUTSIDE.keys()
        and admitted(recording, one, other, port)
    }
    # Whoever is outside is not held to policies of ours when nobody of ours is at the other end,
    # and pods are part of the world.
    world = {(target, port) for source, target, port in told if source == WORLD}
    assert found - {(s, t, p) for s, t, p in found if (t, p) in world} == {
        (s, t, p) for s, t, p in told if (t, p) not in world
    }
    assert {(t, p) for s, t, p in found if s == WORLD} == world


@each_site
def test_what_the_smoke_suite_tries_is_admitted_nowhere(of: Site) -> None:
    assert of.fixai is not None
    recording = recorded(of)
    ends = pods(recording)
    tried = forbidden(of.fixai)
    assert len(tried) > len(edges(of.fixai))
    for edge in tried:
        assert not admitted(recording, ends[edge.source], ends[edge.target], edge.port), edge


@each_site
def test_both_ends_of_every_edge_are_there_and_the_target_listens(of: Site) -> None:
    assert of.fixai is not None
    found = templates(recorded(of))
    for edge in edges(of.fixai):
        for end in (edge.source, edge.target):
            assert end in found or end in OUTSIDE, edge
        if edge.target in found:
            listening = {
                port["containerPort"]
                for container in containers(found[edge.target])
                for port in container.get("ports", ())
            }
            assert edge.port in listening, edge


@each_site
def test_every_workload_has_an_edge_and_a_policy(of: Site) -> None:
    recording = recorded(of)
    named = {
        (p.inputs["metadata"]["namespace"], p.inputs["metadata"]["name"])
        for p in recording.of_type("NetworkPolicy").values()
    }
    assert {(namespace_of(name), name) for name in templates(recording)} <= named


def test_names_are_asked_of_the_cluster_alone() -> None:
    policy = recorded(site()).of_type("NetworkPolicy")["network-fixai-names"].inputs["spec"]
    (rule,) = policy["egress"]
    assert [(port["protocol"], port["port"]) for port in rule["ports"]] == [
        ("UDP", 53),
        ("TCP", 53),
    ]
    (peer,) = rule["to"]
    assert peer["podSelector"] == {"matchLabels": {"k8s-app": "kube-dns"}}
    assert policy["podSelector"] == {}


def test_the_language_model_is_reached_outside_of_private_networks_only() -> None:
    of = SITES["keda and ngrok"]
    policy = recorded(of).of_type("NetworkPolicy")["network-incidents"].inputs["spec"]
    blocks = [
        peer["ipBlock"] for rule in policy["egress"] for peer in rule["to"] if "ipBlock" in peer
    ]
    (block,) = blocks
    assert str(of.network.cidr.supernet(new_prefix=8)) in block["except"]
    assert "169.254.0.0/16" in block["except"]


def test_the_page_lists_every_edge() -> None:
    page = (PROJECT / "docs" / "reference" / "fixai.md").read_text()
    of = site().fixai
    assert of is not None
    rows = [f"| {e.source} | {e.target} | {e.port} | {e.why} |" for e in edges(of)]
    assert [row for row in rows if row not in page] == []
    table = page.partition("## Edges")[2].partition("\n## ")[0]
    assert table.count("\n| ") == len(rows) + 2


@each_site
def test_a_nodes_packet_filter_admits_the_same(of: Site) -> None:
    assert of.fixai is not None
    recording = recorded(of)
    ends = pods(recording)
    addresses = {name: f"10.244.0.{number}" for number, name in enumerate(ends, start=2)}
    dns, world = "10.244.0.250", "203.0.113.9"
    told = Told(
        {
            name: pod(name, addresses[name], namespace=end.namespace, labels=dict(end.labels))
            for name, end in ends.items()
        },
        [namespace(name) for name in ("fixai", "traefik", "kube-system")],
        # Recorded, a port is 80.0; the API tells 80.
        json.loads(
            json.dumps([one.inputs for one in recording.of_type("NetworkPolicy").values()]),
            parse_float=lambda text: int(float(text)),
        ),
    )
    told.pods["dns"] = pod("dns", dns, namespace="kube-system", labels={"k8s-app": "kube-dns"})
    found = Filter(told.table().text)
    for one in forbidden(of.fixai):
        assert not found.passes(addresses[one.source], addresses[one.target], "tcp", one.port)
    for edge in edges(of.fixai):
        if {edge.source, edge.target}.isdisjoint(FOREIGN):
            source, target = (addresses.get(end, world) for end in (edge.source, edge.target))
            assert found.passes(source, target, "tcp", edge.port), edge
    for address in addresses.values():
        assert [found.passes(address, dns, by, 53) for by in ("udp", "tcp")] == [True, True]
        assert not found.passes(address, "10.20.0.11", "tcp", 6443, hook="input")
