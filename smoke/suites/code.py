"""Routes that write code carry what they promise."""

from __future__ import annotations

from typing import TYPE_CHECKING

from smoke.bench import code_routes
from smoke.suites.streams import loaded

if TYPE_CHECKING:
    from smoke.bench import Bench
    from smoke.verdict import Check


async def suite(bench: Bench) -> list[Check]:
    """Send each such route the load that it promises to carry."""
    return await loaded(bench, "code", code_routes(bench.site))
