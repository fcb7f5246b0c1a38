"""The site's routes as the gateway engines need them, rendered for HAProxy and for Kong.

Both are made from the same `Route`s, so a change of engine changes no behaviour that the
site states: paths, split, limits, health checks, timeouts.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import yaml

from inventory.model import HealthProbe, Placement, Route, Site
from inventory.services import GATEWAY_ENGINES, KINDS
from templates import render


def _milliseconds(duration: timedelta) -> int:
    return int(duration.total_seconds() * 1000)


def gateway_service(site: Site, *kinds: str) -> Placement:
    """The service on the gateway that is of one of these kinds."""
    return next(p for p in site.on_host(site.gateway) if p.kind_name in kinds)


def _inner_port(placement: Placement) -> int:
    return next(iter(placement.kind.ports.values()))


def nginx_config(site: Site) -> str:
    """The configuration file of nginx: TLS, then everything to the engine."""
    engine = gateway_service(site, *GATEWAY_ENGINES)
    nginx = gateway_service(site, "nginx")
    grafana = nginx.used("grafana") if "grafana" in nginx.ports else None
    routes = site.served_routes
    silences = [route.response_timeout for route in routes.values()]
    return render(
        "nginx/nginx.conf.j2",
        engine_name=engine.name,
        engine_port=_inner_port(engine),
        response_timeout_seconds=int(max(silences, default=timedelta(minutes=1)).total_seconds()),
        grafana={
            "port": KINDS["nginx"].ports["grafana"],
            "address": grafana.endpoint_from(site.gateway),
        }
        if grafana
        else None,
        fallbacks=[
            {
                "name": name,
                "path": route.path,
                "address": site.placement(route.fallback).endpoint_from(site.gateway),
                "target": route.target,
            }
            for name, route in routes.items()
            if route.fallback and site.placement(route.fallback).provisioned
        ],
    )


def haproxy_config(site: Site) -> str:
    """HAProxy's configuration file."""
    return render(
        "haproxy/haproxy.cfg.j2",
        port=_inner_port(gateway_service(site, "haproxy")),
        metrics_port=KINDS["haproxy"].ports["metrics"],
        routes=[
            {
                "name": name,
                "path": route.path,
                "target": route.target,
                "requests": route.rate_limit.requests,
                "window_seconds": route.rate_limit.window_seconds,
                "response_timeout_ms": _milliseconds(route.response_timeout),
                "health_path": route.health.path,
                "health_interval_ms": _milliseconds(route.health.interval),
                "health_timeout_ms": _milliseconds(route.health.timeout),
                "healthy_after": route.health.healthy_after,
                "unhealthy_after": route.health.unhealthy_after,
                "upstreams": [
                    {
                        "name": upstream.service,
                        "address": site.placement(upstream.service).address,
                        "weight": upstream.weight,
                    }
                    for upstream in route.upstreams
                ],
            }
            for name, route in site.served_routes.items()
        ],
    )


def kong_config(site: Site, redis_password: str) -> str:
    """Kong's declarative configuration; rate limits are counted in the gateway's Redis."""
    routes = site.served_routes
    redis = gateway_service(site, "redis")
    document = {
        "_format_version": "3.0",
        "services": [
            _kong_service(name, route, redis, redis_password) for name, route in routes.items()
        ],
        "upstreams": [_kong_upstream(site, name, route) for name, route in routes.items()],
        "plugins": [
            {
                "name": "correlation-id",
                "config": {
                    "header_name": "X-Request-Id",
                    "generator": "uuid",
                    "echo_downstream": True,
                },
            },
            {
                # Each family of figures is off unless it is asked for.
                "name": "prometheus",
                "config": {
                    "status_code_metrics": True,
                    "latency_metrics": True,
                    "upstream_health_metrics": True,
                },
            },
        ],
    }
    return yaml.safe_dump(document, sort_keys=False)


def _kong_service(name: str, route: Route, redis: Placement, redis_password: str) -> dict[str, Any]:
    timeout = _milliseconds(route.response_timeout)
    return {
        "name": name,
        "host": f"{name}.upstream",
        "protocol": "http",
        "port": 80,
        **({"path": route.target} if route.target else {}),
        "connect_timeout": 1000,
        "read_timeout": timeout,
        "write_timeout": timeout,
        "retries": 2,
        "routes": [
            {
                "name": name,
                # Whole segments, and the rest of the path is not handed on, as in HAProxy.
                "paths": [f"~{route.path}(?:/.*)?$"],
                "protocols": ["http", "https"],
                # A target of its own takes the place of the whole path.
                "strip_path": route.target is not None,
                "response_buffering": False,
            }
        ],
        "plugins": [
            {
                "name": "rate-limiting",
                "config": {
                    route.rate_limit.per: route.rate_limit.requests,
                    "limit_by": "ip",
                    "policy": "redis",
                    "fault_tolerant": True,
                    "redis": {
                        "host": redis.name,
                        "port": _inner_port(redis),
                        "password": redis_password,
                        "database": 0,
                    },
                },
            },
            {
                # Kong has no header of its own for the target that answered.
                "name": "post-function",
                "config": {
                    "header_filter": [
                        'kong.response.set_header("X-Served-By", ngx.var.upstream_addr)'
                    ]
                },
            },
        ],
    }


def _kong_upstream(site: Site, name: str, route: Route) -> dict[str, Any]:
    return {
        "name": f"{name}.upstream",
        "algorithm": "round-robin",
        "healthchecks": {
            "active": _kong_active_checks(route.health),
            # Passive checks only eject; the active ones bring a target back.
            "passive": {
                "type": "http",
                "healthy": {"successes": 0, "http_statuses": [200]},
                "unhealthy": {
                    "tcp_failures": route.health.unhealthy_after,
                    "timeouts": route.health.unhealthy_after,
                    "http_failures": 0,
                },
            },
        },
        "targets": [
            {
                "target": site.placement(upstream.service).address,
                "weight": upstream.weight,
            }
            for upstream in route.upstreams
        ],
    }


def _kong_active_checks(health: HealthProbe) -> dict[str, Any]:
    """Every threshold set: Kong's defaults are 0, which is off."""
    interval = health.interval.total_seconds()
    return {
        "type": "http",
        "http_path": health.path,
        "timeout": health.timeout.total_seconds(),
        "concurrency": 2,
        "healthy": {
            "interval": interval,
            "successes": health.healthy_after,
            "http_statuses": [200],
        },
        "unhealthy": {
            "interval": interval,
            "http_failures": health.unhealthy_after,
            "tcp_failures": health.unhealthy_after,
            "timeouts": health.unhealthy_after,
            "http_statuses": [404, 429, 500, 501, 502, 503, 504, 505],
        },
    }
