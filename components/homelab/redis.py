"""Redis, and what tells Prometheus about it."""

from __future__ import annotations

from components.homelab.service import Extras, Service, ServiceArgs
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
                "REDIS_PASSWORD_FILE": "/settings/passwords.json",
            },
        )
