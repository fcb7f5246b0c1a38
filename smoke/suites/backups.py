"""There is a backup that could be read back, and it is not old."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

from smoke.prometheus import prometheus_of, query
from smoke.verdict import Check, judged
from smoke.wording import listed

if TYPE_CHECKING:
    from collections.abc import Collection

    from smoke.bench import Bench
    from smoke.prometheus import Series

OLDEST = timedelta(hours=26)
"""One a day, and the time that it takes; the alert BackupTooOld has the same figure."""
AGE = "time() - hearth_backup_last_success_timestamp_seconds"
FIRST_WITHIN_S = 60
"""A lab that has just come up makes its first one soon."""
_check = partial(Check, "backups")


async def suite(bench: Bench) -> list[Check]:
    """Ask the lab's Prometheus how old the last backup of each service is."""
    place = prometheus_of(bench.site)
    backup = next((p for p in bench.site.by_kind.get("backup", ()) if p.provisioned), None)
    if place is None or backup is None:
        return []
    found, fault = await query(bench.access, place, AGE)
    for _ in range(FIRST_WITHIN_S):
        if found or fault:
            break
        await asyncio.sleep(1)
        found, fault = await query(bench.access, place, AGE)
    return [judge(found, fault)]


def judge(found: Collection[Series], fault: str) -> Check:
    """Hold the oldest of the last backups to a day."""
    ages = {s.labels.get("service", "?"): timedelta(seconds=s.value) for s in found}
    oldest = max(ages.values(), default=None)
    shown = [f"{service} {age.total_seconds() / 3600:.1f} h" for service, age in ages.items()]
    return _check(
        name="last backup that could be read back is no older than",
        target=f"{OLDEST.total_seconds() / 3600:.0f} h",
        figure="none" if oldest is None else f"{oldest.total_seconds() / 3600:.1f} h",
        verdict="inconclusive" if fault else judged(oldest is not None and oldest <= OLDEST),
        detail=fault or listed(sorted(shown)),
        samples=len(ages),
    )
