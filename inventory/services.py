"""The services that Hearth knows: images, ports, memory, health, and what they ask of a board.

A service without a `container` is planned: a site may place it, its memory counts and its
ports are reserved, but no component provisions it yet. `hearth check` lists these.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal

from inventory.hardware import Architecture
from inventory.units import GIB, KIB, MIB

Tier = Literal["gateway", "ai", "data", "monitoring", "edge", "utility"]

_BOTH: tuple[Architecture, ...] = ("amd64", "arm64")


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """How Docker tells that a container is well.

    Attributes:
        command: run inside the container; exit code 0 means healthy.
        start_period: failures before this has passed do not count.
    """

    command: tuple[str, ...]
    interval: timedelta = timedelta(seconds=5)
    timeout: timedelta = timedelta(seconds=3)
    retries: int = 5
    start_period: timedelta = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class ContainerShape:
    """What a service's container looks like, wherever it runs.

    Attributes:
        health_check: the container's own.
        volumes: data that outlives the container, name to path inside it.
        environment: fixed settings; secrets are never among them.
        command: arguments in place of the image's own.
    """

    health_check: HealthCheck
    volumes: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    command: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ServiceKind:
    """A service of the catalogue.

    Attributes:
        image: a public image; empty for programs that come with Hearth later.
        ports: the ports that it listens on inside its container, by name.
        memory_bytes: the container's limit unless the site says otherwise.
        gpu_memory_bytes: what it takes of the GPU's memory unless the site says otherwise.
        page_sizes_bytes: kernels that it runs on.
        l4t_minimum: the oldest Linux for Tegra that has its GPU libraries, None where it
            needs no GPU.
        sysctls: kernel settings that its host must have, at least.
        container: None while no component provisions it.
        tiers: where a component knows how to run it; of no meaning while it is planned.
    """

    title: str
    image: str
    ports: Mapping[str, int]
    memory_bytes: int
    gpu_memory_bytes: int = 0
    architectures: tuple[Architecture, ...] = _BOTH
    page_sizes_bytes: tuple[int, ...] = (4 * KIB, 16 * KIB)
    l4t_minimum: int | None = None
    holds_models: bool = False
    sysctls: Mapping[str, int] = field(default_factory=dict)
    container: ContainerShape | None = None
    tiers: tuple[Tier, ...] = ()


@dataclass(frozen=True, slots=True)
class LanguageModel:
    """A model that Ollama serves.

    Attributes:
        size_bytes: on disk, as the model library lists it.
        memory_bytes: loaded, with one request in `context_tokens`; an estimate.
        context_tokens: what Ollama gives it by default on these boards.
    """

    size_bytes: int
    memory_bytes: int
    context_tokens: int = 4096


GATEWAY_ENGINES = ("haproxy", "kong")
"""Kinds that can stand behind nginx and spread the routes over the AI nodes."""

KINDS: dict[str, ServiceKind] = {
    "nginx": ServiceKind(
        title="nginx",
        image="docker.io/library/nginx:1.28",
        ports={"http": 80, "https": 443},
        memory_bytes=128 * MIB,
        tiers=("gateway",),
        container=ContainerShape(
            HealthCheck(("curl", "-fsS", "-o", "/dev/null", "http://127.0.0.1/healthz"))
        ),
    ),
    "kong": ServiceKind(
        title="Kong Gateway",
        image="docker.io/library/kong:3.9.1",
        ports={"proxy": 8000},
        memory_bytes=1 * GIB,
        tiers=("gateway",),
        container=ContainerShape(
            HealthCheck(("kong", "health")),
            environment={
                "KONG_DATABASE": "off",
                "KONG_DECLARATIVE_CONFIG": "/etc/kong/kong.yaml",
                "KONG_PROXY_LISTEN": "0.0.0.0:8000",
                "KONG_ADMIN_LISTEN": "off",
                "KONG_STATUS_LISTEN": "127.0.0.1:8100",
                "KONG_NGINX_WORKER_PROCESSES": "2",
                "KONG_TRUSTED_IPS": "172.16.0.0/12",
                "KONG_REAL_IP_HEADER": "X-Forwarded-For",
                "KONG_PROXY_ACCESS_LOG": "/dev/stdout",
                "KONG_PROXY_ERROR_LOG": "/dev/stderr",
            },
        ),
    ),
    "haproxy": ServiceKind(
        title="HAProxy",
        image="docker.io/library/haproxy:3.2-alpine",
        ports={"proxy": 8000},
        memory_bytes=128 * MIB,
        tiers=("gateway",),
        container=ContainerShape(
            HealthCheck(("wget", "-q", "-O", "/dev/null", "http://127.0.0.1:8404/healthz")),
            command=("haproxy", "-W", "-db", "-f", "/etc/haproxy/haproxy.cfg"),
        ),
    ),
    "redis": ServiceKind(
        title="Redis",
        image="docker.io/library/redis:7.4",
        ports={"redis": 6379},
        memory_bytes=256 * MIB,
        tiers=("gateway", "data"),
        # Saving to disk forks: the copy is promised memory that it never touches.
        sysctls={"vm.overcommit_memory": 1},
        container=ContainerShape(
            # Without the password Redis answers NOAUTH: it is up all the same.
            HealthCheck(("sh", "-c", "redis-cli ping | grep -qE 'PONG|NOAUTH'")),
            volumes={"data": "/data"},
            command=("redis-server", "/etc/redis/redis.conf"),
        ),
    ),
    "postgres": ServiceKind(
        title="PostgreSQL",
        image="docker.io/library/postgres:17",
        ports={"postgres": 5432},
        memory_bytes=1 * GIB,
        tiers=("data",),
        container=ContainerShape(
            HealthCheck(("pg_isready", "-q", "-h", "127.0.0.1", "-U", "hearth", "-d", "hearth")),
            volumes={"data": "/var/lib/postgresql/data"},
            environment={
                "POSTGRES_USER": "hearth",
                "POSTGRES_DB": "hearth",
                "POSTGRES_PASSWORD_FILE": "/run/secrets/postgres-password",
                "PGDATA": "/var/lib/postgresql/data/pgdata",
            },
        ),
    ),
    "ollama": ServiceKind(
        title="Ollama",
        image="docker.io/ollama/ollama:0.9.6",
        ports={"http": 11434},
        memory_bytes=4 * GIB,
        holds_models=True,
        tiers=("ai", "edge"),
        container=ContainerShape(
            HealthCheck(("ollama", "list")),
            volumes={"models": "/root/.ollama"},
        ),
    ),
    "comfyui": ServiceKind(
        title="ComfyUI",
        image="docker.io/dustynv/comfyui:r36.4.3",
        ports={"http": 7860},
        memory_bytes=1536 * MIB,
        gpu_memory_bytes=2560 * MIB,
        architectures=("arm64",),
        page_sizes_bytes=(4 * KIB,),
        l4t_minimum=35,
    ),
    "sonarqube": ServiceKind(
        title="SonarQube",
        image="docker.io/library/sonarqube:25.9-community",
        ports={"http": 9000},
        memory_bytes=2 * GIB,
        # Its Elasticsearch refuses to start below them.
        sysctls={"vm.max_map_count": 524288, "fs.file-max": 131072},
    ),
    "jupyterhub": ServiceKind(
        title="JupyterHub",
        image="quay.io/jupyterhub/jupyterhub:5.4",
        ports={"http": 8000},
        memory_bytes=1 * GIB,
    ),
    "minio": ServiceKind(
        title="MinIO",
        image="quay.io/minio/minio:RELEASE.2025-09-07T16-13-09Z",
        ports={"s3": 9000, "console": 9001},
        memory_bytes=1 * GIB,
    ),
    "pgadmin": ServiceKind(
        title="pgAdmin",
        image="docker.io/dpage/pgadmin4:9",
        ports={"http": 5050},
        memory_bytes=384 * MIB,
    ),
    "redis-commander": ServiceKind(
        title="redis-commander",
        image="ghcr.io/joeferner/redis-commander:latest",
        ports={"http": 8081},
        memory_bytes=128 * MIB,
    ),
    "prometheus": ServiceKind(
        title="Prometheus",
        image="docker.io/prom/prometheus:v3.7.0",
        ports={"http": 9090},
        memory_bytes=1 * GIB,
    ),
    "grafana": ServiceKind(
        title="Grafana",
        image="docker.io/grafana/grafana:12.2.0",
        ports={"http": 3000},
        memory_bytes=384 * MIB,
    ),
    "loki": ServiceKind(
        title="Loki",
        image="docker.io/grafana/loki:3.5.0",
        ports={"http": 3100},
        memory_bytes=512 * MIB,
    ),
    "alertmanager": ServiceKind(
        title="Alertmanager",
        image="docker.io/prom/alertmanager:v0.28.1",
        ports={"http": 9093},
        memory_bytes=96 * MIB,
    ),
    "node-exporter": ServiceKind(
        title="node exporter",
        image="docker.io/prom/node-exporter:v1.9.1",
        ports={"metrics": 9100},
        memory_bytes=64 * MIB,
    ),
    "backup": ServiceKind(title="backup coordination", image="", ports={}, memory_bytes=128 * MIB),
    "drift-check": ServiceKind(
        title="configuration drift check", image="", ports={}, memory_bytes=128 * MIB
    ),
    "network-tools": ServiceKind(
        title="local DNS and time", image="", ports={"dns": 53}, memory_bytes=64 * MIB
    ),
}

MODELS: dict[str, LanguageModel] = {
    "llama3.2": LanguageModel(size_bytes=2_019_393_189, memory_bytes=2816 * MIB),
    "llama3.2:1b": LanguageModel(size_bytes=1_321_098_329, memory_bytes=1800 * MIB),
    "codellama:34b": LanguageModel(size_bytes=19_052_062_605, memory_bytes=21 * GIB),
    "codellama:7b": LanguageModel(size_bytes=3_825_910_662, memory_bytes=5120 * MIB),
    "gpt-oss": LanguageModel(size_bytes=13_793_441_244, memory_bytes=14 * GIB),
    "mistral-small": LanguageModel(size_bytes=14_333_928_010, memory_bytes=15 * GIB),
    "phi3:mini": LanguageModel(2_176_178_913, memory_bytes=2944 * MIB, context_tokens=2048),
    "qwen2.5:0.5b": LanguageModel(size_bytes=397_821_319, memory_bytes=768 * MIB),
}
"""Models that the sites name; sizes from the model library's pages, memory estimated."""
