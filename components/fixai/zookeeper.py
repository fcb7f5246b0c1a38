"""ZooKeeper, for brokers that agree through it."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi

from components.fixai.objects import Objects, Storage
from components.fixai.pods import Container, Image, Pod, Probes, Where, configuration, connects
from inventory.fixai import Pod as Size
from inventory.fixai_edges import STORE_METRICS
from inventory.units import MIB

NAME = "zookeeper"
PORT = 2181
_CONFIGURATION = """\
dataDir=/data
clientPort={port}
tickTime=2000
initLimit=10
syncLimit=5
maxClientCnxns=60
autopurge.snapRetainCount=3
autopurge.purgeInterval=6
admin.enableServer=false
4lw.commands.whitelist=srvr
"""
_METRICS = f"""\
metricsProvider.className=org.apache.zookeeper.metrics.prometheus.PrometheusMetricsProvider
metricsProvider.httpPort={STORE_METRICS}
"""
_FILE = "/etc/zookeeper-settings/zoo.cfg"


@dataclass(frozen=True, slots=True)
class ZookeeperArgs:
    """What a ZooKeeper is made of.

    Attributes:
        where: one node, the one that its storage is on.
        size: its memory; the heap has half of it.
        metrics: whether it tells its figures.
    """

    where: Where
    image: Image
    size: Size
    storage: Storage
    metrics: bool = False


class Zookeeper(pulumi.ComponentResource):
    """One server. A majority of three would survive the loss of one; two nodes cannot hold it."""

    address: pulumi.Output[str]

    def __init__(
        self, name: str, args: ZookeeperArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("hearth:fixai:Zookeeper", name, None, opts)
        objects = Objects(self, name, NAME, args.where.namespace)
        text = _CONFIGURATION.format(port=PORT) + (_METRICS if args.metrics else "")
        heap = args.size.memory // 2 // MIB
        container = Container(
            NAME,
            args.image,
            args.size,
            command=args.image.command(["zkServer.sh", "start-foreground", _FILE]),
            arguments=args.image.arguments(_FILE),
            ports={"client": PORT, **({"metrics": STORE_METRICS} if args.metrics else {})},
            environment={
                "ZK_SERVER_HEAP": str(heap),
                "ZOO_LOG_DIR": "/tmp",  # noqa: S108 - a container's own
                "ZOOPIDFILE": "/tmp/zookeeper.pid",  # noqa: S108 - the same
            },
            mounts={"/data": "data", "/etc/zookeeper-settings": "settings"},
            writable=["data"],
            probes=Probes(connects(PORT), connects(PORT)),
        )
        pod = Pod(
            NAME,
            args.where,
            [container],
            volumes={"settings": configuration(NAME)},
            settings=[text],
        )
        settings = objects.settings({"zoo.cfg": text})
        made = objects.stateful_set(pod, args.storage, [objects.account(), settings])
        objects.service({"client": PORT})
        objects.budget()
        self.address = made.id.apply(lambda _: f"{NAME}:{PORT}")
        self.register_outputs({"address": self.address})
