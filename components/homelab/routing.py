"""The site's routes as the gateway engines need them, rendered for HAProxy and for Kong.

Both are made from the same `Route`s, so a change of engine changes no behaviour that the
site states: paths, split, clients, limits, health checks, timeouts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import yaml

from inventory.model import KEY_HEADER, HealthProbe, Placement, Route, Site
from inventory.services import GATEWAY_ENGINES, KINDS, SETTINGS
from templates import render

REDIS_PASSWORD = "redis-password"  # noqa: S105 - a name
"""The file in which HAProxy finds it."""

_KONG_TELLS_CONSUMER = (
    "local consumer = kong.client.get_consumer() "
    'if consumer then kong.response.set_header("X-Consumer-Username", consumer.username) end'
)


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
        api_keys=bool(site.api_clients),
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
    """HAProxy's configuration file; it reads `limits.lua` and `keys.map` beside it."""
    engine = gateway_service(site, "haproxy")
    redis = gateway_service(site, "redis")
    return render(
        "haproxy/haproxy.cfg.j2",
        settings=SETTINGS,
        redis=redis.endpoint_from(site.gateway),
        redis_port=_inner_port(redis),
        api_keys=bool(site.api_clients),
        port=_inner_port(engine),
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


def limits_lua(site: Site) -> str:
    """HAProxy's program that counts requests in the gateway's Redis."""
    return render(
        "haproxy/limits.lua.j2",
        password_file=f"{SETTINGS}/{REDIS_PASSWORD}",
        redis_port=_inner_port(gateway_service(site, "redis")),
    )


def key_map(keys: Mapping[str, str]) -> str:
    """HAProxy's map of the clients: the digest of each one's key, then its name."""
    digests = {name: hashlib.sha256(key.encode()).hexdigest() for name, key in keys.items()}
    return "".join(f"{digest} {name}\n" for name, digest in digests.items())


def kong_config(site: Site, redis_password: str, keys: Mapping[str, str]) -> str:
    """Kong's declarative configuration; rate limits are counted in the gateway's Redis.

    Args:
        site: whose routes.
        redis_password: of the gateway's Redis.
        keys: API keys by client.
    """
    routes = site.served_routes
    redis = gateway_service(site, "redis")
    document = {
        "_format_version": "3.0",
        **({"consumers": _kong_consumers(keys)} if keys else {}),
        "services": [
            _kong_service(name, route, redis, redis_password, by_key=bool(keys))
            for name, route in routes.items()
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


def _kong_consumers(keys: Mapping[str, str]) -> list[dict[str, Any]]:
    return [{"username": name, "keyauth_credentials": [{"key": key}]} for name, key in keys.items()]


def _kong_keys() -> dict[str, Any]:
    return {
        "name": "key-auth",
        "config": {
            "key_names": [KEY_HEADER],
            "key_in_header": True,
            # Addresses end up in logs.
            "key_in_query": False,
            "key_in_body": False,
            "hide_credentials": True,
        },
    }


def _kong_service(
    name: str, route: Route, redis: Placement, redis_password: str, *, by_key: bool
) -> dict[str, Any]:
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
            *([_kong_keys()] if by_key else []),
            {
                "name": "rate-limiting",
                "config": {
                    route.rate_limit.per: route.rate_limit.requests,
                    "limit_by": "consumer" if by_key else "ip",
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
                # Kong has no headers of its own for the target that answered, and who asked.
                "name": "post-function",
                "config": {
                    "header_filter": [
                        'kong.response.set_header("X-Served-By", ngx.var.upstream_addr)',
                        *([_KONG_TELLS_CONSUMER] if by_key else []),
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
