"""Templates say what they are told, and refuse to guess."""

from __future__ import annotations

import re
from ipaddress import IPv4Network
from pathlib import Path

import pytest
from jinja2 import UndefinedError

from inventory.flows import SSH_PORT, Flow, flows_into
from inventory.loading import load
from templates import render

BOARDS = Path(__file__).parents[1] / "sites" / "valid" / "boards.yaml"
FIREWALL = "nftables/nftables.conf.j2"
NGINX = {
    "engine_name": "engine",
    "engine_port": 8000,
    "response_timeout_seconds": 300,
    "fallbacks": [],
    "grafana": None,
}
NO_CLUSTER: dict[str, tuple[str, ...]] = {"own_networks": (), "own_sources": ()}
RULE = re.compile(r'(tcp|udp) dport (\d+) ip saddr \{ (.+) \} accept comment "(.+)"')


def rules(text: str) -> set[tuple[str, int, tuple[str, ...], str]]:
    """The openings of a firewall file."""
    found = RULE.findall(text)
    return {(protocol, int(port), tuple(s.split(", ")), why) for protocol, port, s, why in found}


@pytest.mark.parametrize(
    ("template", "missing"),
    [
        ("haproxy/haproxy.cfg.j2", "settings"),
        (FIREWALL, "own_networks"),
        ("nginx/nginx.conf.j2", "response_timeout_seconds"),
        ("redis/redis.conf.j2", "password"),
    ],
)
def test_a_value_that_nobody_gave_is_an_error(template: str, missing: str) -> None:
    with pytest.raises(UndefinedError, match=f"'{missing}' is undefined"):
        render(template)


@pytest.mark.parametrize("host", load("homelab").hosts)
def test_the_firewall_opens_each_declared_flow_and_no_other(host: str) -> None:
    flows = flows_into(load("homelab"), host)
    expected = {(f.protocol, f.port, tuple(str(s) for s in f.sources), f.reason) for f in flows}
    text = render(FIREWALL, flows=flows, ssh_port=SSH_PORT, **NO_CLUSTER)
    assert rules(text) == expected
    assert text.count("accept comment") == len(flows)


def test_a_flow_from_several_machines_is_one_rule() -> None:
    sources = (IPv4Network("192.168.1.147/32"), IPv4Network("192.168.1.154/32"))
    text = render(
        FIREWALL, flows=[Flow(5432, sources, "postgres")], ssh_port=SSH_PORT, **NO_CLUSTER
    )
    assert rules(text) == {("tcp", 5432, ("192.168.1.147/32", "192.168.1.154/32"), "postgres")}


def test_the_firewall_drops_what_no_rule_admits() -> None:
    text = render(FIREWALL, flows=[], ssh_port=SSH_PORT, **NO_CLUSTER)
    assert rules(text) == set()
    lines = [line.strip() for line in text.splitlines()]
    assert lines[-3:] == ["drop", "}", "}"]


@pytest.mark.parametrize("site", ["homelab", "boards"])
def test_the_older_kernels_firewall_opens_the_same(site: str) -> None:
    loaded = load(site if site == "homelab" else str(BOARDS))
    for host in loaded.hosts:
        flows = flows_into(loaded, host)
        text = render("iptables/hearth-firewall.j2", flows=flows, ssh_port=SSH_PORT)
        admitted = re.findall(r"-p (\w+) --dport (\d+) -s (\S+) ", text)
        assert admitted == [(f.protocol, str(f.port), str(s)) for f in flows for s in f.sources]


def test_nginx_hands_tokens_on_as_they_come() -> None:
    text = render("nginx/nginx.conf.j2", **NGINX)
    assert "proxy_buffering off;" in text
    assert "proxy_http_version 1.1;" in text


def test_nginx_believes_no_client_about_its_address() -> None:
    text = render("nginx/nginx.conf.j2", **NGINX)
    assert "proxy_set_header X-Forwarded-For $remote_addr;" in text
    assert "$proxy_add_x_forwarded_for" not in text


def test_nginx_reads_its_key_from_a_file_and_holds_no_secret() -> None:
    text = render("nginx/nginx.conf.j2", **NGINX)
    assert "ssl_certificate_key /settings/tls.key;" in text
    assert not re.search(r"BEGIN|password|Authorization", text)


def test_nginx_speaks_plain_http_to_the_engine_beside_it_only() -> None:
    text = render("nginx/nginx.conf.j2", **NGINX)
    assert re.findall(r"http://\S+", text) == ["http://engine:8000;"]


@pytest.mark.parametrize(("durable", "kept"), [(True, "yes"), (False, "no")])
def test_redis_keeps_its_data_where_it_is_durable(kept: str, *, durable: bool) -> None:
    text = render(
        "redis/redis.conf.j2",
        password="the-password",  # noqa: S106 - made up here
        maxmemory_bytes=1024,
        eviction="noeviction",
        durable=durable,
    )
    assert f"appendonly {kept}" in text
    assert "requirepass the-password" in text
    assert "maxmemory 1024" in text


def test_a_clusters_own_networks_are_closed_before_anything_is_admitted() -> None:
    own = {"own_networks": ["10.244.0.0/16"], "own_sources": ["10.244.0.0/16", "10.20.0.11/32"]}
    lines = [x.strip() for x in render(FIREWALL, flows=[], ssh_port=SSH_PORT, **own).splitlines()]
    closed = "ip daddr { 10.244.0.0/16 } ip saddr != { 10.244.0.0/16, 10.20.0.11/32 } drop"
    assert lines.index(closed) < lines.index("fib daddr type != local accept")
