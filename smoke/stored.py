"""What the lab's database holds of conversations."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from uuid import UUID

from inventory.services import DATABASE
from smoke.shell import run_on

if TYPE_CHECKING:
    from collections.abc import Collection

    from inventory.model import Site
    from smoke.access import Access

ASKED_FOR_S = 60
"""So long a machine may keep what it could not store while the database was away."""


def keeps(site: Site, route: str) -> bool:
    """Whether a route's conversations are stored at all."""
    services = (site.placement(name) for name in site.routes[route].services)
    stores = (placement.used("postgres") for placement in services)
    return all(store is not None and store.provisioned for store in stores)


async def stored(
    site: Site, access: Access, conversations: Collection[str]
) -> dict[str, tuple[int, int]] | None:
    """How many questions and answers each conversation has, once all are there or time is up.

    Returns:
        By conversation; None where the database does not tell.
    """
    found: dict[str, tuple[int, int]] | None = None
    for _ in range(ASKED_FOR_S):
        found = await _ask(site, access, conversations)
        if found is not None and all(found.get(name, (0, 0)) >= (1, 1) for name in conversations):
            break
        await asyncio.sleep(1)
    return found


async def _ask(
    site: Site, access: Access, conversations: Collection[str]
) -> dict[str, tuple[int, int]] | None:
    place = next(p for p in site.by_kind["postgres"] if p.provisioned)
    wanted = ", ".join(f"'{UUID(name)}'" for name in conversations)
    counts = ", ".join(f"count(*) FILTER (WHERE role = '{r}')" for r in ("user", "assistant"))
    sql = (
        f"SELECT conversation_id, {counts} FROM messages "  # noqa: S608 - they are UUIDs
        f"WHERE conversation_id IN ({wanted}) GROUP BY 1"
    )
    psql = f"docker exec -i {place.name} psql -U {DATABASE} -d {DATABASE} -At"
    output, fault = await run_on(access, place.host_name, f"{psql} <<'end'\n{sql};\nend\n")
    if fault:
        return None
    rows = (line.split("|") for line in output.splitlines())
    return {name: (int(asked), int(answered)) for name, asked, answered in rows}
