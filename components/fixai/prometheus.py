"""Prometheus: collects the figures of every part, and judges them by the promises of the site."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

import pulumi
import yaml

from components.fixai.objects import Objects
from components.fixai.pods import (
    Container,
    Document,
    Image,
    Pod,
    Probes,
    Where,
    asks,
    configuration,
    scratch,
)
from inventory.fixai import Prometheus as Settings
from inventory.fixai_edges import METRICS, OWN, Edge, namespace_of
from inventory.units import GIB

NAME = "prometheus"
PORT = 9090
_FOLDER = "/etc/prometheus"


@dataclass(frozen=True, slots=True)
class PrometheusArgs:
    """What it is made of.

    Attributes:
        where: any of the nodes: it keeps figures as long as its pod lives.
        image: with `prometheus` in /bin or on its path.
        settings: its memory, and for how long it keeps figures.
        edges: the connections that it is admitted to; their targets are asked.
        after: what has to be there before.
    """

    where: Where
    image: Image
    settings: Settings
    edges: Sequence[Edge]
    after: Sequence[pulumi.Resource] = ()


class Prometheus(pulumi.ComponentResource):
    """Finds pods by the names of their services: it has no rights in the cluster."""

    address: pulumi.Output[str]

    def __init__(
        self, name: str, args: PrometheusArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("hearth:fixai:Prometheus", name, None, opts)
        objects = Objects(self, name, NAME, args.where.namespace)
        files = {"prometheus.yml": configuration_text(args.edges)}
        days = args.settings.retention / timedelta(days=1)
        server = Container(
            NAME,
            args.image,
            args.settings,
            command=[
                "prometheus",
                f"--config.file={_FOLDER}/prometheus.yml",
                "--storage.tsdb.path=/prometheus",
                f"--storage.tsdb.retention.time={max(round(days * 24), 1)}h",
                "--storage.tsdb.retention.size=768MB",
                f"--web.listen-address=:{PORT}",
            ],
            ports={"http": PORT},
            environment={"GOMEMLIMIT": str(args.settings.memory * 9 // 10)},
            mounts={_FOLDER: "settings", "/prometheus": "data"},
            writable=["data"],
            probes=Probes(asks("/-/ready", PORT), asks("/-/healthy", PORT)),
        )
        pod = Pod(
            NAME,
            args.where,
            [server],
            volumes={"settings": configuration(NAME), "data": scratch(1 * GIB)},
            settings=list(files.values()),
        )
        made = objects.deployment(
            pod, [objects.account(), objects.settings(files), *args.after], one_at_a_time=True
        )
        objects.service({"http": PORT})
        objects.budget()
        self.address = made.id.apply(lambda _: f"{NAME}:{PORT}")
        self.register_outputs({"address": self.address})


def configuration_text(edges: Sequence[Edge]) -> str:
    """The text of prometheus.yml: whom it asks, of those that it may connect to."""
    return yaml.safe_dump(
        {
            "global": {"scrape_interval": "15s", "scrape_timeout": "10s"},
            "scrape_configs": [_job(edge) for edge in edges if edge.source == NAME],
        },
        sort_keys=False,
    )


def _job(edge: Edge) -> Document:
    """Each pod behind a name, asked by itself; a store has one pod, and its service that name."""
    pods = edge.port in {OWN, METRICS}
    service = f"{edge.target}-pods" if pods else edge.target
    found: Document = {
        "job_name": edge.target,
        "dns_sd_configs": [
            {
                "names": [f"{service}.{namespace_of(edge.target)}.svc.cluster.local"],
                "type": "A",
                "port": edge.port,
                "refresh_interval": "15s",
            }
        ],
    }
    return found | _PATHS.get(edge.target, {})


_PATHS: Mapping[str, Document] = {"minio": {"metrics_path": "/minio/v2/metrics/cluster"}}
