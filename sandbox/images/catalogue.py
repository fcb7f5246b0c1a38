"""Every image that the lab's registry can serve, by its kind."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from inventory.errors import HearthError
from sandbox.images import ai, cluster, data, gateway, kubernetes, monitoring, python, web
from sandbox.images.recipe import Recipe, repository
from tools.jars import JAVA, ensure_jars

if TYPE_CHECKING:
    from sandbox.plan import Progress


@dataclass(frozen=True)
class Entry:
    """A kind of image.

    Args:
        make: Its recipe, from the programs that it is made of.
        programs: Their names, in that order: among `tools.programs.PROGRAMS` those that are a
            file, among `tools.jars.JAVA` those that are a folder of jars.
    """

    make: Callable[..., Recipe]
    programs: tuple[str, ...] = ()


CATALOGUE = {
    "alertmanager": Entry(monitoring.alertmanager),
    "assistant": Entry(python.assistant),
    "backup": Entry(data.backup),
    "cassandra": Entry(cluster.cassandra, ("cassandra",)),
    "collector": Entry(monitoring.collector, ("collector",)),
    "coredns": Entry(kubernetes.coredns, ("coredns",)),
    "comfyui": Entry(python.comfyui),
    "dnsmasq": Entry(gateway.dnsmasq),
    "drift-check": Entry(python.drift_check),
    "etcd": Entry(kubernetes.etcd, ("etcd",)),
    "fixai": Entry(cluster.fixai),
    "grafana": Entry(python.grafana),
    "haproxy": Entry(gateway.haproxy),
    "jupyterhub": Entry(web.jupyterhub),
    "kafka": Entry(cluster.kafka, ("kafka",)),
    **{name: Entry(partial(kubernetes.component, name), (name,)) for name in kubernetes.COMPONENTS},
    "loki": Entry(monitoring.loki, ("loki",)),
    "minio": Entry(data.minio, ("minio", "mc")),
    "nginx": Entry(gateway.nginx),
    "node-exporter": Entry(monitoring.node_exporter),
    "ollama": Entry(ai.ollama, ("ollama",)),
    "pause": Entry(kubernetes.pause),
    "pgadmin": Entry(web.pgadmin),
    "postgres": Entry(data.postgres),
    "postgres-exporter": Entry(monitoring.postgres_exporter),
    "prometheus": Entry(monitoring.prometheus),
    "redis": Entry(data.redis),
    "redis-commander": Entry(web.redis_commander),
    "redis-exporter": Entry(monitoring.redis_exporter),
    "sonarqube": Entry(python.sonarqube),
    "traefik": Entry(cluster.traefik, ("traefik",)),
    "zookeeper": Entry(cluster.zookeeper, ("zookeeper",)),
}


def kinds_of(references: Iterable[str]) -> tuple[str, ...]:
    """The kinds of the images that a site names as `repository:tag`, each once.

    Raises:
        HearthError: One of them cannot be built here.
    """
    known = {repository(kind): kind for kind in CATALOGUE}
    found = {reference: known.get(reference.partition(":")[0]) for reference in references}
    if unknown := sorted(reference for reference, kind in found.items() if kind is None):
        raise HearthError(
            f"registry.images: not built here ({', '.join(unknown)}); use {', '.join(known)}"
        )
    return tuple(sorted({kind for kind in found.values() if kind}))


def need_jars(references: Iterable[str]) -> bool:
    """Whether one of these images is a Java program.

    Raises:
        HearthError: One of them cannot be built here.
    """
    return any(JAVA & set(CATALOGUE[kind].programs) for kind in kinds_of(references))


def recipes(kinds: Iterable[str], progress: Progress) -> list[Recipe]:
    """The recipes of these kinds; programs that they are made of are built."""
    entries = [CATALOGUE[kind] for kind in kinds]
    paths = programs([name for entry in entries for name in entry.programs], progress)
    return [entry.make(*(paths[name] for name in entry.programs)) for entry in entries]


def programs_of(kinds: Iterable[str], others: Iterable[str], progress: Progress) -> dict[str, Path]:
    """Where the programs of these kinds are, and some others: those that are missing are built."""
    return programs([*others, *(p for kind in kinds for p in CATALOGUE[kind].programs)], progress)


def variable(name: str) -> str:
    """The variable that tells where a program is."""
    return f"HEARTH_{name.upper().replace('-', '_')}"


def programs(names: Iterable[str], progress: Progress) -> dict[str, Path]:
    """Where these programs are: what HEARTH_ and the name names, else built or fetched."""
    given = {name: os.environ.get(variable(name)) for name in names}
    found = {name: Path(path) for name, path in given.items() if path}
    if missing := [name for name, path in given.items() if not path]:
        from tools.toolchain import ensure_programs  # noqa: PLC0415 - builds; only where needed

        found |= ensure_jars([name for name in missing if name in JAVA], progress)
        found |= ensure_programs([name for name in missing if name not in JAVA], progress)
    return found
