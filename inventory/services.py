"""The services that Hearth knows: images, ports, memory, health, and what they ask of a board.

A service without a `container` is planned: a site may place it, its memory counts and its
ports are reserved, but no component provisions it yet. `hearth check` lists these.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal, get_args

from inventory.hardware import Architecture
from inventory.kubernetes import CONTROL_PLANE, NODE
from inventory.units import GIB, KIB, MIB, Protocol

Tier = Literal["gateway", "ai", "data", "monitoring", "edge", "utility"]

ALL_TIERS: tuple[Tier, ...] = get_args(Tier)
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


DATABASE = "hearth"
"""The lab's database in PostgreSQL, and the role that owns it."""

BUILT = "hearth/"
"""With this begin the images of Hearth's own programs, which each machine builds for itself."""

SETTINGS = "/settings"
"""The folder in which a container finds the files that Hearth writes for it."""

SETTINGS_ON_HOST = "/etc/hearth/services"
"""The folder of its machine that holds them, one folder a service."""

METRICS_ON_HOST = "/var/lib/hearth/metrics"
"""The folder of a machine in which its programs leave metrics for node exporter, as `*.prom`."""


@dataclass(frozen=True, slots=True)
class ContainerShape:
    """What a service's container looks like, wherever it runs.

    It sees its settings in `SETTINGS`; its root is read-only and it holds no capability but the
    ones named here.

    Attributes:
        health_check: the container's own; None where its image holds nothing to ask with.
        volumes: data that outlives the container, name to path inside it.
        environment: fixed settings; secrets are never among them.
        command: arguments in place of the image's own.
        scratch: folders in memory that it may write to, beside /tmp.
        capabilities: what it keeps, as Linux names them.
        user: in place of the image's own.
        processes: how many it may have, threads counted.
        host_paths: folders and sockets of its machine that it may read, path to path inside.
        host_network: whether it sees its machine's interfaces rather than its own.
        tunnel: whether its first port is its machine's loopback's as well, for its administrator:
            `ssh -L 8081:127.0.0.1:8081 MACHINE`. No other machine can connect to it.
        reload: a command inside the container that has its settings read anew; without one,
            changed settings are a new container.
    """

    health_check: HealthCheck | None
    volumes: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    command: tuple[str, ...] = ()
    scratch: tuple[str, ...] = ()
    capabilities: tuple[str, ...] = ()
    user: str = ""
    processes: int = 256
    host_paths: Mapping[str, str] = field(default_factory=dict)
    host_network: bool = False
    tunnel: bool = False
    reload: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Metrics:
    """Where a service tells Prometheus about itself.

    Attributes:
        port: the name of one of its ports.
        path: of the page.
    """

    port: str
    path: str = "/metrics"


@dataclass(frozen=True, slots=True)
class ServiceKind:
    """A service of the catalogue.

    Attributes:
        image: a public image; empty for programs that come with Hearth later.
        ports: the ports that it listens on inside its container, by name, at least one; other
            services use the first. One that has the name of a kind that it `uses` hands that
            one's pages on: a site without it has no such port.
        protocols: what a port speaks, by its name, where that is not TCP alone.
        network_wide: whether the site's whole network may connect, whatever else is in it. It is
            published on its machine's address there only: on the loopback the system may have one
            of its kind.
        tells_time: whether its machine answers the network's questions for the time.
        memory_bytes: the container's limit unless the site says otherwise.
        gpu_memory_bytes: what it takes of the GPU's memory unless the site says otherwise.
        page_sizes_bytes: kernels that it runs on.
        l4t_minimum: the oldest Linux for Tegra that has its GPU libraries, None where it
            needs no GPU.
        sysctls: kernel settings that its host must have, at least.
        uses: kinds that it connects to: the one beside it on its machine, else the first in the
            order of tiers.
        uses_beside: kinds that it connects to only where they are on its machine.
        used_by: kinds that connect to its first port from every host that has one.
        administered: whether administrators connect to it, from where they may use ssh.
        in_cluster: whether it makes a cluster, or is run by one: no container of Docker's.
        accounts: who may log in to it; each has a password of its own.
        metrics: None where it has none.
        container: None while no component provisions it.
        tiers: where a component knows how to run it; of no meaning while it is planned.
    """

    title: str
    image: str
    ports: Mapping[str, int]
    memory_bytes: int
    gpu_memory_bytes: int = 0
    protocols: Mapping[str, tuple[Protocol, ...]] = field(default_factory=dict)
    network_wide: bool = False
    tells_time: bool = False
    architectures: tuple[Architecture, ...] = _BOTH
    page_sizes_bytes: tuple[int, ...] = (4 * KIB, 16 * KIB)
    l4t_minimum: int | None = None
    holds_models: bool = False
    sysctls: Mapping[str, int] = field(default_factory=dict)
    uses: tuple[str, ...] = ()
    uses_beside: tuple[str, ...] = ()
    used_by: tuple[str, ...] = ()
    administered: bool = False
    in_cluster: bool = False
    accounts: tuple[str, ...] = ()
    metrics: Metrics | None = None
    container: ContainerShape | None = None
    tiers: tuple[Tier, ...] = ALL_TIERS

    def protocols_of(self, port: str) -> tuple[Protocol, ...]:
        """What one of its ports speaks."""
        return self.protocols.get(port, ("tcp",))


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

_BECOMES_USER = ("CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_SETGID", "CAP_SETUID")
"""Of images that start as root to hand their data to a user of their own."""


def _http(url: str, *, by: str = "wget") -> HealthCheck:
    """Healthy while a page inside the container answers."""
    if by == "curl":
        return HealthCheck(("curl", "-fsS", "-o", "/dev/null", url))
    return HealthCheck(("wget", "-q", "-O", "/dev/null", url))


def _asks(url: str) -> tuple[str, ...]:
    """A command that asks for a page with the Python that a container has."""
    return ("python3", "-c", f"import urllib.request as u; u.urlopen('{url}')")


KINDS: dict[str, ServiceKind] = {
    "nginx": ServiceKind(
        title="nginx",
        image="docker.io/library/nginx:1.28",
        ports={"http": 80, "https": 443, "grafana": 3000},
        memory_bytes=128 * MIB,
        tiers=("gateway",),
        uses=(*GATEWAY_ENGINES, "grafana"),
        container=ContainerShape(
            _http("http://127.0.0.1/healthz", by="curl"),
            command=("nginx", "-c", f"{SETTINGS}/nginx.conf", "-g", "daemon off;"),
            scratch=("/var/cache/nginx", "/var/lib/nginx", "/run"),
            capabilities=_BECOMES_USER,
            reload=("sh", "-c", f"nginx -tqc {SETTINGS}/nginx.conf && kill -HUP 1"),
        ),
    ),
    "kong": ServiceKind(
        title="Kong Gateway",
        image="docker.io/library/kong:3.9.1",
        ports={"proxy": 8000, "status": 8100},
        memory_bytes=1 * GIB,
        tiers=("gateway",),
        uses=("redis",),
        metrics=Metrics("status"),
        container=ContainerShape(
            HealthCheck(("kong", "health")),
            environment={
                "KONG_DATABASE": "off",
                "KONG_DECLARATIVE_CONFIG": f"{SETTINGS}/kong.yaml",
                "KONG_PREFIX": "/kong",
                "KONG_PROXY_LISTEN": "0.0.0.0:8000",
                "KONG_ADMIN_LISTEN": "off",
                "KONG_STATUS_LISTEN": "0.0.0.0:8100",
                "KONG_NGINX_WORKER_PROCESSES": "2",
                "KONG_TRUSTED_IPS": "172.16.0.0/12",
                "KONG_REAL_IP_HEADER": "X-Forwarded-For",
                "KONG_PROXY_ACCESS_LOG": "/dev/stdout",
                "KONG_PROXY_ERROR_LOG": "/dev/stderr",
            },
            scratch=("/kong",),
            reload=("sh", "-c", f"kong config parse {SETTINGS}/kong.yaml && kong reload"),
        ),
    ),
    "haproxy": ServiceKind(
        title="HAProxy",
        image="docker.io/library/haproxy:3.2-alpine",
        ports={"proxy": 8000, "metrics": 8405},
        memory_bytes=128 * MIB,
        tiers=("gateway",),
        uses=("redis",),
        metrics=Metrics("metrics"),
        container=ContainerShape(
            _http("http://127.0.0.1:8404/healthz"),
            command=("haproxy", "-W", "-db", "-f", f"{SETTINGS}/haproxy.cfg"),
            scratch=("/run/haproxy",),
            reload=("sh", "-c", f"haproxy -c -q -f {SETTINGS}/haproxy.cfg && kill -USR2 1"),
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
        accounts=("default",),
        container=ContainerShape(
            # Without the password Redis answers NOAUTH: it is up all the same.
            HealthCheck(("sh", "-c", "redis-cli ping | grep -qE 'PONG|NOAUTH'")),
            volumes={"data": "/data"},
            command=("redis-server", f"{SETTINGS}/redis.conf"),
            capabilities=_BECOMES_USER,
        ),
    ),
    "redis-exporter": ServiceKind(
        title="Redis exporter",
        image="docker.io/oliver006/redis_exporter:v1.74.0-alpine",
        ports={"metrics": 9121},
        memory_bytes=32 * MIB,
        uses=("redis",),
        metrics=Metrics("metrics"),
        container=ContainerShape(_http("http://127.0.0.1:9121/health")),
    ),
    "postgres": ServiceKind(
        title="PostgreSQL",
        image="docker.io/library/postgres:17",
        ports={"postgres": 5432},
        memory_bytes=1 * GIB,
        tiers=("data",),
        accounts=("owner", "assistant", "dashboards", "monitor", "backup"),
        container=ContainerShape(
            HealthCheck(("pg_isready", "-q", "-h", "127.0.0.1", "-U", DATABASE, "-d", DATABASE)),
            volumes={"data": "/var/lib/postgresql/data"},
            environment={
                "POSTGRES_USER": DATABASE,
                "POSTGRES_DB": DATABASE,
                "POSTGRES_PASSWORD_FILE": f"{SETTINGS}/owner",
                "PGDATA": "/var/lib/postgresql/data/pgdata",
            },
            command=("postgres", "-c", f"config_file={SETTINGS}/postgresql.conf"),
            scratch=("/run",),
            capabilities=_BECOMES_USER,
            reload=(
                *("psql", "-qU", DATABASE, "-d", DATABASE, "-c", "SELECT pg_reload_conf()"),
                *("-o", "/dev/null"),
            ),
        ),
    ),
    "postgres-exporter": ServiceKind(
        title="PostgreSQL exporter",
        image="docker.io/prometheuscommunity/postgres-exporter:v0.17.1",
        ports={"metrics": 9187},
        memory_bytes=64 * MIB,
        uses=("postgres",),
        metrics=Metrics("metrics"),
        container=ContainerShape(_http("http://127.0.0.1:9187/")),
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
            processes=1024,
        ),
    ),
    "assistant": ServiceKind(
        title="the lab's API",
        image="hearth/assistant",
        ports={"http": 8200},
        memory_bytes=256 * MIB,
        tiers=("ai", "edge"),
        uses=("ollama", "postgres", "redis", "minio", "comfyui"),
        # Its scanner is a Java program: only where a machine has memory for both.
        uses_beside=("sonarqube",),
        metrics=Metrics("http"),
        container=ContainerShape(
            HealthCheck(_asks("http://127.0.0.1:8200/health")),
            environment={"ASSISTANT_CONFIG": f"{SETTINGS}/assistant.json"},
            volumes={"spool": "/spool"},
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
        tiers=("ai",),
        container=ContainerShape(
            HealthCheck(
                ("curl", "-fsS", "-o", "/dev/null", "http://127.0.0.1:7860/system_stats"),
                timeout=timedelta(seconds=10),
                start_period=timedelta(seconds=150),
            ),
            volumes={"models": "/opt/ComfyUI/models", "output": "/opt/ComfyUI/output"},
            environment={"HOME": "/tmp"},  # noqa: S108 - a container's own; caches go there
            command=(
                *("python3", "/opt/ComfyUI/main.py", "--listen", "0.0.0.0", "--port", "7860"),  # noqa: S104 - the firewall admits by source
                *("--output-directory", "/opt/ComfyUI/output"),
                # The image's own fetch lists and programs from the internet at every start.
                "--disable-all-custom-nodes",
            ),
            scratch=("/opt/ComfyUI/temp", "/opt/ComfyUI/user"),
            processes=1024,
        ),
    ),
    "sonarqube": ServiceKind(
        title="SonarQube",
        image="docker.io/library/sonarqube:25.9.0.112764-community",
        ports={"http": 9000},
        memory_bytes=2 * GIB,
        # Its Elasticsearch refuses to start below them.
        sysctls={"vm.max_map_count": 524288, "fs.file-max": 131072},
        tiers=("ai",),
        accounts=("admin", "assistant"),
        container=ContainerShape(
            HealthCheck(
                # It answers long before it is up.
                (
                    "sh",
                    "-c",
                    "curl -fsS http://127.0.0.1:9000/api/system/status | grep -q '\"UP\"'",
                ),
                timeout=timedelta(seconds=5),
                start_period=timedelta(seconds=150),
            ),
            volumes={"data": "/opt/sonarqube/data"},
            environment={"SONAR_TELEMETRY_ENABLE": "false", "SONAR_UPDATECENTER_ACTIVATE": "false"},
            scratch=tuple(f"/opt/sonarqube/{name}" for name in ("extensions", "logs", "temp")),
            processes=1024,
            tunnel=True,
        ),
    ),
    "jupyterhub": ServiceKind(
        title="JupyterHub",
        image="hearth/jupyterhub",
        ports={"http": 8000},
        memory_bytes=1 * GIB,
        tiers=("ai",),
        uses_beside=("ollama",),
        accounts=("admin",),
        container=ContainerShape(
            HealthCheck(
                _asks("http://127.0.0.1:8000/hub/health"),
                interval=timedelta(seconds=10),  # a program's start each time
                timeout=timedelta(seconds=10),
                start_period=timedelta(seconds=90),
            ),
            volumes={"hub": "/srv/jupyterhub", "notebooks": "/notebooks"},
            command=("jupyterhub", "-f", f"{SETTINGS}/jupyterhub_config.py"),
            processes=1024,
            tunnel=True,
        ),
    ),
    "minio": ServiceKind(
        title="MinIO",
        image="quay.io/minio/minio:RELEASE.2025-09-07T16-13-09Z",
        ports={"s3": 9000, "console": 9001},
        memory_bytes=1 * GIB,
        tiers=("data",),
        accounts=("root", "assistant", "backup"),
        metrics=Metrics("s3", "/minio/v2/metrics/cluster"),
        container=ContainerShape(
            HealthCheck(("mc", "ready", "local")),
            volumes={"data": "/data"},
            environment={
                "MINIO_ROOT_USER_FILE": f"{SETTINGS}/root-user",
                "MINIO_ROOT_PASSWORD_FILE": f"{SETTINGS}/root-password",
                "MINIO_PROMETHEUS_AUTH_TYPE": "public",
                "MC_CONFIG_DIR": "/tmp/mc",  # noqa: S108 - a container's own
            },
            command=("server", "/data", "--console-address", ":9001"),
        ),
    ),
    "pgadmin": ServiceKind(
        title="pgAdmin",
        image="docker.io/dpage/pgadmin4:9",
        ports={"http": 5050},
        memory_bytes=384 * MIB,
        uses=("postgres",),
        accounts=("admin",),
        container=ContainerShape(
            HealthCheck(
                _asks("http://127.0.0.1:5050/misc/ping"),
                interval=timedelta(seconds=20),  # a program's start each time
                timeout=timedelta(seconds=10),
                start_period=timedelta(seconds=120),
            ),
            volumes={"data": "/var/lib/pgadmin"},
            environment={
                "PGADMIN_DEFAULT_EMAIL": "admin@hearth.lab",
                # Read at the first start, as the servers are: later they are pgAdmin's own.
                "PGADMIN_DEFAULT_PASSWORD_FILE": f"{SETTINGS}/admin",
                "PGADMIN_SERVER_JSON_FILE": f"{SETTINGS}/servers.json",
                "PGPASS_FILE": f"{SETTINGS}/pgpass",
                "PGADMIN_LISTEN_PORT": "5050",
                "PGADMIN_DISABLE_POSTFIX": "1",
                "PGADMIN_CONFIG_UPGRADE_CHECK_ENABLED": "False",
                "PGADMIN_CUSTOM_CONFIG_DISTRO_FILE": "/tmp/config_distro.py",  # noqa: S108 - a container's own
            },
            # Its Python is a file that asks for it, and does not start without.
            capabilities=("CAP_NET_BIND_SERVICE",),
            tunnel=True,
        ),
    ),
    "redis-commander": ServiceKind(
        title="redis-commander",
        image="ghcr.io/joeferner/redis-commander:latest",
        ports={"http": 8081},
        memory_bytes=128 * MIB,
        uses=("redis",),
        accounts=("admin",),
        container=ContainerShape(
            HealthCheck(
                ("node", "/redis-commander/bin/healthcheck.js"),
                interval=timedelta(seconds=20),  # the same
                timeout=timedelta(seconds=10),
            ),
            environment={
                "NODE_ENV": "production",
                # Later folders win; its own has the defaults.
                "NODE_CONFIG_DIR": f"/redis-commander/config:{SETTINGS}",
            },
            command=("node", "/redis-commander/bin/redis-commander.js"),
            tunnel=True,
        ),
    ),
    "prometheus": ServiceKind(
        title="Prometheus",
        image="docker.io/prom/prometheus:v3.7.0",
        ports={"http": 9090},
        memory_bytes=1 * GIB,
        uses=("alertmanager",),
        metrics=Metrics("http"),
        container=ContainerShape(
            HealthCheck(("promtool", "query", "instant", "http://127.0.0.1:9090", "vector(1)")),
            volumes={"data": "/prometheus"},
            command=(
                f"--config.file={SETTINGS}/prometheus.yml",
                "--storage.tsdb.path=/prometheus",
                "--storage.tsdb.retention.time=30d",
            ),
            reload=("sh", "-c", f"promtool check config {SETTINGS}/prometheus.yml && kill -HUP 1"),
        ),
    ),
    "alertmanager": ServiceKind(
        title="Alertmanager",
        image="docker.io/prom/alertmanager:v0.28.1",
        ports={"http": 9093},
        memory_bytes=96 * MIB,
        metrics=Metrics("http"),
        container=ContainerShape(
            HealthCheck(("amtool", "--alertmanager.url=http://127.0.0.1:9093", "config", "show")),
            volumes={"data": "/alertmanager"},
            command=(
                f"--config.file={SETTINGS}/alertmanager.yml",
                "--storage.path=/alertmanager",
                "--cluster.listen-address=",
            ),
            reload=(
                *("sh", "-c"),
                f"amtool check-config {SETTINGS}/alertmanager.yml && kill -HUP 1",
            ),
        ),
    ),
    "grafana": ServiceKind(
        title="Grafana",
        image="docker.io/grafana/grafana:12.2.0",
        ports={"http": 3000},
        memory_bytes=384 * MIB,
        uses=("prometheus", "loki"),
        accounts=("admin",),
        metrics=Metrics("http"),
        container=ContainerShape(
            _http("http://127.0.0.1:3000/api/health"),
            volumes={"data": "/var/lib/grafana"},
            environment={
                "GF_PATHS_PROVISIONING": f"{SETTINGS}/provisioning",
                "GF_SECURITY_ADMIN_USER": "admin",
                # Read at the first start: later the account is Grafana's own to change.
                "GF_SECURITY_ADMIN_PASSWORD__FILE": f"{SETTINGS}/admin",
                "GF_SECURITY_COOKIE_SECURE": "true",
                "GF_SECURITY_DISABLE_GRAVATAR": "true",
                "GF_AUTH_ANONYMOUS_ENABLED": "false",
                "GF_USERS_ALLOW_SIGN_UP": "false",
                "GF_ANALYTICS_REPORTING_ENABLED": "false",
                "GF_ANALYTICS_CHECK_FOR_UPDATES": "false",
                "GF_ANALYTICS_CHECK_FOR_PLUGIN_UPDATES": "false",
                "GF_ANALYTICS_FEEDBACK_LINKS_ENABLED": "false",
                "GF_NEWS_NEWS_FEED_ENABLED": "false",
                "GF_PLUGINS_PREINSTALL_DISABLED": "true",
            },
        ),
    ),
    "loki": ServiceKind(
        title="Loki",
        image="docker.io/grafana/loki:3.5.0",
        ports={"http": 3100},
        memory_bytes=512 * MIB,
        metrics=Metrics("http"),
        container=ContainerShape(
            # Its image holds no other program: Prometheus tells whether it answers.
            None,
            volumes={"data": "/loki"},
            command=(f"-config.file={SETTINGS}/loki.yaml",),
        ),
    ),
    "collector": ServiceKind(
        title="OpenTelemetry Collector",
        image="docker.io/otel/opentelemetry-collector-contrib:0.139.0",
        ports={"metrics": 8889},
        memory_bytes=128 * MIB,
        uses=("loki",),
        metrics=Metrics("metrics"),
        container=ContainerShape(
            # The same.
            None,
            volumes={"positions": "/positions"},
            command=("--config", f"{SETTINGS}/collector.yaml"),
            # Docker's socket and its log files are root's.
            user="0",
            host_paths={
                "/var/lib/docker/containers": "/var/lib/docker/containers",
                "/var/run/docker.sock": "/var/run/docker.sock",
            },
        ),
    ),
    "node-exporter": ServiceKind(
        title="node exporter",
        image="docker.io/prom/node-exporter:v1.9.1",
        ports={"metrics": 9100},
        memory_bytes=64 * MIB,
        metrics=Metrics("metrics"),
        container=ContainerShape(
            _http("http://127.0.0.1:9100/"),
            command=(
                "--path.rootfs=/host",
                "--path.procfs=/host/proc",
                "--path.sysfs=/host/sys",
                "--web.listen-address=:9100",
                f"--collector.textfile.directory=/host{METRICS_ON_HOST}",
            ),
            host_paths={"/": "/host"},
            host_network=True,
        ),
    ),
    "backup": ServiceKind(
        title="backups",
        image="hearth/backup",
        ports={"http": 8210},
        memory_bytes=128 * MIB,
        # What these keep is what is backed up, and each has a backup made before its upgrade.
        uses=("postgres", "minio", "grafana"),
        metrics=Metrics("http"),
        container=ContainerShape(
            HealthCheck(_asks("http://127.0.0.1:8210/health"), interval=timedelta(seconds=20)),
            volumes={"backups": "/backups"},
            command=("serve",),
        ),
    ),
    "drift-check": ServiceKind(
        title="configuration drift check",
        image="hearth/drift-check",
        ports={"http": 8300},
        memory_bytes=128 * MIB,
        # The last one: it is told about the services of all others.
        tiers=("utility",),
        uses=("prometheus",),
        metrics=Metrics("http"),
        container=ContainerShape(
            HealthCheck(
                _asks("http://127.0.0.1:8300/health"),
                interval=timedelta(seconds=20),  # the same
                timeout=timedelta(seconds=10),
            ),
            environment={"DRIFT_CHECK_CONFIG": f"{SETTINGS}/drift-check.json"},
            # It reads them before each round.
            reload=("true",),
        ),
    ),
    "network-tools": ServiceKind(
        title="local DNS and time",
        image="hearth/dnsmasq",
        ports={"dns": 53},
        protocols={"dns": ("tcp", "udp")},
        memory_bytes=64 * MIB,
        network_wide=True,
        tells_time=True,
        container=ContainerShape(
            # A name that it has from its file: asked for others, it may have to ask elsewhere.
            HealthCheck(("busybox", "nslookup", "-type=a", "localhost", "127.0.0.1")),
            command=(
                *("--conf-file=", "--pid-file=", "--no-resolv", "--no-hosts"),
                # Both are read anew at SIGHUP, which no other setting is.
                f"--addn-hosts={SETTINGS}/hosts",
                f"--servers-file={SETTINGS}/servers",
                *("--domain-needed", "--bogus-priv", "--cache-size=1000"),
            ),
            # Docker lets every user of a container have its low ports.
            user="65534:65534",
            reload=("sh", "-c", f"dnsmasq --test -C {SETTINGS}/servers && kill -HUP 1"),
        ),
    ),
    # etcd is the API server's alone: kubeadm has it listen to other machines, none is admitted.
    CONTROL_PLANE: ServiceKind(
        title="Kubernetes' API server, controllers, scheduler and etcd",
        image="",
        ports={"api": 6443},
        memory_bytes=1536 * MIB,
        used_by=(NODE,),
        administered=True,
        in_cluster=True,
        sysctls={"fs.inotify.max_user_watches": 524_288},
    ),
    NODE: ServiceKind(
        title="kubelet, containerd and kube-proxy",
        image="",
        ports={"kubelet": 10250},
        memory_bytes=512 * MIB,
        # For logs, exec and port-forward; pods are reached by routes, not by ports.
        used_by=(CONTROL_PLANE,),
        in_cluster=True,
        sysctls={"vm.max_map_count": 1_048_575},
    ),
    "traefik": ServiceKind(
        title="Traefik",
        image="",
        ports={"http": 80, "https": 443},
        memory_bytes=256 * MIB,
        in_cluster=True,
        tiers=("gateway",),
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
