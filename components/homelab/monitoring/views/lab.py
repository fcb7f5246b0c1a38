"""The lab at a glance: what is wrong, what is busy, what is written."""

from __future__ import annotations

from components.homelab.monitoring.panel import Figure, Graph, Limits, Lines, Query, Row, View

VIEW = View(
    "hearth-lab",
    "Lab",
    (
        Row(
            "Now",
            (
                Figure(
                    "Machines up",
                    "short",
                    (Query("count(max by (host) (up) == 1) or vector(0)"),),
                ),
                Figure(
                    "Services down",
                    "short",
                    (Query("count(up == 0) or vector(0)"),),
                    Limits(1, 3),
                ),
                Figure(
                    "Critical alerts",
                    "short",
                    (Query('count(ALERTS{alertstate="firing",severity="critical"}) or vector(0)'),),
                    Limits(1, 1),
                ),
                Figure(
                    "Warnings",
                    "short",
                    (Query('count(ALERTS{alertstate="firing",severity="warning"}) or vector(0)'),),
                    Limits(1, 5),
                ),
                Figure(
                    "Fullest disk",
                    "percentunit",
                    (
                        Query(
                            'max(1 - node_filesystem_avail_bytes{mountpoint="/"}'
                            ' / node_filesystem_size_bytes{mountpoint="/"})'
                        ),
                    ),
                    Limits(0.85, 0.95),
                ),
                Figure(
                    "Oldest backup",
                    "s",
                    (Query("max(time() - hearth_backup_last_success_timestamp_seconds)"),),
                    Limits(26 * 3600, 72 * 3600),
                ),
            ),
        ),
        Row(
            "Machines",
            (
                Graph(
                    "Processor",
                    "percentunit",
                    (
                        Query(
                            "1 - avg by (host)"
                            ' (rate(node_cpu_seconds_total{mode="idle"}[$__rate_interval]))',
                            "{{host}}",
                        ),
                    ),
                    maximum=1,
                ),
                Graph(
                    "Memory in use",
                    "percentunit",
                    (
                        Query(
                            "1 - node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes",
                            "{{host}}",
                        ),
                    ),
                    maximum=1,
                ),
                Graph(
                    "Temperature",
                    "celsius",
                    (Query("hearth:temperature_celsius:max", "{{host}}"),),
                ),
            ),
        ),
        Row(
            "Containers",
            (
                Graph(
                    "Memory by service",
                    "bytes",
                    (Query("topk(10, container_memory_usage_total_bytes)", "{{service}}"),),
                    width=12,
                ),
                Graph(
                    "Restarts",
                    "short",
                    (
                        Query(
                            "sum by (service) (increase(container_restarts_total[15m])) > 0",
                            "{{service}}",
                        ),
                    ),
                    width=12,
                ),
            ),
        ),
        Row(
            "Logs",
            (
                Lines(
                    "Errors of all machines",
                    (Query('{host_name=~".+"} |~ "(?i)(error|fatal|panic|exception)"'),),
                ),
            ),
        ),
    ),
)
