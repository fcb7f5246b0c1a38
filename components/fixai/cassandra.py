"""Cassandra: the store of reports, accounts and the outbox."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import yaml

from components.fixai.objects import Objects, Storage
from components.fixai.pods import (
    Container,
    Image,
    Pod,
    Probes,
    Secret,
    Where,
    configuration,
    connects,
    scratch,
)
from inventory.fixai import Cassandra as Settings
from inventory.fixai_edges import STORE_METRICS
from inventory.units import MIB

NAME = "cassandra"
PORT = 9042
USER = "fixai"
DATACENTER = "datacenter1"
_FOLDER = "/var/lib/cassandra"
_LOGS = "/var/log/cassandra"
_FILE = "/etc/cassandra-settings/cassandra.yaml"


@dataclass(frozen=True, slots=True)
class CassandraArgs:
    """What a database is made of.

    Attributes:
        where: one node, the one that its storage is on.
        image: the vendor's has `cassandra` on its path.
        settings: its memory; the heap has half of it.
        password: of the account that owns the data.
        metrics: whether it tells its figures; Hearth's own image does.
    """

    where: Where
    image: Image
    settings: Settings
    storage: Storage
    password: pulumi.Input[str]
    metrics: bool = False


class Cassandra(pulumi.ComponentResource):
    """One server, which keeps one copy.

    It asks for passwords. The account of its clients is made by the migration, which also locks the
    one that every new Cassandra has.
    """

    address: pulumi.Output[str]
    login: Secret

    def __init__(
        self, name: str, args: CassandraArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("hearth:fixai:Cassandra", name, None, opts)
        objects = Objects(self, name, NAME, args.where.namespace)
        self.login = objects.secret(NAME, {"user": USER, "password": args.password})
        text = configuration_text()
        pod = Pod(
            NAME,
            args.where,
            [_server(args)],
            volumes={"settings": configuration(NAME), "logs": scratch(256 * MIB)},
            settings=[text],
            # It writes what is in memory to its tables.
            stop_seconds=90,
        )
        settings = objects.settings({"cassandra.yaml": text})
        made = objects.stateful_set(pod, args.storage, [objects.account(), settings])
        objects.service({"cql": PORT})
        objects.budget()
        self.address = made.id.apply(lambda _: f"{NAME}:{PORT}")
        self.register_outputs({"address": self.address})


def _server(args: CassandraArgs) -> Container:
    heap = args.settings.memory // 2 // MIB
    return Container(
        NAME,
        args.image,
        args.settings,
        # In place of one file of the image's; the others stay as they are.
        command=args.image.command(["cassandra", "-f", f"-Dcassandra.config=file://{_FILE}"]),
        arguments=args.image.arguments(_FILE),
        ports={"cql": PORT, **({"metrics": STORE_METRICS} if args.metrics else {})},
        environment={
            "MAX_HEAP_SIZE": f"{heap}M",
            "HEAP_NEWSIZE": f"{max(heap // 4, 64)}M",
            "CASSANDRA_LOG_DIR": _LOGS,
            "LOCAL_JMX": "yes",
            "METRICS_PORT": str(STORE_METRICS) if args.metrics else "",
        },
        mounts={_FOLDER: "data", _LOGS: "logs", "/etc/cassandra-settings": "settings"},
        writable=["data", "logs"],
        probes=Probes(connects(PORT), connects(PORT), startup_seconds=240, timeout_seconds=5),
    )


def configuration_text() -> str:
    """The text of cassandra.yaml: one server, which listens to other servers on no network.

    A commit is acknowledged when the disk has it: there is no second copy.
    """
    loopback = "127.0.0.1"
    return yaml.safe_dump(
        {
            "cluster_name": NAME,
            "num_tokens": 16,
            "partitioner": "org.apache.cassandra.dht.Murmur3Partitioner",
            "authenticator": "PasswordAuthenticator",
            "authorizer": "CassandraAuthorizer",
            "role_manager": "CassandraRoleManager",
            "roles_validity": "2000ms",
            "endpoint_snitch": "SimpleSnitch",
            "listen_address": loopback,
            "seed_provider": [
                {
                    "class_name": "org.apache.cassandra.locator.SimpleSeedProvider",
                    "parameters": [{"seeds": loopback}],
                }
            ],
            # Clients are told the service's name's address, whatever the pod's is.
            "rpc_address": "0.0.0.0",  # noqa: S104 - the network policy admits who may ask
            "broadcast_rpc_address": loopback,
            "native_transport_port": PORT,
            "data_file_directories": [f"{_FOLDER}/data"],
            "commitlog_directory": f"{_FOLDER}/commitlog",
            "saved_caches_directory": f"{_FOLDER}/saved_caches",
            "hints_directory": f"{_FOLDER}/hints",
            "cdc_raw_directory": f"{_FOLDER}/cdc_raw",
            "commitlog_sync": "group",
            "commitlog_sync_group_window": "5ms",
            "commitlog_segment_size": "16MiB",
            "commitlog_total_space": "256MiB",
            "disk_failure_policy": "die",
            "commit_failure_policy": "die",
            "concurrent_reads": 16,
            "concurrent_writes": 16,
            "concurrent_compactors": 1,
            "memtable_heap_space": "128MiB",
            "memtable_offheap_space": "128MiB",
            "file_cache_size": "64MiB",
            "key_cache_size": "16MiB",
            "auto_snapshot": True,
        },
        sort_keys=False,
    )
