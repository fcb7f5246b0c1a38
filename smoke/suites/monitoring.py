"""Whoever has figures is asked for them, and answers."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

from smoke.prometheus import prometheus_of, query
from smoke.verdict import Check, judged
from smoke.wording import listed

if TYPE_CHECKING:
    from collections.abc import Collection

    from inventory.model import Site
    from smoke.bench import Bench
    from smoke.prometheus import Series

SCRAPED_WITHIN_S = 60
"""A service that has just started is asked in its turn."""
_check = partial(Check, "monitoring")


async def suite(bench: Bench) -> list[Check]:
    """Ask the lab's Prometheus whom it reaches, until it reaches all or a minute has passed."""
    place = prometheus_of(bench.site)
    if place is None:
        return []
    bench.progress("who answers Prometheus")
    found, fault = await query(bench.access, place, "up")
    for _ in range(SCRAPED_WITHIN_S):
        if fault or not _silent(bench.site, found):
            break
        await asyncio.sleep(1)
        found, fault = await query(bench.access, place, "up")
    return [judge(bench.site, found, fault)]


def with_figures(site: Site) -> set[str]:
    """The services that have figures, as `host.service`."""
    return {p.reference for p in site.placements() if p.provisioned and p.kind.metrics}


def _silent(site: Site, found: Collection[Series]) -> set[str]:
    answering = {series.labels.get("service", "") for series in found if series.value == 1}
    return with_figures(site) - answering


def judge(site: Site, found: Collection[Series], fault: str) -> Check:
    """Hold what Prometheus reaches to what the site places."""
    wanted, silent = with_figures(site), _silent(site, found)
    return _check(
        name="services that answer Prometheus",
        target="all",
        figure="" if fault else f"{len(wanted) - len(silent)} of {len(wanted)}",
        verdict="inconclusive" if fault else judged(not silent),
        detail=fault or (f"silent: {listed(sorted(silent))}" if silent else ""),
        samples=len(wanted),
    )
