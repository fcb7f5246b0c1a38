"""Redis, on the gateway and with the data."""

from __future__ import annotations

from components.homelab.monitoring.panel import Figure, Graph, Limits, Lines, Query, Row, View

_RATE = "[$__rate_interval]"
_HITS, _MISSES = (f"rate(redis_keyspace_{what}_total{_RATE})" for what in ("hits", "misses"))

VIEW = View(
    "hearth-redis",
    "Redis",
    (
        Row(
            "Now",
            (
                Figure("Up", "short", (Query("redis_up", "{{host}}"),), Limits(1, 0), width=6),
                Figure("Keys", "short", (Query("sum by (host) (redis_db_keys)", "{{host}}"),)),
                Figure(
                    "Clients", "short", (Query("redis_connected_clients", "{{host}}"),), width=6
                ),
                Figure(
                    "Last save",
                    "short",
                    (Query("redis_rdb_last_bgsave_status", "{{host}}"),),
                    Limits(1, 0),
                    width=6,
                ),
            ),
        ),
        Row(
            "Work",
            (
                Graph(
                    "Commands",
                    "ops",
                    (Query(f"rate(redis_commands_processed_total{_RATE})", "{{host}}"),),
                ),
                Graph(
                    "Memory",
                    "bytes",
                    (
                        Query("redis_memory_used_bytes", "{{host}} used"),
                        Query("redis_memory_max_bytes > 0", "{{host}} allowed"),
                    ),
                ),
                Graph(
                    "Found",
                    "percentunit",
                    (Query(f"{_HITS} / ({_HITS} + {_MISSES})", "{{host}}"),),
                    maximum=1,
                ),
                Graph(
                    "Evicted keys",
                    "ops",
                    (Query(f"rate(redis_evicted_keys_total{_RATE})", "{{host}}"),),
                ),
            ),
        ),
        Row("Logs", (Lines("Redis", (Query('{service_name=~".+[.]redis"}'),)),)),
    ),
)
