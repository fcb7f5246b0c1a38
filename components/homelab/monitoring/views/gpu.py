"""The Jetsons' GPUs."""

from __future__ import annotations

from components.homelab.monitoring.panel import Graph, Query, Row, View

VIEW = View(
    "hearth-gpu",
    "GPU",
    (
        Row(
            "GPU",
            (
                Graph(
                    "Busy",
                    "percentunit",
                    (Query("jetson_gpu_load_ratio", "{{host}}"),),
                    width=12,
                    maximum=1,
                ),
                Graph(
                    "Temperature",
                    "celsius",
                    (Query("jetson_gpu_temperature_celsius", "{{host}}"),),
                    width=12,
                ),
                Graph("Clock", "hertz", (Query("jetson_gpu_frequency_hertz", "{{host}}"),)),
                Graph("Power", "watt", (Query("jetson_gpu_power_watts", "{{host}}"),)),
                Graph(
                    "Memory, shared with the system",
                    "bytes",
                    (
                        Query(
                            "(node_memory_MemTotal_bytes - node_memory_MemAvailable_bytes)"
                            " and on (host) jetson_gpu_load_ratio",
                            "{{host}}",
                        ),
                    ),
                ),
            ),
        ),
    ),
)
