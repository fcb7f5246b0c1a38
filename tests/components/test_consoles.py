"""The pages for administrators: on their machine's loopback only, each with an account."""

from __future__ import annotations

import json

import yaml

from components.homelab.postgres import pgadmin_servers
from components.homelab.redis import commander_config
from components.homelab.routing import nginx_config
from inventory.flows import flows_into
from inventory.loading import load
from tests.components.recorder import opened, record_site

CONSOLES = {
    "pi52.pgadmin": 5050,
    "pi52.redis-commander": 8081,
    "agx0.sonarqube": 9000,
    "agx0.jupyterhub": 8000,
}


def test_no_other_machine_can_connect_to_them() -> None:
    site = load("sandbox")
    containers = record_site(site).of_type("Container")

    for reference, port in CONSOLES.items():
        (published,) = containers[reference].inputs["ports"]
        assert (published["ip"], published["external"]) == ("127.0.0.1", port)
        assert site.placement(reference).published_ports == []
        assert port not in {flow.port for flow in flows_into(site, reference.partition(".")[0])}


def test_redis_commander_asks_for_an_account() -> None:
    told = json.loads(commander_config("redis:6379", redis="one", own="two"))

    assert told["server"]["httpAuth"] == {"username": "admin", "password": "two"}
    (connection,) = told["connections"]
    assert (connection["host"], connection["port"], connection["password"]) == (
        "redis",
        "6379",
        "one",
    )


def test_pgadmin_logs_in_as_the_role_that_reads() -> None:
    server = json.loads(pgadmin_servers("postgres:5432"))["Servers"]["1"]

    assert (server["Host"], server["Port"], server["Username"]) == ("postgres", 5432, "dashboards")


def test_grafana_is_given_all_that_it_shows() -> None:
    settings = record_site(load("sandbox")).of_type("Files")["pi41.grafana"]
    files = dict(opened(settings.inputs["files"]))

    (provider,) = yaml.safe_load(str(files["provisioning/dashboards/hearth.yaml"]))["providers"]
    assert provider["options"] == {"path": "/settings/dashboards"}
    assert "dashboards/hearth-lab.json" in files
    assert "provisioning/datasources/hearth.yaml" in files


def test_the_gateway_hands_grafana_on_where_the_site_has_one() -> None:
    site = load("sandbox")

    assert "listen 3000 ssl" in nginx_config(site)
    assert "http://192.168.1.204:3000;" in nginx_config(site)
    assert site.placement("pi51.nginx").ports == {"http": 80, "https": 443, "grafana": 3000}


def test_without_grafana_its_port_is_not_there() -> None:
    site = load("sandbox")
    assert site.registry is not None
    images = {kind: image for kind, image in site.registry.images.items() if kind != "grafana"}
    registry = site.registry.model_copy(update={"images": images, "simulated": ()})
    without = site.model_copy(update={"registry": registry})

    assert without.placement("pi51.nginx").ports == {"http": 80, "https": 443}
    assert "listen 3000" not in nginx_config(without)
    assert {flow.port for flow in flows_into(without, "pi51") if flow.open_to_all} == {80, 443}
