"""Dashboards that Grafana can read, about data that the site has."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.homelab.monitoring.dashboards import (
    dashboard_provider,
    dashboards,
    datasources,
    log_queries,
    queries,
)
from components.homelab.monitoring.metrics import METRICS, names_in, sources
from components.homelab.monitoring.rules import alerts, recordings
from inventory.loading import load
from inventory.model import Site
from tests.components.monitoring.lab import ENGINES, PLAIN, accepted, lab, read, tool, unwatched

ALL = {
    "hearth-lab.json",
    "hearth-gateway.json",
    "hearth-assistant.json",
    "hearth-gpu.json",
    "hearth-postgres.json",
    "hearth-redis.json",
    "hearth-host.json",
}


def documents(site: Site) -> dict[str, dict[str, Any]]:
    """The dashboards, read back."""
    return {name: json.loads(text) for name, text in dashboards(site).items()}


@pytest.fixture(params=[*ENGINES, "homelab", "sandbox"])
def site(request: pytest.FixtureRequest) -> Site:
    return lab(engine=request.param) if request.param in ENGINES else load(request.param)


def test_a_whole_lab_has_all_dashboards() -> None:
    assert dashboards(lab()).keys() == ALL


def test_a_file_is_named_by_its_dashboards_address(site: Site) -> None:
    for name, document in documents(site).items():
        assert name == f"{document['uid']}.json"
        assert len(document["uid"]) <= 40


def test_panels_have_ids_of_their_own(site: Site) -> None:
    for document in documents(site).values():
        ids = [panel["id"] for panel in document["panels"]]
        assert sorted(set(ids)) == ids


def test_panels_of_a_row_have_titles_of_their_own() -> None:
    for name, document in documents(lab()).items():
        titles: list[str] = []
        for panel in document["panels"]:
            if panel["type"] == "row":
                titles = []
            assert panel["title"] not in titles, name
            titles.append(panel["title"])


def test_panels_lie_beside_each_other_and_not_over(site: Site) -> None:
    for name, document in documents(site).items():
        cells: set[tuple[int, int]] = set()
        for panel in document["panels"]:
            at = panel["gridPos"]
            covered = {
                (at.get("x", 0) + x, at.get("y", 0) + y)
                for x in range(at["w"])
                for y in range(at["h"])
            }
            assert not covered & cells, (name, panel["title"])
            assert max(x for x, _ in covered) < 24, (name, panel["title"])
            cells |= covered


def test_every_panel_asks_a_data_source_that_is_provisioned() -> None:
    known = {source["uid"] for source in read(datasources(lab()))["datasources"]}
    for document in documents(lab()).values():
        asked = {p["datasource"]["uid"] for p in document["panels"] if p["type"] != "row"}
        chosen = {v["datasource"]["uid"] for v in document.get("templating", {}).get("list", [])}
        assert asked | chosen <= known


def test_queries_are_those_of_the_files(site: Site) -> None:
    in_files = [
        target["expr"]
        for document in documents(site).values()
        for panel in document["panels"]
        for target in panel.get("targets", [])
    ]
    assert len(queries(site)) + len(log_queries(site)) == len(in_files)


def test_every_metric_is_declared_and_its_source_is_part_of_the_site(site: Site) -> None:
    recorded = {recording.name for recording in recordings(site)}
    read = {name for _, _, expr in queries(site) for name in names_in(expr)} - recorded
    assert read <= METRICS.keys()
    assert {METRICS[name].source for name in read} <= sources(site)


def test_a_metric_that_nobody_reads_is_not_declared() -> None:
    read: set[str] = set()
    for engine in ENGINES:
        found = lab(engine=engine)
        read |= {name for _, _, expr in queries(found) for name in names_in(expr)}
        read |= {name for recording in recordings(found) for name in names_in(recording.expr)}
        read |= {name for alert in alerts(found) for name in names_in(alert.expr)}
    assert METRICS.keys() - read == set()


def test_queries_can_be_asked_as_they_stand(site: Site) -> None:
    assert [expr for _, _, expr in (*queries(site), *log_queries(site)) if "$" in expr] == []


def test_prometheus_can_read_every_query(site: Site, tmp_path: Path) -> None:
    promtool = tool("promtool")
    rules = [
        {"record": f"asked:{number}", "expr": expr}
        for number, (_, _, expr) in enumerate(queries(site))
    ]
    (tmp_path / "asked.yml").write_text(
        yaml.safe_dump({"groups": [{"name": "asked", "rules": rules}]})
    )
    accepted([promtool, "check", "rules", "asked.yml"], tmp_path)


def test_the_text_is_the_same_every_time() -> None:
    assert dashboards(lab()) == dashboards(lab())


def test_a_new_machine_changes_no_dashboard() -> None:
    assert dashboards(lab()) == dashboards(lab(PLAIN))


def test_a_site_sees_its_own_engine_and_no_other() -> None:
    for engine, other in (ENGINES, ENGINES[::-1]):
        text = dashboards(lab(engine=engine))["hearth-gateway.json"]
        assert f"{engine}_" in text
        assert f"{other}_" not in text


def test_without_a_gpu_there_is_no_dashboard_of_it() -> None:
    assert "hearth-gpu.json" not in dashboards(load("sandbox"))


def test_without_metrics_there_are_no_dashboards() -> None:
    assert dashboards(unwatched()) == {}


def test_data_sources_are_reached_from_grafana() -> None:
    by_uid = {s["uid"]: s for s in read(datasources(lab()))["datasources"]}
    assert by_uid["hearth-prometheus"]["url"] == "http://prometheus:9090"
    assert by_uid["hearth-prometheus"]["isDefault"] is True
    assert by_uid["hearth-loki"]["url"] == "http://loki:3100"
    assert not any(source["editable"] for source in by_uid.values())


def test_from_another_machine_by_address() -> None:
    found = read(datasources(load("homelab")))["datasources"]
    urls = {source["type"]: source["url"] for source in found}
    assert urls["prometheus"] == "http://192.168.1.147:9090"


def test_grafana_finds_the_files() -> None:
    (provider,) = read(dashboard_provider("/settings/dashboards"))["providers"]
    assert provider["options"] == {"path": "/settings/dashboards"}
    assert provider["allowUiUpdates"] is False
