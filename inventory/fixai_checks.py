"""What is wrong with a site's FixAI, and what its nodes cannot promise."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from inventory.document import Path_
from inventory.fixai import CONSUMED, IMAGES, OWN_IMAGE, FixAI
from inventory.model import Site, did_you_mean
from inventory.units import format_size

QUORUM = 3
"""Nodes with which one can be lost and a majority is left."""

Finding = tuple[Path_, str]


def check_fixai(site: Site) -> Iterator[Finding]:
    """A site with FixAI is a cluster that has its nodes, their memory and all images."""
    if site.fixai is None:
        return
    if site.kubernetes is None:
        yield ("fixai",), "runs in a cluster (none); add `kubernetes:`"
        return
    if not site.nodes:
        return
    yield from _nodes(site, site.fixai)
    yield from _images(site, site.fixai)
    yield from _memory(site, site.fixai)
    yield from _numbers(site.fixai)


def notices(site: Site) -> list[str]:
    """What a site cannot promise, for people; empty where there is nothing to say."""
    if site.fixai is None:
        return []
    settings = site.fixai
    found = []
    if len(site.nodes) < QUORUM:
        found.append(
            f"{len(site.nodes)} nodes hold no quorum: Kafka, ZooKeeper and Cassandra keep one copy "
            "of everything. A lost disk loses what is newer than the last backup, and while the "
            "node of one of them is down reports wait or are refused"
        )
    else:
        found.append("Kafka, ZooKeeper and Cassandra have one pod and keep one copy of everything")
    if settings.kafka.profile == "zookeeper":
        found.append(
            "fixai.kafka.profile: Kafka 3.9 is the last with ZooKeeper; `kraft` is recommended"
        )
    if settings.scaling == "hpa":
        found.append(
            "fixai.scaling: consumers scale by CPU, which needs metrics-server; `keda` scales by "
            "how far they lag"
        )
    if settings.llm.simulated:
        found.append("fixai.llm: simulated; a stand-in answers in place of Gemini, by rules")
    if settings.tunnel.by == "simulated":
        found.append("fixai.tunnel: simulated; it has ngrok's shape and ends in the cluster")
    return found


def _nodes(site: Site, settings: FixAI) -> Iterator[Finding]:
    for role in ("front", "work"):
        for index, name in enumerate(getattr(settings.nodes, role)):
            if name not in site.nodes:
                yield (
                    ("fixai", "nodes", role, index),
                    f"no node of the cluster ({name}); {did_you_mean(name, site.nodes)}",
                )


def _images(site: Site, settings: FixAI) -> Iterator[Finding]:
    known = {*IMAGES, OWN_IMAGE}
    for name in settings.images:
        if name not in known:
            yield (
                ("fixai", "images", name),
                f"unknown image {name}; {did_you_mean(name, known)}",
            )
    served = site.registry.images if site.registry is not None else {}
    if OWN_IMAGE not in {*served, *settings.images}:
        yield (
            ("fixai", "images"),
            f"{OWN_IMAGE} is in no public registry; build services/fixai and name what you pushed, "
            f"as `{OWN_IMAGE}: registry.example.org/fixai:1.0`",
        )


def _memory(site: Site, settings: FixAI) -> Iterator[Finding]:
    """Pods fit into their nodes, the most of them that there may be, spread evenly."""
    needed: dict[str, dict[str, int]] = defaultdict(dict)
    for demand in settings.demands():
        each = -(-demand.pods // len(demand.hosts))
        for host in demand.hosts:
            needed[host][demand.name] = each * demand.pod.memory
    for name, parts in needed.items():
        if name not in site.hosts:
            continue
        own = sum(p.memory_bytes for p in site.on_host(name) if p.kind_name != "traefik")
        room = site.hosts[name].hardware.budget_bytes - own
        if sum(parts.values()) > room:
            largest = sorted(parts.items(), key=lambda part: -part[1])
            shown = ", ".join(f"{part} {format_size(size)}" for part, size in largest)
            yield (
                ("fixai",),
                f"pods take {format_size(sum(parts.values()))} of {format_size(room)} on {name} "
                f"({shown}); lower their memory or number",
            )


def _numbers(settings: FixAI) -> Iterator[Finding]:
    for name, consumer in settings.consumers.items():
        path: Path_ = ("fixai", "consumers", name)
        if consumer.most < consumer.replicas:
            yield (
                (*path, "most"),
                f"is below `replicas` ({consumer.most} < {consumer.replicas}); raise it",
            )
        if consumer.replicas > settings.kafka.partitions:
            yield (
                (*path, "replicas"),
                f"more than {CONSUMED[name][0]} has partitions ({consumer.replicas} > "
                f"{settings.kafka.partitions}): the others would stand idle; lower it, or raise "
                "fixai.kafka.partitions",
            )
    for demand in settings.demands():
        if demand.pod.cpu > demand.pod.cpu_limit:
            where = ("consumers", demand.name) if demand.name in CONSUMED else (demand.name,)
            yield (
                ("fixai", *where, "cpu"),
                f"is above `cpu_limit` ({demand.pod.cpu} > {demand.pod.cpu_limit}); lower it",
            )
    if settings.tunnel.by == "ngrok" and settings.tunnel.url is None:
        yield ("fixai", "tunnel", "url"), "missing; add the address that ngrok gave you"
