"""The machine that remembers: PostgreSQL and Redis."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi

from components.homelab.network import lab_network
from components.homelab.redis import redis_file
from components.homelab.service import File, Service, ServiceArgs
from inventory.model import Placement, Site


@dataclass(frozen=True, slots=True)
class DataNodeArgs:
    """What a data node needs.

    Attributes:
        site: the whole site.
        host_name: the machine.
        postgres_password: of the database's owner; a secret.
        redis_password: a secret.
    """

    site: Site
    host_name: str
    postgres_password: pulumi.Input[str]
    redis_password: pulumi.Input[str]


class DataNode(pulumi.ComponentResource):
    """PostgreSQL and Redis with persistence, each on a volume that outlives its container."""

    def __init__(
        self, name: str, args: DataNodeArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("hearth:homelab:DataNode", name, None, opts)
        network = lab_network(name, self)
        for placement in args.site.on_host(args.host_name):
            if placement.provisioned:
                Service(
                    placement.reference,
                    ServiceArgs(placement, network, files=_files(args, placement)),
                    pulumi.ResourceOptions(parent=self),
                )
        self.register_outputs({})


def _files(args: DataNodeArgs, placement: Placement) -> tuple[File, ...]:
    if placement.kind_name == "redis":
        return (redis_file(placement, args.redis_password, durable=True),)
    if placement.kind_name == "postgres":
        password = pulumi.Output.secret(args.postgres_password)
        return (File("/run/secrets/postgres-password", password),)
    return ()
