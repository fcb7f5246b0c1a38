"""Images that a cluster of its own is made of: three stores on one Java, its gateway, our programs.

Each runs as a user of a fixed number and writes in /data and /tmp only, so that the rest may be
read-only. What it is to do it reads from a file, which a pod mounts over the one here.
"""

from __future__ import annotations

from pathlib import Path

from inventory.errors import HearthError
from inventory.paths import PROJECT
from sandbox import rootfs
from sandbox.images import python
from sandbox.images.recipe import ENTRYPOINT, Recipe, add_user, copied, entrypoint, settings
from sandbox.rootfs import File, Layer

USER = python.USER
METRICS_PORT = 9404
"""Where each tells Prometheus its figures."""
KAFKA_TOOLS = ("kafka-consumer-groups", "kafka-storage", "kafka-topics")
OFFICIAL_CLUSTER_ID = "5L6g3nShT-eMCtK--X86sw"

LOG4J = """\
log4j.rootLogger={level}, output
log4j.appender.output=org.apache.log4j.ConsoleAppender
log4j.appender.output.target=System.{stream}
log4j.appender.output.layout=org.apache.log4j.PatternLayout
log4j.appender.output.layout.ConversionPattern=%d{{ISO8601}} %p %m (%c)%n
"""
LOGBACK = """\
<configuration>
  <appender name="output" class="ch.qos.logback.core.ConsoleAppender">
    <target>System.{stream}</target>
    <encoder><pattern>%d{{ISO8601}} %level %msg \\(%logger{{20}}\\)%n</pattern></encoder>
  </appender>
  <logger name="org.apache.cassandra.config.Config" level="WARN"/>
  <root level="{level}"><appender-ref ref="output"/></root>
</configuration>
"""

KAFKA_METRICS = r"""includeObjectNames:
- kafka.server:type=BrokerTopicMetrics,name=BytesInPerSec,*
- kafka.server:type=BrokerTopicMetrics,name=BytesOutPerSec,*
- kafka.server:type=BrokerTopicMetrics,name=MessagesInPerSec,*
- kafka.server:type=ReplicaManager,name=OfflineReplicaCount
- kafka.server:type=ReplicaManager,name=UnderReplicatedPartitions
- kafka.log:type=Log,name=LogEndOffset,*
- kafka.log:type=Log,name=Size,*
rules:
- pattern: kafka.server<type=BrokerTopicMetrics, name=(Bytes|Messages)(In|Out)PerSec, topic=(.+)><>Count
  name: kafka_topic_$1_$2_total
  type: COUNTER
  labels: {topic: "$3"}
- pattern: kafka.server<type=ReplicaManager, name=OfflineReplicaCount><>Value
  name: kafka_replicas_offline
  type: GAUGE
- pattern: kafka.server<type=ReplicaManager, name=UnderReplicatedPartitions><>Value
  name: kafka_partitions_under_replicated
  type: GAUGE
- pattern: kafka.log<type=Log, name=LogEndOffset, topic=(.+), partition=(\d+)><>Value
  name: kafka_partition_end_offset
  type: GAUGE
  labels: {topic: "$1", partition: "$2"}
- pattern: kafka.log<type=Log, name=Size, topic=(.+), partition=(\d+)><>Value
  name: kafka_partition_bytes
  type: GAUGE
  labels: {topic: "$1", partition: "$2"}
lowercaseOutputName: true
"""  # noqa: E501 - a pattern is one line
# Cassandra measures in microseconds.
CASSANDRA_METRICS = r"""includeObjectNames:
- org.apache.cassandra.metrics:type=ClientRequest,scope=Read,*
- org.apache.cassandra.metrics:type=ClientRequest,scope=Write,*
- org.apache.cassandra.metrics:type=Client,name=connectedNativeClients
- org.apache.cassandra.metrics:type=Compaction,name=PendingTasks
- org.apache.cassandra.metrics:type=Storage,*
- org.apache.cassandra.metrics:type=DroppedMessage,scope=MUTATION_REQ,name=Dropped
- org.apache.cassandra.metrics:type=DroppedMessage,scope=READ_REQ,name=Dropped
rules:
- pattern: org.apache.cassandra.metrics<type=ClientRequest, scope=(\w+), name=Latency><>Count
  name: cassandra_requests_total
  type: COUNTER
  labels: {kind: "$1"}
- pattern: org.apache.cassandra.metrics<type=ClientRequest, scope=(\w+), name=Latency><>(\d+)thPercentile
  name: cassandra_request_seconds
  type: GAUGE
  valueFactor: 0.000001
  labels: {kind: "$1", percentile: "$2"}
- pattern: org.apache.cassandra.metrics<type=ClientRequest, scope=(\w+), name=(Timeouts|Unavailables|Failures)><>Count
  name: cassandra_request_failures_total
  type: COUNTER
  labels: {kind: "$1", reason: "$2"}
- pattern: org.apache.cassandra.metrics<type=Client, name=connectedNativeClients><>Value
  name: cassandra_clients
  type: GAUGE
- pattern: org.apache.cassandra.metrics<type=Compaction, name=PendingTasks><>Value
  name: cassandra_compactions_pending
  type: GAUGE
- pattern: org.apache.cassandra.metrics<type=Storage, name=Load><>Count
  name: cassandra_stored_bytes
  type: GAUGE
- pattern: org.apache.cassandra.metrics<type=Storage, name=Exceptions><>Count
  name: cassandra_exceptions_total
  type: COUNTER
- pattern: org.apache.cassandra.metrics<type=DroppedMessage, scope=(\w+)_REQ, name=Dropped><>Count
  name: cassandra_dropped_messages_total
  type: COUNTER
  labels: {kind: "$1"}
"""  # noqa: E501 - a pattern is one line
# What Cassandra reaches of Java's own inside, as its jvm17-server.options have it.
EXPORTED = (
    *("java.base/jdk.internal.misc", "java.base/java.lang.ref", "java.sql/java.sql"),
    *("java.management.rmi/com.sun.jmx.remote.internal.rmi", "java.rmi/sun.rmi.registry"),
    *("java.rmi/sun.rmi.server", "java.rmi/sun.rmi.transport.tcp", "jdk.unsupported/sun.misc"),
    "jdk.attach/sun.tools.attach",
)
OPENED = (
    *("java.lang", "java.lang.module", "java.lang.reflect", "java.io", "java.math", "java.net"),
    *("java.nio", "java.util", "java.util.concurrent", "java.util.concurrent.atomic"),
    *("jdk.internal.loader", "jdk.internal.math", "jdk.internal.module", "jdk.internal.ref"),
    *("jdk.internal.reflect", "jdk.internal.util.jar", "sun.nio.ch"),
)
CASSANDRA_OPTIONS = "\n".join(
    (
        *(f"--add-exports {package}=ALL-UNNAMED" for package in EXPORTED),
        *(f"--add-opens java.base/{package}=ALL-UNNAMED" for package in OPENED),
        "--add-opens jdk.management/com.sun.management.internal=ALL-UNNAMED",
        *("-Djdk.attach.allowAttachSelf=true", "-Djava.net.preferIPv4Stack=true"),
        *("-Dio.netty.tryReflectionSetAccessible=true", "-XX:-UsePerfData", "-Xss256k"),
        *("-Djna.tmpdir=/tmp", ""),
    )
)
# A node by itself has nobody to wait for, as it does for half a minute.
ALONE = "-Dcassandra.skip_wait_for_gossip_to_settle=0 -Dcassandra.superuser_setup_delay_ms=0"

ZOOKEEPER_CONFIGURATION = f"""\
dataDir=/data
clientPort=2181
admin.enableServer=false
4lw.commands.whitelist=ruok,srvr
metricsProvider.className=org.apache.zookeeper.metrics.prometheus.PrometheusMetricsProvider
metricsProvider.httpPort={METRICS_PORT}
"""


def java() -> Layer:
    """Debian's Java, without windows."""
    return Layer(
        "java",
        packages=("openjdk-17-jre-headless",),
        # Its installation fails where it cannot put a link to a manual.
        files=(File("usr/share/man/man1/.keep", ""),),
        script="rm -r /usr/share/man/man1\njava -version",
    )


def kafka_files() -> tuple[File, ...]:
    """What is Kafka's beside its jars."""
    tool = rootfs.script_file("kafka-tool.sh").read_text()
    return (
        entrypoint("kafka"),
        *(File(f"usr/local/bin/{name}", tool, 0o755) for name in KAFKA_TOOLS),
        File("opt/kafka/log4j.properties", LOG4J.format(level="INFO", stream="out")),
        File("opt/kafka/tools-log4j.properties", LOG4J.format(level="WARN", stream="err")),
        File("opt/kafka/metrics.yaml", KAFKA_METRICS),
    )


def zookeeper_files() -> tuple[File, ...]:
    """What is ZooKeeper's beside its jars."""
    return (
        entrypoint("zookeeper"),
        File("opt/zookeeper/logback.xml", LOGBACK.format(level="INFO", stream="out")),
        File("etc/zookeeper/zoo.cfg", ZOOKEEPER_CONFIGURATION),
    )


def cassandra_files() -> tuple[File, ...]:
    """What is Cassandra's beside its jars."""
    nodetool = rootfs.script_file("nodetool.sh").read_text()
    return (
        entrypoint("cassandra"),
        File("usr/local/bin/nodetool", nodetool, 0o755),
        File("opt/cassandra/java.options", CASSANDRA_OPTIONS),
        File("opt/cassandra/logback.xml", LOGBACK.format(level="INFO", stream="out")),
        File("opt/cassandra/tools-logback.xml", LOGBACK.format(level="WARN", stream="err")),
        File("opt/cassandra/metrics.yaml", CASSANDRA_METRICS),
    )


def kafka(jars: Path) -> Recipe:
    """The broker and three of its tools."""
    return Recipe(
        "kafka",
        java_program("kafka", jars, kafka_files()),
        started(
            "/etc/kafka/server.properties",
            9092,
            METRICS_PORT,
            environment=[f"METRICS_PORT={METRICS_PORT}", f"CLUSTER_ID={OFFICIAL_CLUSTER_ID}"],
        ),
        version_in("kafka", "kafka_2.13"),
    )


def zookeeper(jars: Path) -> Recipe:
    """Where the broker keeps its metadata, in the older of its two ways."""
    return Recipe(
        "zookeeper",
        java_program("zookeeper", jars, zookeeper_files()),
        started("/etc/zookeeper/zoo.cfg", 2181, METRICS_PORT),
        version_in("zookeeper", "zookeeper"),
    )


def cassandra(jars: Path) -> Recipe:
    """The database and its nodetool."""
    return Recipe(
        "cassandra",
        java_program("cassandra", jars, cassandra_files()),
        started(
            "/etc/cassandra/cassandra.yaml",
            9042,
            METRICS_PORT,
            environment=[f"METRICS_PORT={METRICS_PORT}", f"JVM_EXTRA_OPTS={ALONE}"],
        ),
        version_in("cassandra", "cassandra-all"),
    )


def traefik(binary: Path) -> Recipe:
    """The gateway."""
    layer = Layer(
        "traefik",
        copies=(copied("usr/bin/traefik", binary),),
        script="chmod 755 /usr/bin/traefik\n" + add_user("traefik", USER, "/"),
        offline=True,
    )
    return Recipe(
        "traefik",
        layer,
        settings([], Entrypoint=["traefik"], User=str(USER)),
        "traefik version | sed -n 's/^Version: *//p'",
    )


def fixai(services: Path = PROJECT / "services") -> Recipe:
    """Our programs of the cluster; the command is the name of one.

    Raises:
        HearthError: There are none.
    """
    return Recipe(
        "fixai",
        programs(services),
        python.started_as("services.fixai", 8000),
        python.OWN_VERSION,
    )


def programs(services: Path) -> Layer:
    """Our programs over what they import."""
    pinned, script = python.pinned_packages(services / "fixai/requirements.txt")
    packages = Layer("fixai-packages", files=(pinned,), script=script, below=python.interpreter())
    return Layer(
        "fixai",
        copies=python.programs(services, "fixai"),
        script=f"{python.COMPILE} /app\n{add_user('hearth', USER, '/app')}",
        offline=True,
        below=packages,
    )


def java_program(kind: str, jars: Path, files: tuple[File, ...]) -> Layer:
    """A Java program, as a user of its own, over the Java that all share.

    Raises:
        HearthError: There are no jars.
    """
    found = sorted(jars.glob("*.jar"))
    if not found:
        raise HearthError(f"{kind}: no jars ({jars}); correct HEARTH_{kind.upper()}, or unset it")
    return Layer(
        kind,
        files=files,
        copies=tuple(copied(f"opt/{kind}/libs/{path.name}", path) for path in found),
        script=add_user(kind, USER, "/data", "/data"),
        offline=True,
        below=java(),
    )


def started(
    configuration: str, *ports: int, environment: list[str] | None = None
) -> dict[str, object]:
    """The defaults of a Java program's image."""
    return settings(
        [configuration],
        *ports,
        Entrypoint=[Path(ENTRYPOINT).name],
        User=str(USER),
        Volumes={"/data": {}},
        environment=environment or [],
    )


def version_in(kind: str, artifact: str) -> str:
    """Shell that prints the version in the name of one of the jars."""
    return f"basename /opt/{kind}/libs/{artifact}-[0-9]*.jar .jar | sed 's/^{artifact}-//'"
