"""A site that is a cluster: who reaches what, and whose the pods' addresses are."""

from __future__ import annotations

from ipaddress import IPv4Network
from pathlib import Path

from inventory.flows import flows_into, forwarded
from inventory.kubernetes import Kubernetes
from inventory.loading import load
from inventory.model import Site

MANAGEMENT = {22: ["10.20.0.0/24"]}


def opened(site: Site, host: str) -> dict[int, list[str]]:
    return {flow.port: [str(s) for s in flow.sources] for flow in flows_into(site, host)}


def with_management(*networks: str) -> Site:
    site = load("fixai")
    management = tuple(map(IPv4Network, networks))
    network = site.network.model_copy(update={"management": management})
    return site.model_copy(update={"network": network})


def test_the_api_is_open_to_nodes_and_administrators() -> None:
    site = with_management("10.9.0.7/32")

    assert opened(site, "master01")[6443] == ["10.9.0.7/32", "10.20.0.12/32"]


def test_a_kubelet_is_open_to_the_control_plane_alone() -> None:
    assert opened(load("fixai"), "worker01") == MANAGEMENT | {10250: ["10.20.0.11/32"]}


def test_the_world_reaches_traefik_and_nobody_reaches_etcd() -> None:
    ports = opened(load("fixai"), "master01")

    assert {port for port, sources in ports.items() if sources == ["0.0.0.0/0"]} == {80, 443}
    assert not {2379, 2380, 10250, 10257, 10259} & set(ports)


def test_pods_and_services_are_reached_by_pods_and_machines_alone() -> None:
    own, sources = forwarded(load("fixai"))

    assert [str(network) for network in own] == ["10.244.0.0/16", "10.96.0.0/16"]
    assert [str(s) for s in sources] == ["10.244.0.0/16", "10.20.0.11/32", "10.20.0.12/32"]


def test_a_site_without_a_cluster_has_no_networks_of_its_own() -> None:
    assert forwarded(load("homelab")) == ((), ())


def test_each_node_has_pods_of_its_own() -> None:
    site = load("fixai")

    assert [str(site.pods_of(name)) for name in site.nodes] == ["10.244.0.0/24", "10.244.1.0/24"]


def test_a_machine_without_pods_is_no_node(tmp_path: Path) -> None:
    other = tmp_path / "other.yaml"
    other.write_text(
        "extends: fixai\nname: other\nfixai: null\nhosts: {master01: {services: {node: null}}}\n"
    )
    site = load(str(other))

    assert (site.control_plane, site.nodes) == ("master01", ["worker01"])
    assert str(site.pods_of("worker01")) == "10.244.0.0/24"


def test_a_clusters_parts_are_provisioned_and_have_no_containers() -> None:
    for placement in load("fixai").placements():
        assert placement.provisioned, placement.reference
        assert placement.kind.container is None


def test_names_are_asked_for_at_the_tenth_address_of_the_services() -> None:
    assert Kubernetes().dns == "10.96.0.10"
    assert Kubernetes(version="1.34.2").minor == "1.34"
