"""Lines are found by the same names as metrics, and Loki fits its machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from components.homelab.monitoring.logs import (
    POSITIONS,
    RETENTION_DAYS,
    collector_config,
    loki_config,
)
from components.homelab.monitoring.metrics import METRICS
from components.homelab.service import LOG_OPTIONS
from inventory.loading import load
from inventory.model import Site
from inventory.services import KINDS
from tests.components.monitoring.lab import PLAIN, accepted, lab, read, tool


def loki(site: Site, **more: int) -> dict[str, Any]:
    """Loki's file, read back."""
    (placement,) = site.by_kind["loki"]
    loaded = read(loki_config(site, placement, **more))
    assert isinstance(loaded, dict)
    return loaded


def collector(site: Site, host_name: str) -> dict[str, Any]:
    """A collector's file, read back."""
    loaded = read(collector_config(site, host_name))
    assert isinstance(loaded, dict)
    return loaded


def test_loki_deletes_what_is_old() -> None:
    document = loki(lab(), retention_days=3)
    assert document["limits_config"]["retention_period"] == "72h"
    assert document["compactor"]["retention_enabled"] is True
    assert document["compactor"]["delete_request_store"] == "filesystem"
    assert loki(lab())["limits_config"]["retention_period"] == f"{24 * RETENTION_DAYS}h"


def test_lokis_caches_leave_it_half_of_its_memory() -> None:
    document = loki(lab())
    limit_mib = KINDS["loki"].memory_bytes // 2**20
    caches = [
        document["chunk_store_config"]["chunk_cache_config"]["embedded_cache"]["max_size_mb"],
        document["query_range"]["results_cache"]["cache"]["embedded_cache"]["max_size_mb"],
        int(document["ingester"]["wal"]["replay_memory_ceiling"].removesuffix("MB")),
    ]
    assert sum(caches) < limit_mib / 2


def test_loki_keeps_its_data_in_its_volume() -> None:
    (volume,) = (KINDS["loki"].container.volumes.values()) if KINDS["loki"].container else ("",)
    common = loki(lab())["common"]
    assert common["path_prefix"] == volume
    assert common["storage"]["filesystem"]["chunks_directory"].startswith(f"{volume}/")


def test_loki_labels_lines_by_machine_and_service_and_nothing_else() -> None:
    attributes = loki(lab())["limits_config"]["otlp_config"]["resource_attributes"]
    assert attributes["ignore_defaults"] is True
    (labels,) = attributes["attributes_config"]
    assert labels == {"action": "index_label", "attributes": ["host.name", "service.name"]}


def test_a_collector_sends_to_lokis_address_and_beside_it_to_its_name() -> None:
    assert collector(lab(), "ai1")["exporters"]["otlphttp"]["endpoint"] == (
        "http://10.0.1.4:3100/otlp"
    )
    assert collector(lab(), "data4")["exporters"]["otlphttp"]["endpoint"] == (
        "http://loki:3100/otlp"
    )


def test_a_line_carries_its_machine_and_service() -> None:
    operators = collector(lab(), "ai1")["receivers"]["filelog"]["operators"]
    added = {operator["field"]: operator["value"] for operator in operators if "value" in operator}
    assert added['resource["host.name"]'] == "ai1"
    service = added['resource["service.name"]']
    assert service == 'EXPR("ai1." + (attributes.attrs?.tag ?? "untagged"))'
    assert LOG_OPTIONS["tag"] == "{{.Name}}"


def test_a_collector_goes_on_where_it_stopped_and_keeps_what_loki_did_not_take() -> None:
    document = collector(lab(), "ai1")
    assert document["extensions"]["file_storage"]["directory"] == POSITIONS
    assert document["receivers"]["filelog"]["storage"] == "file_storage"
    assert document["exporters"]["otlphttp"]["sending_queue"]["storage"] == "file_storage"
    assert document["exporters"]["otlphttp"]["retry_on_failure"]["max_elapsed_time"] == "0s"
    shape = KINDS["collector"].container
    assert shape is not None
    assert POSITIONS in shape.volumes.values()


def test_container_metrics_are_on_the_port_that_prometheus_asks() -> None:
    prometheus = collector(lab(), "ai1")["exporters"]["prometheus"]
    assert prometheus["endpoint"] == f"0.0.0.0:{KINDS['collector'].ports['metrics']}"
    assert prometheus["resource_to_telemetry_conversion"] == {"enabled": True}


def test_restarts_are_counted_though_the_receiver_does_not_by_default() -> None:
    metrics = collector(lab(), "ai1")["receivers"]["docker_stats"]["metrics"]
    assert metrics["container.restarts"] == {"enabled": True}


def test_no_metric_is_switched_off_that_somebody_reads() -> None:
    metrics = collector(lab(), "ai1")["receivers"]["docker_stats"]["metrics"]
    off = {name.replace(".", "_") for name, setting in metrics.items() if not setting["enabled"]}
    read = {metric.name for metric in METRICS.values() if metric.source == "collector"}
    # As the exporter writes them: with the unit, and `_total` where they only grow.
    endings = ("_bytes", "_ratio", "_bytes_total", "_nanoseconds_total", "_total")
    assert off
    assert not {f"{name}{ending}" for name in off for ending in endings} & read


def test_where_no_loki_runs_containers_are_still_measured() -> None:
    site = lab()
    watching = site.hosts["data4"]
    without = {name: s for name, s in watching.services.items() if name != "loki"}
    host = watching.model_copy(update={"services": without})
    site = site.model_copy(update={"hosts": site.hosts | {"data4": host}})
    document = collector(site, "ai1")
    assert list(document["service"]["pipelines"]) == ["metrics"]
    assert "filelog" not in document["receivers"]


def test_every_part_of_a_pipeline_is_declared() -> None:
    document = collector(lab(), "ai1")
    for pipeline in document["service"]["pipelines"].values():
        for part, names in pipeline.items():
            assert set(names) <= document[part].keys()
    assert set(document["service"]["extensions"]) == document["extensions"].keys()


def test_a_new_machine_changes_neither_loki_nor_another_collector() -> None:
    assert collector_config(lab(), "ai1") == collector_config(lab(PLAIN), "ai1")
    assert loki(lab()) == loki(lab(PLAIN))


@pytest.mark.parametrize("host_name", ["ai1", "data4"])
def test_the_collector_itself_accepts_its_file(host_name: str, tmp_path: Path) -> None:
    program = tool("otelcol-contrib")
    text = collector_config(lab(), host_name).replace(POSITIONS, str(tmp_path))
    (tmp_path / "collector.yaml").write_text(text)
    accepted([program, "validate", "--config", "collector.yaml"], tmp_path)


def test_loki_itself_accepts_its_file(tmp_path: Path) -> None:
    program = tool("loki")
    site = load("homelab")
    (placement,) = site.by_kind["loki"]
    (tmp_path / "loki.yaml").write_text(loki_config(site, placement))
    accepted([program, "-config.file=loki.yaml", "-verify-config"], tmp_path)
