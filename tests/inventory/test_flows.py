"""What may be opened where follows from who needs it."""

from __future__ import annotations

from inventory.flows import flows_into
from inventory.loading import load


def opened(host: str) -> dict[int, list[str]]:
    return {f.port: [str(s) for s in f.sources] for f in flows_into(load("homelab"), host)}


def test_only_the_gateway_is_open_to_all() -> None:
    site = load("homelab")
    everybody = {
        (host, flow.port)
        for host in site.hosts
        for flow in flows_into(site, host)
        if flow.open_to_all
    }
    assert everybody == {("pi51", 80), ("pi51", 443)}


def test_a_database_admits_its_declared_clients() -> None:
    assert opened("pi52") == {
        22: ["192.168.1.0/24"],
        5432: ["192.168.1.147/32", "192.168.1.154/32", "192.168.1.157/32"],
        6379: ["192.168.1.147/32", "192.168.1.154/32", "192.168.1.157/32"],
    }


def test_an_upstream_admits_the_gateway_on_the_port_that_the_site_gives_it() -> None:
    assert opened("orin0") == {22: ["192.168.1.0/24"], 11435: ["192.168.1.147/32"]}


def test_a_service_that_nobody_needs_opens_nothing() -> None:
    assert opened("pi41") == {22: ["192.168.1.0/24"]}
