"""Who talks to whom in FixAI, on which port: the drawing as a table.

Network policies admit exactly these, the documentation lists them, and the smoke suite tries
others. Who is not named as a target of anyone is reached by nobody.
"""

from __future__ import annotations

from dataclasses import dataclass

from inventory.fixai import ASKING, CONSUMED, EDGE_NAMESPACE, NAMESPACE, FixAI

WORLD, INTERNET = "world", "internet"
"""Whoever asks from anywhere; whatever is outside of private networks."""

KEDA, NGROK = "keda", "ngrok-operator"
"""Operators that the cluster may have, in namespaces of these names."""
FOREIGN = frozenset({KEDA, NGROK})

HTTP, HTTPS, METRICS = 8080, 8443, 9100
"""Traefik's in its pod: below 1024 it would need a privilege."""

OWN = 8000
"""Health and metrics of every role of FixAI's image."""

STORE_METRICS = 9404
"""Of Kafka, ZooKeeper and Cassandra, where their images tell figures."""

PUBLIC = {HTTP: 80, HTTPS: 443}
"""Traefik's ports as the world sees them."""


@dataclass(frozen=True, slots=True)
class Edge:
    """A connection that is admitted.

    Attributes:
        source: who opens it: a workload, or one of the names above.
        target: who listens.
        port: in the target's pod, TCP.
        why: for people.
    """

    source: str
    target: str
    port: int
    why: str


def namespace_of(workload: str) -> str:
    """Where its pods are."""
    if workload in FOREIGN:
        return workload
    return EDGE_NAMESPACE if workload == "traefik" else NAMESPACE


def edges(settings: FixAI) -> tuple[Edge, ...]:
    """Every connection that is admitted, in the order of a report's way through FixAI."""
    return (*_front(settings), *_pipeline(settings), *_keeping(), *_figures(settings))


def workloads(settings: FixAI) -> tuple[str, ...]:
    """Everything that has pods, in the edges' order."""
    ends = [end for edge in edges(settings) for end in (edge.source, edge.target)]
    outside = {WORLD, INTERNET, *FOREIGN}
    return tuple(end for end in dict.fromkeys(ends) if end not in outside)


def forbidden(settings: FixAI) -> tuple[Edge, ...]:
    """Connections that somebody could try and must not get: each listener, each stranger."""
    admitted = {(edge.source, edge.target, edge.port) for edge in edges(settings)}
    listening = dict.fromkeys((edge.target, edge.port) for edge in edges(settings))
    return tuple(
        Edge(source, target, port, "nobody's business")
        for source in workloads(settings)
        for target, port in listening
        if target not in {source, INTERNET} and not _admitted(admitted, source, target, port)
    )


def _admitted(admitted: set[tuple[str, str, int]], source: str, target: str, port: int) -> bool:
    """Whether it is admitted, be it as one of everybody."""
    return bool({(source, target, port), (WORLD, target, port)} & admitted)


def _front(settings: FixAI) -> tuple[Edge, ...]:
    found = [
        Edge(WORLD, "traefik", HTTPS, "citizens"),
        Edge(WORLD, "traefik", HTTP, "who is sent on to HTTPS"),
        Edge("traefik", "backend", OWN, "requests and live updates"),
        Edge("backend", "cassandra", 9042, "reports, accounts, the outbox"),
        Edge("backend", "redis", 6379, "cache and rate limits"),
        Edge("backend", "minio", 9000, "pictures"),
        Edge("backend", "kafka", 9092, "what became of reports, for live updates"),
    ]
    if settings.tunnel.by == "ngrok":
        found.append(Edge(NGROK, "traefik", HTTPS, "the citizens' app, through ngrok"))
    if settings.tunnel.by == "simulated":
        found += [
            Edge(WORLD, "tunnel", HTTPS, "the citizens' app"),
            Edge("tunnel", "traefik", HTTPS, "the tunnel's end"),
        ]
    return tuple(found)


def _pipeline(settings: FixAI) -> tuple[Edge, ...]:
    found = [
        Edge("outbox", "cassandra", 9042, "what was acknowledged"),
        Edge("outbox", "kafka", 9092, "its publication"),
    ]
    if settings.uses_zookeeper:
        found.append(Edge("kafka", "zookeeper", 2181, "who leads"))
    for consumer in CONSUMED:
        found += [
            Edge(consumer, "kafka", 9092, "events"),
            Edge(consumer, "cassandra", 9042, "its effects"),
        ]
        if consumer not in ASKING:
            continue
        if settings.llm.simulated:
            found.append(Edge(consumer, "gemini", 8080, "the language model's stand-in"))
        else:
            found.append(Edge(consumer, INTERNET, 443, "the language model"))
    found.append(Edge("description", "minio", 9000, "pictures"))
    if settings.scaling == "keda":
        found.append(Edge(KEDA, "kafka", 9092, "how far consumers lag"))
    return tuple(found)


def _keeping() -> tuple[Edge, ...]:
    return (
        Edge("migrate", "cassandra", 9042, "accounts and schema"),
        Edge("migrate", "kafka", 9092, "topics"),
        Edge("migrate", "minio", 9000, "whether buckets are there"),
        Edge("buckets", "minio", 9000, "buckets and users"),
        Edge("backup-cassandra", "cassandra", 9042, "every table"),
        Edge("backup-cassandra", "minio", 9000, "its backups"),
        Edge("backup-pictures", "minio", 9000, "copies for the other node"),
    )


def _figures(settings: FixAI) -> tuple[Edge, ...]:
    roles = ["backend", "outbox", *CONSUMED, *(["gemini"] if settings.llm.simulated else [])]
    stores = ["kafka", "cassandra", *(["zookeeper"] if settings.uses_zookeeper else [])]
    return (
        Edge("prometheus", "traefik", METRICS, "figures"),
        Edge("prometheus", "minio", 9000, "figures"),
        *(Edge("prometheus", role, OWN, "figures") for role in roles),
        *(
            Edge("prometheus", store, STORE_METRICS, "figures")
            for store in (stores if settings.store_metrics else [])
        ),
    )
