"""PostgreSQL."""

from __future__ import annotations

from components.homelab.monitoring.panel import Figure, Graph, Limits, Lines, Query, Row, View

_RATE = "[$__rate_interval]"


def _rate(metric: str, legend: str) -> Query:
    return Query(f"sum by (host) (rate({metric}{_RATE}))", f"{{{{host}}}} {legend}")


_HIT, _READ = (f"pg_stat_database_blks_{how}" for how in ("hit", "read"))

VIEW = View(
    "hearth-postgres",
    "PostgreSQL",
    (
        Row(
            "Now",
            (
                Figure("Up", "short", (Query("pg_up", "{{host}}"),), Limits(1, 0)),
                Figure(
                    "Connections taken",
                    "percentunit",
                    (
                        Query(
                            "sum by (host) (pg_stat_activity_count)"
                            " / max by (host) (pg_settings_max_connections)",
                            "{{host}}",
                        ),
                    ),
                    Limits(0.8, 0.95),
                ),
                Figure(
                    "Found in memory",
                    "percentunit",
                    (
                        Query(
                            f"sum by (host) (rate({_HIT}[1h])) / (sum by (host) (rate({_HIT}[1h]))"
                            f" + sum by (host) (rate({_READ}[1h])))",
                            "{{host}}",
                        ),
                    ),
                    Limits(0.95, 0.8),
                ),
                Figure(
                    "Deadlocks today",
                    "short",
                    (
                        Query(
                            "sum by (host) (increase(pg_stat_database_deadlocks[1d]))", "{{host}}"
                        ),
                    ),
                    Limits(1, 10),
                ),
            ),
        ),
        Row(
            "Work",
            (
                Graph(
                    "Transactions",
                    "ops",
                    (
                        _rate("pg_stat_database_xact_commit", "committed"),
                        _rate("pg_stat_database_xact_rollback", "rolled back"),
                    ),
                ),
                Graph(
                    "Rows",
                    "ops",
                    (
                        _rate("pg_stat_database_tup_fetched", "fetched"),
                        _rate("pg_stat_database_tup_inserted", "inserted"),
                        _rate("pg_stat_database_tup_updated", "updated"),
                    ),
                ),
                Graph(
                    "Connections by state",
                    "short",
                    (Query("sum by (host, state) (pg_stat_activity_count)", "{{host}} {{state}}"),),
                ),
                Graph(
                    "Size of the databases",
                    "bytes",
                    (
                        Query(
                            'pg_database_size_bytes{datname!~"template.*"}', "{{host}} {{datname}}"
                        ),
                    ),
                    width=24,
                ),
            ),
        ),
        Row("Logs", (Lines("PostgreSQL", (Query('{service_name=~".+[.]postgres"}'),)),)),
    ),
)
