"""Who connects to whom follows from what uses what, and so do the addresses that they are given."""

from __future__ import annotations

from typing import Any

import pytest

from inventory.model import Site
from tests import generate
from tests.generate import Machine

AI = Machine("ai", {"ollama": {"models": ["llama3.2"]}, "assistant": {}})
DATA = Machine("data", {"redis": {}, "minio": {}})
WATCH = Machine("data", {"prometheus": {}, "loki": {}, "node-exporter": {}})


def site(*behind: Machine, **changes: Any) -> Site:
    """A gateway and machines behind it, `ai1`, `data2`, ..., without routes."""
    document = generate.site(behind) | {"routes": {}}
    return Site.model_validate(document | changes)


def clients(of: Site, reference: str) -> dict[str, list[str]]:
    """The other machines that may connect to a service, by the names of its ports."""
    placement = of.placement(reference)
    return {port: placement.clients_of(port) for port in placement.kind.ports}


def test_who_uses_a_service_connects_to_its_first_port_and_no_other() -> None:
    assert clients(site(AI, DATA), "data2.minio") == {"s3": ["ai1"], "console": []}


def test_a_stated_client_may_connect_to_every_port() -> None:
    stated = Machine("data", {"minio": {"clients": ["gateway"]}})
    assert clients(site(stated), "data1.minio") == {"s3": ["gateway"], "console": ["gateway"]}


def test_prometheus_connects_to_the_port_with_metrics_and_no_other() -> None:
    there = site(WATCH)
    assert clients(there, "gateway.engine") == {"proxy": [], "metrics": ["data1"]}
    assert there.placement("gateway.engine").published_ports == ["metrics"]
    assert there.placement("gateway.nginx").kind.metrics is None
    assert not any(clients(there, "gateway.nginx").values())


def test_without_prometheus_metrics_are_for_nobody() -> None:
    assert clients(site(DATA), "gateway.engine") == {"proxy": [], "metrics": []}


def test_a_route_admits_the_gateway_to_its_services_and_its_fallback() -> None:
    document = generate.site([generate.AI, AI])
    chat = document["routes"]["chat1"]
    chat["upstreams"] = [{"service": "ai1.ollama"}]
    chat["fallback"] = "ai2.assistant"
    routed = Site.model_validate(document)
    assert clients(routed, "ai1.ollama") == {"http": ["gateway"]}
    assert clients(routed, "ai2.assistant") == {"http": ["gateway"]}
    assert clients(routed, "ai2.ollama") == {"http": []}


def test_a_machine_is_never_a_client_of_its_own() -> None:
    alone = site(Machine("data", {"redis": {"clients": ["data1"]}, "redis-exporter": {}}), WATCH)
    assert clients(alone, "data1.redis") == {"redis": []}
    assert clients(alone, "data2.prometheus") == {"http": []}
    assert clients(alone, "data2.loki") == {"http": []}
    assert not alone.placement("data2.loki").published


def test_a_planned_user_opens_nothing() -> None:
    # Grafana is planned, in this registry at least.
    registry = {"address": "10.0.2.1", "images": {"prometheus": "prometheus:1", "loki": "loki:1"}}
    planned = site(WATCH, Machine("data", {"grafana": {}}), registry=registry)
    grafana = planned.placement("data2.grafana")
    assert not grafana.provisioned
    assert [used.reference for used in grafana.uses] == ["data1.prometheus", "data1.loki"]
    assert clients(planned, "data1.loki") == {"http": []}


def test_a_planned_prometheus_opens_nothing() -> None:
    registry = {"address": "10.0.2.1", "images": {"haproxy": "haproxy:1"}}
    planned = site(WATCH, registry=registry)
    assert clients(planned, "gateway.engine") == {"proxy": [], "metrics": []}


def test_what_stands_beside_its_user_is_used_rather_than_what_stands_elsewhere() -> None:
    both = site(DATA, AI, AI)
    assert both.placement("ai3.assistant").uses == [
        both.placement("ai3.ollama"),
        both.placement("data1.redis"),
        both.placement("data1.minio"),
    ]


def test_what_is_used_only_beside_its_user_is_not_used_elsewhere() -> None:
    judged = Machine("ai", {**AI.services, "sonarqube": {}})
    there = site(AI, judged)
    alone, beside = (there.placement(f"{host}.assistant") for host in ("ai1", "ai2"))
    assert alone.used("sonarqube") is None
    assert (used := beside.used("sonarqube")) is not None
    assert used in beside.uses
    assert (used.reference, used.published_ports) == ("ai2.sonarqube", [])


def test_elsewhere_the_first_in_the_order_of_tiers_is_used() -> None:
    # The gateway has a Redis too, and stands first in the file.
    used = site(AI, DATA, DATA).placement("ai1.assistant").used("redis")
    assert used is not None
    assert used.reference == "data2.redis"


def test_what_a_site_does_not_have_is_not_used() -> None:
    assert site(AI).placement("ai1.assistant").used("postgres") is None


@pytest.mark.parametrize(
    ("asker", "service", "endpoint"),
    [
        ("ai1", "ai1.ollama", "ollama:11434"),
        ("gateway", "ai1.ollama", "10.0.1.1:11435"),
        ("data2", "data2.node-exporter", "10.0.1.2:9100"),
        ("ai1", "data2.node-exporter", "10.0.1.2:9100"),
    ],
    ids=["beside", "elsewhere", "beside on its machine's network", "elsewhere on it"],
)
def test_an_endpoint_is_what_its_user_can_reach(asker: str, service: str, endpoint: str) -> None:
    on_another_port = Machine("ai", {"ollama": {"port": 11435}})
    placement = site(on_another_port, WATCH).placement(service)
    assert placement.endpoint_from(asker) == endpoint


def test_an_endpoint_is_of_the_port_that_is_asked_for() -> None:
    engine = site().placement("gateway.engine")
    assert engine.endpoint_from("gateway", "metrics") == "engine:8405"
    assert engine.endpoint_from("data1", "metrics") == "10.0.1.0:8405"


def test_an_assistant_answers_with_the_models_of_the_ollama_that_it_uses() -> None:
    small = Machine("ai", {"ollama": {"models": ["llama3.2:1b"]}, "assistant": {}})
    there = site(AI, small, Machine("ai", {"assistant": {}}))
    answers = {n: there.placement(f"{n}.assistant").answers_with for n in ("ai1", "ai2", "ai3")}
    assert answers == {"ai1": ("llama3.2",), "ai2": ("llama3.2:1b",), "ai3": ("llama3.2",)}


def test_a_copy_with_other_machines_has_other_clients() -> None:
    whole = site(AI, DATA)
    assert clients(whole, "data2.redis") == {"redis": ["ai1"]}
    rest = {name: host for name, host in whole.hosts.items() if name != "ai1"}
    fewer = whole.model_copy(update={"hosts": rest})
    assert clients(fewer, "data2.redis") == {"redis": []}
    assert clients(whole, "data2.redis") == {"redis": ["ai1"]}
