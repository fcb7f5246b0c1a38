"""Images that watch: Prometheus and its exporters, logs.

Each is started as the official one is: the same programs at the same places, the same user.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sandbox.images.recipe import Recipe, add_user, copied, package_version, settings
from sandbox.rootfs import File, Layer

# Official ones have BusyBox, whose wget health checks ask with.
PACKAGES = ("wget",)
NOBODY = "nobody"
LOKI_USER = COLLECTOR_USER = 10001
# The official image's own, without the report to its vendor.
LOKI_CONFIG = """\
auth_enabled: false
analytics: {reporting_enabled: false}
server: {http_listen_port: 3100}
common:
  instance_addr: 127.0.0.1
  path_prefix: /loki
  storage: {filesystem: {chunks_directory: /loki/chunks, rules_directory: /loki/rules}}
  replication_factor: 1
  ring: {kvstore: {store: inmemory}}
schema_config:
  configs:
    - from: 2020-10-24
      store: tsdb
      object_store: filesystem
      schema: v13
      index: {prefix: index_, period: 24h}
"""


def from_debian(kind: str, program: str, port: int, script: str = "", **more: Any) -> Recipe:
    """An image of one of Debian's packages around Prometheus.

    Args:
        kind: The image's name.
        program: Where the official image has the program; it is the entrypoint.
        port: Where it listens.
        script: What else the image needs.
        more: What differs from the other images: `package`, `command`, the config's own words.
    """
    package = more.pop("package", f"prometheus-{kind}")
    command = more.pop("command", [])
    link = f"[ -e {program} ] || ln -s /usr/bin/{package} {program}\n"
    layer = Layer(kind, packages=(package, *PACKAGES), script=link + script)
    return Recipe(
        kind,
        layer,
        settings(command, port, **{"Entrypoint": [program], "User": NOBODY} | more),
        package_version(package),
    )


def prometheus() -> Recipe:
    """The server of metrics, and promtool."""
    return from_debian(
        "prometheus",
        "/bin/prometheus",
        9090,
        "install -d -o nobody -g nogroup /prometheus",
        package="prometheus",
        command=["--config.file=/etc/prometheus/prometheus.yml", "--storage.tsdb.path=/prometheus"],
        WorkingDir="/prometheus",
        Volumes={"/prometheus": {}},
    )


def alertmanager() -> Recipe:
    """What sends alerts on, and amtool."""
    return from_debian(
        "alertmanager",
        "/bin/alertmanager",
        9093,
        "install -d -o nobody -g nogroup /alertmanager /etc/alertmanager\n"
        "mv /etc/prometheus/alertmanager.yml /etc/alertmanager/\n",
        command=[
            "--config.file=/etc/alertmanager/alertmanager.yml",
            "--storage.path=/alertmanager",
        ],
        WorkingDir="/alertmanager",
        Volumes={"/alertmanager": {}},
    )


def node_exporter() -> Recipe:
    """A machine's figures."""
    return from_debian("node-exporter", "/bin/node_exporter", 9100)


def postgres_exporter() -> Recipe:
    """PostgreSQL's figures."""
    return from_debian("postgres-exporter", "/bin/postgres_exporter", 9187)


def redis_exporter() -> Recipe:
    """Redis' figures."""
    return from_debian("redis-exporter", "/redis_exporter", 9121, User="59000:59000")


def loki(program: Path) -> Recipe:
    """The store of logs."""
    layer = Layer(
        "loki",
        files=(File("etc/loki/local-config.yaml", LOKI_CONFIG),),
        copies=(copied("usr/bin/loki", program),),
        script=add_user("loki", LOKI_USER, "/loki", "/loki", "/loki/rules", "/loki/rules-temp"),
        offline=True,
    )
    return Recipe(
        "loki",
        layer,
        settings(
            ["-config.file=/etc/loki/local-config.yaml"],
            3100,
            Entrypoint=["/usr/bin/loki"],
            User=str(LOKI_USER),
        ),
        "loki --version | grep -o '[0-9][0-9.]*' | head -n 1",
    )


def collector(program: Path) -> Recipe:
    """OpenTelemetry's collector with some of the contrib distribution's components.

    Its configuration is the user's to bring.
    """
    layer = Layer(
        "collector",
        copies=(copied("otelcol-contrib", program),),
        script=add_user("otel", COLLECTOR_USER, "/"),
        offline=True,
    )
    return Recipe(
        "collector",
        layer,
        settings(
            ["--config", "/etc/otelcol-contrib/config.yaml"],
            8889,
            13133,
            Entrypoint=["/otelcol-contrib"],
            User=str(COLLECTOR_USER),
        ),
        "/otelcol-contrib --version | grep -o '[0-9][0-9.]*' | head -n 1",
    )
