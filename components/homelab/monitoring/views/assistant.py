"""Models at work: what is asked of them, how fast they begin and go on."""

from __future__ import annotations

from components.homelab.monitoring.alerts.routes import UPSTREAM_UP
from components.homelab.monitoring.panel import Figure, Graph, Limits, Lines, Query, Row, View

_RATE = "[$__rate_interval]"
_FIRST = "assistant_first_token_seconds_bucket"


def _first_token(quantile: float) -> Query:
    return Query(
        f"histogram_quantile({quantile}, sum by (route, le) (rate({_FIRST}{_RATE})))",
        f"{{{{route}}}} {quantile:.0%}",
    )


VIEW = View(
    "hearth-assistant",
    "Ollama and assistant",
    (
        Row(
            "Now",
            (
                Figure(
                    "Tokens a second",
                    "short",
                    (Query(f"sum(rate(assistant_tokens_total{_RATE})) or vector(0)"),),
                ),
                Figure(
                    "In flight", "short", (Query("sum(assistant_in_flight_requests) or vector(0)"),)
                ),
                Figure(
                    "Queued",
                    "short",
                    (Query("sum(assistant_queued_requests) or vector(0)"),),
                    Limits(4, 16),
                ),
                Figure(
                    "Models in memory",
                    "short",
                    (Query("assistant_loaded_models", "{{host}}"),),
                ),
                Figure(
                    "Spooled messages",
                    "short",
                    (Query("sum(assistant_spool_messages) or vector(0)"),),
                    Limits(1, 100),
                ),
                Figure(
                    "Answering",
                    "short",
                    (Query(f'count({UPSTREAM_UP}{{tier="ai"}} == 1) or vector(0)'),),
                    Limits(2, 1),
                ),
            ),
        ),
        Row(
            "Speed",
            (
                Graph(
                    "First token",
                    "s",
                    (_first_token(0.5), _first_token(0.95)),
                ),
                Graph(
                    "Tokens a second by model",
                    "short",
                    (
                        Query(
                            f"sum by (model) (rate(assistant_tokens_total{_RATE}))",
                            "{{model}}",
                        ),
                    ),
                ),
                Graph(
                    "Tokens a second by machine",
                    "short",
                    (
                        Query(
                            f"sum by (host) (rate(assistant_tokens_total{_RATE}))",
                            "{{host}}",
                        ),
                    ),
                ),
            ),
        ),
        Row(
            "Load",
            (
                Graph(
                    "Answers by status",
                    "reqps",
                    (
                        Query(
                            f"sum by (route, status) (rate(assistant_requests_total{_RATE}))",
                            "{{route}} {{status}}",
                        ),
                    ),
                ),
                Graph(
                    "Queue",
                    "short",
                    (
                        Query("assistant_queued_requests", "{{host}} {{route}} waits"),
                        Query("assistant_in_flight_requests", "{{host}} {{route}} in flight"),
                    ),
                ),
                Graph(
                    "Memory of Ollama",
                    "bytes",
                    (
                        Query(
                            'container_memory_usage_total_bytes{container_name="ollama"}',
                            "{{service}}",
                        ),
                    ),
                ),
            ),
        ),
        Row(
            "Logs",
            (Lines("Ollama and assistant", (Query('{service_name=~".+[.](ollama|assistant)"}'),)),),
        ),
    ),
)
