"""Which TCP ports answer: a program of its own, so that it can be run in another network.

Reads `[[address, port], ...]` on standard input, writes those that accept a connection within
the time, as JSON. Needs nothing but Python's own library.
"""

from __future__ import annotations

import asyncio
import json
import sys

TIMEOUT_S = 2.0
AT_ONCE = 256

Target = tuple[str, int]


async def _accepts(target: Target, slots: asyncio.Semaphore) -> bool:
    async with slots:
        try:
            _, writer = await asyncio.wait_for(asyncio.open_connection(*target), TIMEOUT_S)
        except (OSError, TimeoutError):
            return False
        writer.close()
        return True


async def dial(targets: list[Target]) -> list[Target]:
    """The targets that accept; refused and silent ones are both closed."""
    slots = asyncio.Semaphore(AT_ONCE)
    accepted = await asyncio.gather(*(_accepts(target, slots) for target in targets))
    return [target for target, accepts in zip(targets, accepted, strict=True) if accepts]


if __name__ == "__main__":
    wanted = [(address, port) for address, port in json.load(sys.stdin)]
    json.dump(asyncio.run(dial(wanted)), sys.stdout)
