"""Redis: the cache, and the counters of rate limits."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi

from components.fixai.objects import Objects
from components.fixai.pods import (
    SECRETS,
    Container,
    Image,
    Pod,
    Probes,
    Secret,
    Where,
    connects,
    scratch,
)
from inventory.fixai import Pod as Size
from templates import render

NAME = "redis"
PORT = 6379
_OWN = "redis-server"


@dataclass(frozen=True, slots=True)
class RedisArgs:
    """What a cache is made of.

    Attributes:
        where: any of the nodes: it keeps nothing.
        image: with `redis-server` on its path.
        size: its memory; three quarters of it are for what it holds.
        password: what clients present.
    """

    where: Where
    image: Image
    size: Size
    password: pulumi.Input[str]


class Redis(pulumi.ComponentResource):
    """One server, in memory: what it forgets is read anew."""

    address: pulumi.Output[str]
    login: Secret

    def __init__(
        self, name: str, args: RedisArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("hearth:fixai:Redis", name, None, opts)
        objects = Objects(self, name, NAME, args.where.namespace)
        password = pulumi.Output.secret(args.password)
        self.login = objects.secret(NAME, {"password": password})
        text = password.apply(
            lambda known: (
                render(
                    "redis/redis.conf.j2",
                    password=known,
                    maxmemory_bytes=args.size.memory * 3 // 4,
                    eviction="allkeys-lru",
                    durable=False,
                )
                + 'save ""\n'
            )
        )
        own = objects.secret(_OWN, {"redis.conf": text})
        server = Container(
            NAME,
            args.image,
            args.size,
            command=["redis-server", f"{SECRETS}/{_OWN}/redis.conf"],
            ports={"redis": PORT},
            mounts={"/data": "data"},
            writable=["data"],
            probes=Probes(connects(PORT), connects(PORT), startup_seconds=30),
        )
        pod = Pod(
            NAME,
            args.where,
            [server],
            volumes={"data": scratch(args.size.memory)},
            secrets=[own],
        )
        # Two of them would count rate limits apart.
        made = objects.deployment(pod, [objects.account()], one_at_a_time=True)
        objects.service({"redis": PORT})
        objects.budget()
        self.address = made.id.apply(lambda _: f"{NAME}:{PORT}")
        self.register_outputs({"address": self.address})
