"""Redis, and what tells Prometheus about it."""

from __future__ import annotations

import json

import pulumi

from components.homelab.service import Extras, Service, ServiceArgs
from inventory.services import SETTINGS
from templates import render


class Redis(Service):
    """A cache; on a data node a store that keeps everything on disk."""

    def extras(self, args: ServiceArgs) -> Extras:
        """Its configuration, which holds the password."""
        placement = args.placement
        durable = placement.host.tier == "data"
        content = args.secrets.password(placement, "default").apply(
            lambda password: render(
                "redis/redis.conf.j2",
                password=password,
                # Forks and buffers need the rest.
                maxmemory_bytes=placement.memory_bytes * 3 // 4,
                # A store refuses writes when it is full; a cache forgets.
                eviction="noeviction" if durable else "allkeys-lru",
                durable=durable,
            )
        )
        return Extras(files={"redis.conf": content})


class RedisExporter(Service):
    """Figures of the Redis beside it."""

    def extras(self, args: ServiceArgs) -> Extras:
        """Where Redis is, and its password in a file."""
        address = f"redis://{args.endpoint('redis')}"
        content = args.password("redis", "default").apply(
            lambda password: f'{{"{address}": "{password}"}}'
        )
        return Extras(
            files={"passwords.json": content},
            environment={
                "REDIS_ADDR": address,
                "REDIS_PASSWORD_FILE": f"{SETTINGS}/passwords.json",
            },
        )


class RedisCommander(Service):
    """A page that shows what is in the Redis beside it, to who has its account."""

    def extras(self, args: ServiceArgs) -> Extras:
        """Where Redis is, how to log in there, and how to log in here."""
        content = pulumi.Output.all(
            redis=args.password("redis", "default"),
            own=args.secrets.password(args.placement, "admin"),
        ).apply(lambda found: commander_config(args.endpoint("redis") or "", **found))
        return Extras(files={"local.json": pulumi.Output.secret(content)})


def commander_config(endpoint: str, redis: str, own: str) -> str:
    """The text of redis-commander's local.json.

    Args:
        endpoint: Redis' `name:port`.
        redis: Redis' password.
        own: the password of the page's user `admin`.
    """
    host, _, port = endpoint.partition(":")
    document = {
        "noSave": True,
        "noLogData": True,
        "server": {"httpAuth": {"username": "admin", "password": own}},
        "connections": [
            {"label": "lab", "host": host, "port": port, "password": redis, "dbIndex": 0}
        ],
    }
    return json.dumps(document)
