"""The gateway: what is asked, how it is answered, and what of the promises is left."""

from __future__ import annotations

from datetime import timedelta

from components.homelab.monitoring.alerts.routes import UPSTREAM_UP, budget, recorded
from components.homelab.monitoring.panel import Figure, Graph, Limits, Lines, Query, Row, View

_HOUR = timedelta(hours=1)
_THREE_DAYS = timedelta(days=3)

_BACKEND = "haproxy_backend_http_responses_total"

VIEW = View(
    "hearth-gateway",
    "Gateway and service levels",
    (
        Row(
            "Service levels",
            (
                Figure(
                    "Errors, of what is allowed",
                    "percentunit",
                    (
                        Query(
                            f"max by (route) ({recorded('errors', _THREE_DAYS)})"
                            f" / on (route) {budget('errors')}",
                            "{{route}}",
                        ),
                    ),
                    Limits(0.5, 1),
                    description="Of the last 3 days; at 100 % the promise is just kept.",
                    width=6,
                ),
                Figure(
                    "Late answers, of what is allowed",
                    "percentunit",
                    (
                        Query(
                            f"max by (route) ({recorded('slow', _THREE_DAYS)})"
                            f" / on (route) {budget('slow')}",
                            "{{route}}",
                        ),
                    ),
                    Limits(0.5, 1),
                    description="Of the last 3 days; at 100 % the promise is just kept.",
                    width=6,
                ),
                Figure(
                    "Upstreams that answer", "short", (Query(UPSTREAM_UP, "{{service}}"),), width=12
                ),
                Graph(
                    "Errors within the hour",
                    "percentunit",
                    (Query(f"max by (route) ({recorded('errors', _HOUR)})", "{{route}}"),),
                    width=12,
                ),
                Graph(
                    "Late answers within the hour",
                    "percentunit",
                    (Query(f"max by (route) ({recorded('slow', _HOUR)})", "{{route}}"),),
                    width=12,
                ),
            ),
        ),
        Row(
            "HAProxy",
            (
                Graph(
                    "Answers by route",
                    "reqps",
                    (Query(f"sum by (proxy) (rate({_BACKEND}[$__rate_interval]))", "{{proxy}}"),),
                ),
                Graph(
                    "Answers by status",
                    "reqps",
                    (
                        Query(
                            "sum by (code)"
                            " (rate(haproxy_frontend_http_responses_total[$__rate_interval]))",
                            "{{code}}",
                        ),
                    ),
                    description="4xx counts what the rate limits refused, too.",
                ),
                Graph(
                    "Split over the upstreams",
                    "reqps",
                    (
                        Query(
                            "sum by (proxy, server)"
                            " (rate(haproxy_server_http_responses_total[$__rate_interval]))",
                            "{{proxy}} {{server}}",
                        ),
                    ),
                ),
                Graph(
                    "Time to first byte",
                    "s",
                    (Query("haproxy_backend_response_time_average_seconds", "{{proxy}}"),),
                    description="Average of the last 1,024 answers.",
                ),
                Graph(
                    "In flight", "short", (Query("haproxy_backend_current_sessions", "{{proxy}}"),)
                ),
                Graph("Waiting", "short", (Query("haproxy_backend_current_queue", "{{proxy}}"),)),
            ),
        ),
        Row(
            "Kong",
            (
                Graph(
                    "Answers by route",
                    "reqps",
                    (
                        Query(
                            "sum by (route) (rate(kong_http_requests_total[$__rate_interval]))",
                            "{{route}}",
                        ),
                    ),
                ),
                Graph(
                    "Answers by status",
                    "reqps",
                    (
                        Query(
                            "sum by (code) (rate(kong_http_requests_total[$__rate_interval]))",
                            "{{code}}",
                        ),
                    ),
                ),
                Graph(
                    "Time to first byte, 95 of 100",
                    "ms",
                    (
                        Query(
                            "histogram_quantile(0.95, sum by (route, le)"
                            " (rate(kong_upstream_latency_ms_bucket[$__rate_interval])))",
                            "{{route}}",
                        ),
                    ),
                ),
            ),
        ),
        Row(
            "Logs",
            (
                Lines(
                    "Answers of 500 and above",
                    (Query('{service_name=~".+[.](nginx|engine)"} |~ " 5[0-9][0-9] "'),),
                ),
            ),
        ),
    ),
)
