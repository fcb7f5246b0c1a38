"""Every metric that rules and dashboards read, declared once, with the kind that exposes it.

`textfile` metrics are written to node exporter's textfile folder by programs of the lab
(deploys/metrics.py); their own labels replace the target's, so `service` names what a metric is
about.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from inventory.model import Site

Provider = Literal["program", "textfile", "service"]

GPU = "gpu"
"""Source of the metrics that only machines with a GPU write."""


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric and where it comes from.

    Attributes:
        source: kind of the service whose page has it, or `GPU`.
        provider: who has to write it: the program itself, a textfile, a service of our own.
        labels: beside the target's host, service, tier and board, or in place of them.
        meaning: with the unit; empty where the program's own documentation says it.
    """

    name: str
    source: str
    provider: Provider = "program"
    labels: tuple[str, ...] = ()
    meaning: str = ""


def _of(source: str, *names: str) -> Iterator[Metric]:
    """Metrics that a program exposes by itself."""
    return (Metric(name, source) for name in names)


def _written(
    name: str, *labels: str, meaning: str, source: str = "node-exporter"
) -> Iterator[Metric]:
    """A metric that a program of the lab writes as a textfile."""
    yield Metric(name, source, "textfile", labels, meaning)


def _counted(name: str, *labels: str, meaning: str, source: str = "assistant") -> Iterator[Metric]:
    """A metric of a service of our own: the lab's API, unless it says otherwise."""
    yield Metric(name, source, "service", labels, meaning)


def _declared() -> Iterator[Metric]:
    yield from _of(
        "prometheus",
        "up",
        "ALERTS",
        "prometheus_config_last_reload_successful",
        "prometheus_notifications_errors_total",
        "prometheus_rule_evaluation_failures_total",
        "prometheus_tsdb_compactions_failed_total",
        "prometheus_tsdb_wal_corruptions_total",
    )
    yield from _of(
        "alertmanager",
        "alertmanager_config_last_reload_successful",
        "alertmanager_notifications_failed_total",
    )
    yield from _of("loki", "loki_discarded_samples_total", "loki_distributor_lines_received_total")
    yield from _of(
        "node-exporter",
        "node_boot_time_seconds",
        "node_cpu_seconds_total",
        "node_disk_read_bytes_total",
        "node_disk_written_bytes_total",
        "node_filesystem_avail_bytes",
        "node_filesystem_files",
        "node_filesystem_files_free",
        "node_filesystem_readonly",
        "node_filesystem_size_bytes",
        "node_hwmon_temp_celsius",
        "node_load1",
        "node_memory_MemAvailable_bytes",
        "node_memory_MemTotal_bytes",
        "node_memory_SwapFree_bytes",
        "node_memory_SwapTotal_bytes",
        "node_network_receive_bytes_total",
        "node_network_transmit_bytes_total",
        "node_thermal_zone_temp",
        "node_timex_offset_seconds",
        "node_timex_sync_status",
        "node_vmstat_oom_kill",
    )
    # As the collector's Prometheus exporter names the metrics of its docker_stats receiver.
    yield from _of(
        "collector",
        "container_cpu_utilization_ratio",
        "container_memory_usage_limit_bytes",
        "container_memory_usage_total_bytes",
        "container_network_io_usage_rx_bytes_total",
        "container_network_io_usage_tx_bytes_total",
        "container_restarts_total",
        "container_uptime_seconds",
    )
    yield from _of(
        "haproxy",
        "haproxy_backend_current_queue",
        "haproxy_backend_current_sessions",
        "haproxy_backend_http_responses_total",
        "haproxy_backend_response_time_average_seconds",
        "haproxy_frontend_http_responses_total",
        "haproxy_server_http_responses_total",
        "haproxy_server_status",
    )
    yield from _of(
        "kong",
        "kong_http_requests_total",
        "kong_upstream_latency_ms_bucket",
        "kong_upstream_target_health",
    )
    yield from _of(
        "postgres-exporter",
        "pg_database_size_bytes",
        "pg_settings_max_connections",
        "pg_stat_activity_count",
        "pg_stat_database_blks_hit",
        "pg_stat_database_blks_read",
        "pg_stat_database_deadlocks",
        "pg_stat_database_tup_fetched",
        "pg_stat_database_tup_inserted",
        "pg_stat_database_tup_updated",
        "pg_stat_database_xact_commit",
        "pg_stat_database_xact_rollback",
        "pg_up",
    )
    yield from _of(
        "redis-exporter",
        "redis_commands_processed_total",
        "redis_config_maxclients",
        "redis_connected_clients",
        "redis_db_keys",
        "redis_evicted_keys_total",
        "redis_keyspace_hits_total",
        "redis_keyspace_misses_total",
        "redis_memory_max_bytes",
        "redis_memory_used_bytes",
        "redis_rdb_last_bgsave_status",
        "redis_up",
    )
    yield from _of(
        "minio",
        "minio_cluster_capacity_usable_free_bytes",
        "minio_cluster_capacity_usable_total_bytes",
        "minio_cluster_drive_offline_total",
    )
    yield from _counted(
        "assistant_requests_total",
        *("route", "status"),
        meaning="answers given, by HTTP status; answers broken off midway count as 5xx",
    )
    yield from _counted(
        "assistant_first_token_seconds_bucket",
        *("route", "le"),
        meaning="histogram in seconds; each route's first_byte_p95 has to be one of its bounds",
    )
    yield from _counted(
        "assistant_first_token_seconds_count",
        "route",
        meaning="answers that began",
    )
    yield from _counted(
        "assistant_tokens_total", *("route", "model"), meaning="tokens that models gave"
    )
    yield from _counted(
        "assistant_in_flight_requests", "route", meaning="requests being answered now"
    )
    yield from _counted(
        "assistant_queued_requests", "route", meaning="requests that wait for the model"
    )
    yield from _counted(
        "assistant_loaded_models", meaning="models that Ollama beside it holds in memory"
    )
    yield from _counted(
        "assistant_spool_messages", meaning="messages that wait for the database to come back"
    )
    yield from _written("hearth_undervoltage", meaning="1 while the supply is too weak, else 0")
    yield from _written(
        "hearth_container_healthy",
        "service",
        meaning="1 if it runs and passes its health check, else 0; containers with a check only",
    )
    yield Metric(
        "hearth_backup_last_success_timestamp_seconds",
        "backup",
        labels=("service",),
        meaning="Unix time of the last backup that was written and read back",
    )
    yield from _counted(
        "hearth_certificate_expiry_timestamp_seconds",
        *("service", "host", "tier", "board", "subject_name"),
        meaning="Unix time at which the certificate that is served stops to be valid",
        source="drift-check",
    )
    yield from _counted(
        "hearth_drift",
        *("host", "tier", "board"),
        meaning="services of the machine that are not as the site says, by the last check",
        source="drift-check",
    )
    yield from _counted(
        "hearth_drift_unknown",
        *("host", "tier", "board"),
        meaning="1 while the machine does not say how it is, else 0",
        source="drift-check",
    )
    yield from _counted(
        "hearth_drift_last_check_timestamp_seconds",
        meaning="Unix time at which all was compared",
        source="drift-check",
    )
    yield from _written("jetson_gpu_load_ratio", meaning="busy share, 0 to 1", source=GPU)
    yield from _written("jetson_gpu_frequency_hertz", meaning="clock", source=GPU)
    yield from _written("jetson_gpu_temperature_celsius", meaning="of the GPU", source=GPU)
    yield from _written("jetson_gpu_power_watts", meaning="taken by GPU and SoC", source=GPU)


METRICS: dict[str, Metric] = {metric.name: metric for metric in _declared()}

_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')
_SELECTORS = re.compile(r"\{[^}]*\}|\[[^\]]*\]")
_GROUPING = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)")
_NAME = re.compile(r"(?<![\w:.$])([a-zA-Z_:][\w:]*)\b(?!\s*\()")
_WORDS = frozenset({"and", "or", "unless", "bool", "offset", "by", "on"})


def names_in(expr: str) -> frozenset[str]:
    """The metrics and recorded series that a PromQL expression reads."""
    text = expr
    for noise in (_QUOTED, _SELECTORS, _GROUPING):
        text = noise.sub(" ", text)
    return frozenset(_NAME.findall(text)) - _WORDS


def sources(site: Site) -> frozenset[str]:
    """What the site's metrics come from: kinds that are provisioned, and GPUs.

    Nothing, where no Prometheus asks.
    """
    kinds = {placement.kind_name for placement in site.placements() if placement.provisioned}
    with_gpu = any(host.hardware.gpu for host in site.hosts.values()) and site.sandbox is None
    if "prometheus" not in kinds:
        return frozenset()
    return frozenset(kinds | ({GPU} if with_gpu else set()))
