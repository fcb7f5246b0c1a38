"""Sites of any size: one gateway, and machines behind it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Any, Literal

_FIRST_ADDRESS = IPv4Address("10.0.1.0")
_UPSTREAMS_OF_A_ROUTE = 4

Services = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine behind the gateway, with its services as a site file states them."""

    tier: Literal["ai", "data", "utility"]
    services: Services


AI = Machine("ai", {"ollama": {"models": ["llama3.2"]}, "node-exporter": {}})
DATA = Machine("data", {"postgres": {}, "redis": {"clients": ["gateway"]}, "node-exporter": {}})
_BOARDS = {
    "ai": {"board": "jetson-orin-nano-8gb", "os": "ubuntu-22.04"},
    "data": {"board": "raspberry-pi-5-8gb", "os": "debian-12"},
}


def machines(count: int) -> list[Machine]:
    """So many machines, every fourth of them for data."""
    return [DATA if index % 4 == 0 else AI for index in range(count)]


def site(
    behind: Sequence[Machine],
    *,
    engine: str = "haproxy",
    gateway_services: Services | None = None,
) -> dict[str, Any]:
    """A sound site as its file would state it: a gateway, these machines, routes over all Ollamas.

    Args:
        behind: called `ai1`, `data2`, ... in this order; at most 60,000.
        engine: kind of the gateway's engine.
        gateway_services: beside nginx, the engine and its Redis.
    """
    names = [f"{machine.tier}{number}" for number, machine in enumerate(behind, 1)]
    in_front: Services = {"nginx": {"exposed": True}, "engine": {"kind": engine}, "redis": {}}
    hosts = {"gateway": _host(0, "gateway", {**in_front, **(gateway_services or {})})} | {
        name: _host(number, machine.tier, machine.services)
        for number, (name, machine) in enumerate(zip(names, behind, strict=True), 1)
    }
    ollamas = [name for name in names if "ollama" in hosts[name]["services"]]
    return {
        "name": "generated",
        "network": {"cidr": "10.0.0.0/16", "router": "10.0.0.1", "management": ["10.0.0.0/16"]},
        "ssh": {"login_user": "pi", "identity_file": "id_ed25519"},
        "hosts": hosts,
        "routes": dict(_routes(ollamas)),
        "sessions": {"low": 1, "high": 2},
    }


def _host(number: int, tier: str, services: Services) -> dict[str, Any]:
    return {
        **_BOARDS["ai" if tier == "ai" else "data"],
        "address": str(_FIRST_ADDRESS + number),
        "tier": tier,
        "storage": "1TB",
        "services": {name: dict(service) for name, service in services.items()},
    }


def _routes(ollamas: Sequence[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """A route over every few machines; their weights add to 100."""
    size = _UPSTREAMS_OF_A_ROUTE
    groups = [ollamas[start : start + size] for start in range(0, len(ollamas), size)]
    for number, names in enumerate(groups, 1):
        share = 100 // len(names)
        weights = [100 - share * (len(names) - 1)] + [share] * (len(names) - 1)
        yield (
            f"chat{number}",
            {
                "path": f"/api/v1/chat{number}",
                "target": "/api/chat",
                "model": "llama3.2",
                "upstreams": [
                    {"service": f"{name}.ollama", "weight": weight}
                    for name, weight in zip(names, weights, strict=True)
                ],
                "rate_limit": {"requests": 5, "per": "second"},
                "health": {
                    "path": "/api/version",
                    "interval": "2s",
                    "timeout": "1s",
                    "healthy_after": 2,
                    "unhealthy_after": 3,
                },
                "response_timeout": "2m",
                "service_level": {
                    "requests_per_minute": {"low": 30, "high": 50},
                    "first_byte_p95": "3s",
                    "success": 0.99,
                },
            },
        )
