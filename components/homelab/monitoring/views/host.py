"""One machine, closely."""

from __future__ import annotations

from components.homelab.monitoring.alerts.hosts import KEPT
from components.homelab.monitoring.panel import Figure, Graph, Limits, Lines, Query, Row, View

_RATE = "[$__rate_interval]"
_HERE = 'host="$host"'
_DEVICES = 'device!~"lo|veth.*|br-.*|docker.*"'


def _here(metric: str, *more: str) -> str:
    return f"{metric}{{{','.join((_HERE, *more))}}}"


VIEW = View(
    "hearth-host",
    "Machine",
    (
        Row(
            "Now",
            (
                Figure("Up since", "s", (Query(f"time() - {_here('node_boot_time_seconds')}"),)),
                Figure("Load", "short", (Query(_here("node_load1")),)),
                Figure(
                    "Temperature",
                    "celsius",
                    (Query(_here("hearth:temperature_celsius:max")),),
                    Limits(75, 82),
                ),
                Figure(
                    "Too little power",
                    "short",
                    (Query(_here("hearth_undervoltage")),),
                    Limits(1, 1),
                ),
                Figure(
                    "Clock is off by", "s", (Query(f"abs({_here('node_timex_offset_seconds')})"),)
                ),
                Figure(
                    "Settings that differ", "short", (Query(_here("hearth_drift")),), Limits(1, 5)
                ),
            ),
        ),
        Row(
            "Machine",
            (
                Graph(
                    "Processor",
                    "percentunit",
                    (
                        Query(
                            "avg by (mode) (rate("
                            + _here("node_cpu_seconds_total", 'mode!="idle"')
                            + f"{_RATE}))",
                            "{{mode}}",
                        ),
                    ),
                    maximum=1,
                ),
                Graph(
                    "Memory",
                    "bytes",
                    (
                        Query(_here("node_memory_MemTotal_bytes"), "all"),
                        Query(_here("node_memory_MemAvailable_bytes"), "available"),
                        Query(
                            f"{_here('node_memory_SwapTotal_bytes')}"
                            f" - {_here('node_memory_SwapFree_bytes')}",
                            "swapped",
                        ),
                    ),
                ),
                Graph(
                    "Disk in use",
                    "percentunit",
                    (
                        Query(
                            f"1 - {_here('node_filesystem_avail_bytes', KEPT)}"
                            f" / {_here('node_filesystem_size_bytes', KEPT)}",
                            "{{mountpoint}}",
                        ),
                    ),
                    maximum=1,
                ),
                Graph(
                    "Disk traffic",
                    "Bps",
                    (
                        Query(
                            f"rate({_here('node_disk_read_bytes_total')}{_RATE})", "{{device}} read"
                        ),
                        Query(
                            f"rate({_here('node_disk_written_bytes_total')}{_RATE})",
                            "{{device}} written",
                        ),
                    ),
                ),
                Graph(
                    "Network",
                    "Bps",
                    (
                        Query(
                            "rate("
                            + _here("node_network_receive_bytes_total", _DEVICES)
                            + f"{_RATE})",
                            "{{device}} in",
                        ),
                        Query(
                            "rate("
                            + _here("node_network_transmit_bytes_total", _DEVICES)
                            + f"{_RATE})",
                            "{{device}} out",
                        ),
                    ),
                ),
                Graph(
                    "Temperatures",
                    "celsius",
                    (
                        Query(_here("node_hwmon_temp_celsius"), "{{chip}} {{sensor}}"),
                        Query(_here("node_thermal_zone_temp"), "{{type}} {{zone}}"),
                    ),
                ),
            ),
        ),
        Row(
            "Containers",
            (
                Graph(
                    "Processor",
                    "percent",
                    (Query(_here("container_cpu_utilization_ratio"), "{{container_name}}"),),
                    description="100 % is one core.",
                ),
                Graph(
                    "Memory, of the limit",
                    "percentunit",
                    (
                        Query(
                            f"{_here('container_memory_usage_total_bytes')}"
                            f" / {_here('container_memory_usage_limit_bytes')}",
                            "{{container_name}}",
                        ),
                    ),
                    maximum=1,
                ),
                Graph(
                    "Network",
                    "Bps",
                    (
                        Query(
                            "sum by (container_name) (rate("
                            + _here("container_network_io_usage_rx_bytes_total")
                            + f"{_RATE}))",
                            "{{container_name}} in",
                        ),
                        Query(
                            "sum by (container_name) (rate("
                            + _here("container_network_io_usage_tx_bytes_total")
                            + f"{_RATE}))",
                            "{{container_name}} out",
                        ),
                    ),
                ),
                Graph(
                    "Up since",
                    "s",
                    (Query(_here("container_uptime_seconds"), "{{container_name}}"),),
                ),
            ),
        ),
        Row("Logs", (Lines("This machine", (Query('{host_name="$host"}'),)),)),
    ),
    by="host",
)
