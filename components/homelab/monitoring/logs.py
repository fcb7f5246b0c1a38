"""Where log lines go: a collector on every machine, and Loki, which keeps them.

A line is found by where it was written: `host_name` and `service_name` are Loki's only labels,
with the values that metrics carry as `host` and `service`.
"""

from __future__ import annotations

from typing import Any

import yaml

from components.homelab.monitoring.scrape import first
from inventory.model import Placement, Site
from inventory.units import MIB

LOKI_DATA = "/loki"
POSITIONS = "/positions"
CONTAINER_LOGS = "/var/lib/docker/containers"
DOCKER_SOCKET = "unix:///var/run/docker.sock"

RETENTION_DAYS = 14
HEALTH_PORT = 13133


def loki_config(site: Site, placement: Placement, retention_days: int = RETENTION_DAYS) -> str:
    """The text of loki.yaml: one process, files, and limits for a small machine.

    Args:
        site: whose machines write.
        placement: Loki's own; its memory limit bounds caches and the log of writes.
        retention_days: lines older than these days are deleted.
    """
    document = {
        "auth_enabled": False,
        "analytics": {"reporting_enabled": False},
        "server": {
            "http_listen_port": placement.kind.ports[placement.first_port],
            "grpc_listen_address": "127.0.0.1",
            "grpc_listen_port": 9096,
            "log_level": "warn",
        },
        "common": {
            "instance_addr": "127.0.0.1",
            "path_prefix": LOKI_DATA,
            "replication_factor": 1,
            "ring": {"kvstore": {"store": "inmemory"}},
            "storage": {
                "filesystem": {
                    "chunks_directory": f"{LOKI_DATA}/chunks",
                    "rules_directory": f"{LOKI_DATA}/rules",
                }
            },
        },
        "schema_config": {
            "configs": [
                {
                    "from": "2025-01-01",
                    "store": "tsdb",
                    "object_store": "filesystem",
                    "schema": "v13",
                    "index": {"prefix": "index_", "period": "24h"},
                }
            ]
        },
        **_memory(placement.memory_bytes // MIB),
        "compactor": {
            "working_directory": f"{LOKI_DATA}/compactor",
            "compaction_interval": "10m",
            "retention_enabled": True,
            "retention_delete_delay": "1h",
            "delete_request_store": "filesystem",
        },
        "limits_config": _limits(retention_days),
    }
    return f"# The logs of {site.name}.\n" + yaml.safe_dump(document, sort_keys=False)


def _memory(limit_mib: int) -> dict[str, Any]:
    """What takes memory, as shares of the container's limit: an eighth here, a quarter there."""
    return {
        "ingester": {
            "chunk_idle_period": "30m",
            "max_chunk_age": "1h",
            "chunk_target_size": 1 * MIB,
            "wal": {
                "enabled": True,
                "dir": f"{LOKI_DATA}/wal",
                "replay_memory_ceiling": f"{limit_mib // 4}MB",
            },
        },
        "querier": {"max_concurrent": 2},
        "query_range": {
            "results_cache": {
                "cache": {"embedded_cache": {"enabled": True, "max_size_mb": limit_mib // 16}}
            }
        },
        "chunk_store_config": {
            "chunk_cache_config": {
                "embedded_cache": {"enabled": True, "max_size_mb": limit_mib // 8}
            }
        },
    }


def _limits(retention_days: int) -> dict[str, Any]:
    """What a Raspberry Pi 4 can take in: a program that runs wild is refused beyond it."""
    return {
        "retention_period": f"{24 * retention_days}h",
        "allow_structured_metadata": True,
        "otlp_config": {
            "resource_attributes": {
                "ignore_defaults": True,
                "attributes_config": [
                    {"action": "index_label", "attributes": ["host.name", "service.name"]}
                ],
            }
        },
        "ingestion_rate_mb": 4,
        "ingestion_burst_size_mb": 8,
        "per_stream_rate_limit": "2MB",
        "per_stream_rate_limit_burst": "8MB",
        "max_global_streams_per_user": 2000,
        "max_line_size": "64KB",
        "max_line_size_truncate": True,
        "max_entries_limit_per_query": 2000,
        "max_query_parallelism": 2,
        "max_query_series": 500,
        "max_query_length": f"{24 * retention_days + 1}h",
        "split_queries_by_interval": "6h",
        # A machine that was away sends its lines when it comes back.
        "reject_old_samples_max_age": f"{24 * min(7, retention_days)}h",
        "volume_enabled": False,
    }


def collector_config(site: Site, host_name: str) -> str:
    """The text of collector.yaml: a machine's log lines to Loki, its containers' figures to ask."""
    (collector,) = (p for p in site.on_host(host_name) if p.kind_name == "collector")
    loki = first(site, "loki")
    logs = {} if loki is None else {"logs": _pipeline("filelog", "otlphttp")}
    document = {
        "extensions": _extensions(),
        "receivers": {
            "docker_stats": _docker_stats(collector.os_release.docker.api_version),
            **({} if loki is None else {"filelog": _filelog(host_name)}),
        },
        "processors": {
            "memory_limiter": {
                "check_interval": "5s",
                "limit_percentage": 75,
                "spike_limit_percentage": 20,
            },
            "batch": {"timeout": "2s", "send_batch_size": 512, "send_batch_max_size": 2048},
            "transform": _placed(host_name),
        },
        "exporters": {
            "prometheus": {
                "endpoint": f"0.0.0.0:{collector.kind.ports['metrics']}",
                "metric_expiration": "2m",
                "resource_to_telemetry_conversion": {"enabled": True},
            },
            **({} if loki is None else {"otlphttp": _to(loki, host_name)}),
        },
        "service": {
            "extensions": list(_extensions()),
            "telemetry": {"logs": {"level": "warn"}, "metrics": {"level": "none"}},
            "pipelines": {
                "metrics": _pipeline("docker_stats", "prometheus", "transform"),
                **logs,
            },
        },
    }
    return yaml.safe_dump(document, sort_keys=False)


def _pipeline(receiver: str, exporter: str, *processors: str) -> dict[str, list[str]]:
    return {
        "receivers": [receiver],
        "processors": ["memory_limiter", *processors, "batch"],
        "exporters": [exporter],
    }


def _extensions() -> dict[str, Any]:
    return {
        "health_check": {"endpoint": f"0.0.0.0:{HEALTH_PORT}"},
        "file_storage": {"directory": POSITIONS, "create_directory": False},
    }


_UNREAD = (
    "container.blockio.io_service_bytes_recursive",
    "container.cpu.usage.kernelmode",
    "container.cpu.usage.total",
    "container.cpu.usage.usermode",
    "container.memory.file",
    "container.memory.percent",
    "container.memory.total_cache",
    "container.network.io.usage.rx_dropped",
    "container.network.io.usage.tx_dropped",
)
"""What the receiver gives by default and nobody reads."""


def _docker_stats(api_version: str) -> dict[str, Any]:
    """The engine's figures of each container: those that somebody reads."""
    return {
        "endpoint": DOCKER_SOCKET,
        # Unless told, it asks for a newer one, which older engines refuse.
        "api_version": api_version,
        "collection_interval": "15s",
        "timeout": "10s",
        "metrics": {
            **{name: {"enabled": True} for name in ("container.restarts", "container.uptime")},
            **{name: {"enabled": False} for name in _UNREAD},
        },
    }


def _placed(host_name: str) -> dict[str, Any]:
    """A container as its service; its id changes with every new container and is left out."""
    name = 'resource.attributes["container.name"]'
    return {
        "metric_statements": [
            f'set(resource.attributes["service"], Concat(["{host_name}", {name}], "."))',
            'keep_keys(resource.attributes, ["service", "container.name"])',
        ]
    }


def _filelog(host_name: str) -> dict[str, Any]:
    """Docker's files, from where the last run stopped; lines in parts are put together."""
    return {
        "include": [f"{CONTAINER_LOGS}/*/*-json.log"],
        "start_at": "beginning",
        "include_file_path": True,
        "include_file_name": False,
        "storage": "file_storage",
        "retry_on_failure": {"enabled": True},
        "operators": [
            {
                "type": "json_parser",
                "timestamp": {
                    "parse_from": "attributes.time",
                    "layout_type": "gotime",
                    "layout": "2006-01-02T15:04:05.999999999Z07:00",
                },
            },
            {
                "type": "recombine",
                "combine_field": "attributes.log",
                "combine_with": "",
                "is_last_entry": 'attributes.log endsWith "\\n"',
                "source_identifier": 'attributes["log.file.path"]',
                "max_log_size": "64KiB",
            },
            {
                "type": "add",
                "field": "body",
                "value": r'EXPR(trimSuffix(attributes.log, "\n"))',
            },
            {"type": "move", "from": "attributes.stream", "to": 'attributes["log.iostream"]'},
            {"type": "add", "field": 'resource["host.name"]', "value": host_name},
            {
                "type": "add",
                "field": 'resource["service.name"]',
                "value": f'EXPR("{host_name}." + (attributes.attrs?.tag ?? "untagged"))',
            },
            *(
                {"type": "remove", "field": field, "if": f"{field} != nil"}
                for field in (
                    "attributes.attrs",
                    "attributes.log",
                    "attributes.time",
                    'attributes["log.file.path"]',
                )
            ),
        ],
    }


def _to(loki: Placement, host_name: str) -> dict[str, Any]:
    """Tried until it is taken; what waits for Loki is on disk."""
    return {
        "endpoint": f"http://{loki.endpoint_from(host_name)}/otlp",
        "retry_on_failure": {"enabled": True, "max_interval": "30s", "max_elapsed_time": "0s"},
        "sending_queue": {"enabled": True, "storage": "file_storage", "queue_size": 500},
    }
