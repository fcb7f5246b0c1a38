"""Prometheus asks every service that has metrics, once, under the names of the site."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from components.homelab.monitoring.rules import rule_config
from components.homelab.monitoring.scrape import prometheus_config, targets
from inventory.loading import load
from inventory.model import Site
from tests.components.monitoring.lab import ENGINES, PLAIN, accepted, lab, read, tool, unwatched


def jobs(site: Site) -> dict[str, dict[str, Any]]:
    """The scrape jobs by name."""
    document = read(prometheus_config(site))
    return {job["job_name"]: job for job in document["scrape_configs"]}


def asked(site: Site) -> list[dict[str, Any]]:
    """Every target with its labels."""
    return [target for job in jobs(site).values() for target in job["static_configs"]]


@pytest.mark.parametrize("engine", ENGINES)
def test_every_provisioned_service_with_metrics_is_asked_once(engine: str) -> None:
    site = lab(engine=engine)
    expected = [p.reference for p in site.placements() if p.kind.metrics and p.provisioned]
    assert sorted(target["labels"]["service"] for target in asked(site)) == sorted(expected)


def test_a_target_says_where_it_is() -> None:
    (minio,) = jobs(lab())["minio"]["static_configs"]
    assert minio == {
        "targets": ["10.0.1.3:9000"],
        "labels": {
            "host": "data3",
            "service": "data3.minio",
            "tier": "data",
            "board": "raspberry-pi-5-8gb",
        },
    }
    assert jobs(lab())["minio"]["metrics_path"] == "/minio/v2/metrics/cluster"


def test_beside_prometheus_containers_are_asked_by_name() -> None:
    (loki,) = jobs(lab())["loki"]["static_configs"]
    assert loki["targets"] == ["loki:3100"]


def test_a_service_on_the_machines_own_network_is_asked_by_address() -> None:
    exporters = jobs(lab())["node-exporter"]["static_configs"]
    assert ["10.0.1.4:9100"] in [target["targets"] for target in exporters]


def test_only_those_who_speak_for_others_keep_their_labels() -> None:
    keepers = {name for name, job in jobs(lab()).items() if job["honor_labels"]}
    assert keepers == {"backup", "node-exporter", "collector", "drift-check"}


def test_alerts_go_to_the_sites_alertmanager() -> None:
    document = read(prometheus_config(lab()))
    (manager,) = document["alerting"]["alertmanagers"]
    assert manager == {"static_configs": [{"targets": ["alertmanager:9093"]}]}
    assert document["rule_files"] == ["rules.yml"]
    assert document["global"]["external_labels"] == {"site": "generated"}


def test_where_no_prometheus_runs_nothing_is_asked() -> None:
    assert list(targets(unwatched())) == []


def test_a_new_machine_brings_its_targets_and_changes_no_other() -> None:
    before, after = asked(lab()), asked(lab(PLAIN))
    new = [target for target in after if target not in before]
    assert [target for target in after if target not in new] == before
    assert [target["labels"]["service"] for target in new] == [
        "data6.node-exporter",
        "data6.collector",
    ]


@pytest.mark.parametrize("name", ["homelab", "sandbox", *ENGINES])
def test_promtool_accepts_the_file(name: str, tmp_path: Path) -> None:
    promtool = tool("promtool")
    site = lab(engine=name) if name in ENGINES else load(name)
    (tmp_path / "prometheus.yml").write_text(prometheus_config(site))
    (tmp_path / "rules.yml").write_text(rule_config(site))
    accepted([promtool, "check", "config", "prometheus.yml"], tmp_path)
