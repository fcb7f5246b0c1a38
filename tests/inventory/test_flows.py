"""What may be opened where follows from who needs it."""

from __future__ import annotations

from ipaddress import IPv4Network
from pathlib import Path

from inventory.flows import CONTAINERS, flows_into
from inventory.loading import load
from inventory.model import Site
from tests import generate
from tests.generate import Machine

VALID = Path(__file__).parents[1] / "sites" / "valid"
MANAGEMENT = {22: ["192.168.1.0/24"]}
GATEWAY = "192.168.1.147/32"
ASSISTANTS = ["192.168.1.154/32", "192.168.1.157/32", "192.168.1.159/32"]
BACKUP = "192.168.1.234/32"
MONITORED = {9100: [GATEWAY], 8889: [GATEWAY]}
"""Prometheus, on the gateway, asks every machine's node exporter and collector."""


def opened(host: str, site: Site | None = None, protocol: str = "tcp") -> dict[int, list[str]]:
    return {
        flow.port: [str(source) for source in flow.sources]
        for flow in flows_into(site or load("homelab"), host)
        if flow.protocol == protocol
    }


def test_only_the_gateway_is_open_to_all() -> None:
    site = load("homelab")
    everybody = {
        (host, flow.port)
        for host in site.hosts
        for flow in flows_into(site, host)
        if flow.open_to_all
    }
    # Grafana's pages are people's, and nginx hands them on.
    assert everybody == {("pi51", 80), ("pi51", 443), ("pi51", 3000)}


def test_a_database_admits_the_machines_whose_services_use_it() -> None:
    assert opened("pi52") == MANAGEMENT | MONITORED | {
        5432: sorted([*ASSISTANTS, BACKUP]),
        6379: ASSISTANTS,
        9000: sorted([GATEWAY, *ASSISTANTS, BACKUP]),
        9121: [GATEWAY],
        9187: [GATEWAY],
    }


def test_a_port_of_the_sites_own_choice_is_the_one_that_is_opened() -> None:
    document = generate.site([Machine("ai", {"ollama": {"port": 11435, "models": ["llama3.2"]}})])
    assert opened("ai1", Site.model_validate(document)) == {
        22: ["10.0.0.0/16"],
        11435: ["10.0.1.0/32"],
    }


def test_an_upstream_admits_the_gateway_and_what_it_uses_beside_it_nobody() -> None:
    assert opened("agx0") == MANAGEMENT | MONITORED | {8200: [GATEWAY]}


def test_a_fallback_admits_the_gateway_too() -> None:
    assert opened("nano") == MANAGEMENT | MONITORED | {8200: [GATEWAY]}


def test_who_makes_backups_is_asked_for_figures_alone() -> None:
    assert opened("pi31")[8210] == [GATEWAY]
    assert opened("pi41")[3000] == sorted([GATEWAY, BACKUP])


def test_what_listens_on_the_machine_itself_admits_the_containers_beside_it() -> None:
    assert opened("pi51")[9100] == [str(CONTAINERS)]


def test_logs_may_be_sent_from_every_other_machine_that_collects_them() -> None:
    site = load("homelab")
    others = sorted(h.address for name, h in site.hosts.items() if name != "pi41")
    assert opened("pi41")[3100] == [f"{address}/32" for address in others]


def test_a_planned_service_opens_nothing() -> None:
    site = load(str(VALID / "boards-sandbox.yaml"))
    ollama = site.placement("nano-r32.ollama")
    assert not ollama.provisioned
    assert ollama.published
    assert opened("nano-r32", site).keys() == {22}


def test_a_service_that_nobody_needs_opens_nothing() -> None:
    alone = generate.site([Machine("data", {"postgres": {}, "redis": {}, "loki": {}})])
    assert opened("data1", Site.model_validate(alone | {"routes": {}})).keys() == {22}


NETWORK = "192.168.1.0/24"
OWN_CONTAINERS = str(CONTAINERS)


def test_the_whole_network_may_ask_for_names_and_the_time_and_containers_beside_for_names() -> None:
    assert opened("pi31")[53] == [OWN_CONTAINERS, NETWORK]
    assert opened("pi31", protocol="udp") == {53: [OWN_CONTAINERS, NETWORK], 123: [NETWORK]}
    site = load("homelab")
    others = [name for name in site.hosts if name != "pi31"]
    assert all(opened(name, site, "udp") == {} for name in others)


def test_networks_that_overlap_are_one() -> None:
    # nftables refuses a set of addresses that names one twice.
    site = load("homelab")
    inside = site.network.model_copy(update={"cidr": IPv4Network("172.20.0.0/16")})
    assert opened("pi31", site.model_copy(update={"network": inside}))[53] == [OWN_CONTAINERS]


def test_without_its_image_nobody_tells_the_time() -> None:
    site = load("sandbox")
    assert site.registry is not None
    images = {k: image for k, image in site.registry.images.items() if k != "network-tools"}
    registry = site.registry.model_copy(update={"images": images})
    without = site.model_copy(update={"registry": registry})
    assert opened("pi31", without, "udp") == {}
    assert without.time_sources("agx0") == ["pool.ntp.org"]
    assert site.time_sources("agx0") == ["pool.ntp.org", "192.168.1.234"]


def test_two_machines_that_tell_the_time_do_not_ask_each_other() -> None:
    site = load("homelab")
    names = site.hosts["pi31"].services["network-tools"]
    services = site.hosts["pi41"].services | {"network-tools": names}
    second = site.hosts["pi41"].model_copy(update={"services": services})
    both = site.model_copy(update={"hosts": site.hosts | {"pi41": second}})
    assert both.time_sources("pi31") == both.time_sources("pi41") == ["pool.ntp.org"]
    assert both.time_sources("agx0") == ["pool.ntp.org", "192.168.1.204", "192.168.1.234"]
