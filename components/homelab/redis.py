"""Redis's configuration, the same on every host that runs one."""

from __future__ import annotations

import pulumi

from components.homelab.service import File
from inventory.model import Placement
from templates import render


def redis_file(placement: Placement, password: pulumi.Input[str], *, durable: bool) -> File:
    """The configuration file; secret, as it holds the password.

    Args:
        placement: the Redis; it may use three quarters of its memory for data.
        password: what clients authenticate with.
        durable: keep everything on disk and refuse writes when full, rather than forget.
    """
    content = pulumi.Output.secret(password).apply(
        lambda text: render(
            "redis/redis.conf.j2",
            password=text,
            maxmemory_bytes=placement.memory_bytes * 3 // 4,
            eviction="noeviction" if durable else "allkeys-lru",
            durable=durable,
        )
    )
    return File("/etc/redis/redis.conf", content)
