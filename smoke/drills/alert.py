"""A fault raises its alert, and its recovery clears it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING

from smoke.drills.faults import Fault
from smoke.drills.judge import CHECK
from smoke.prometheus import prometheus_of, query
from smoke.verdict import Check, judged
from smoke.wording import prefix, seconds

if TYPE_CHECKING:
    from collections.abc import Callable

    from inventory.model import Placement, Site
    from smoke.access import Access

ALERT = "TargetDown"
RAISED_WITHIN_S = 300.0
"""The alert waits for three minutes; the rest is scraping and judging, each every 15 s."""
CLEARED_WITHIN_S = 120.0
_LOOK_S = 5.0


@dataclass(frozen=True)
class AlertDrill:
    """A service that Prometheus asks is stopped for as long as it takes to be told.

    Args:
        name: as `--drill` takes it.
        fault: stops it, and starts it again.
        cost: what it costs on machines that somebody needs.
        prometheus: who has to notice.
        about: the `service` that the alert must name.
    """

    name: str
    fault: Fault
    cost: str
    prometheus: Placement
    about: str


def alert_drill(site: Site, stopped: Callable[[str], Fault]) -> AlertDrill | None:
    """Stops what nobody works with: a node exporter, of the last machine that has one."""
    place = prometheus_of(site)
    exporters = [p for p in site.by_kind.get("node-exporter", ()) if p.provisioned]
    if place is None or not exporters:
        return None
    about = exporters[-1].reference
    cost = f"{about} is stopped for some minutes: its figures are missing"
    return AlertDrill("alert-raised", stopped(about), cost, place, about)


async def run_alert(access: Access, drill: AlertDrill) -> list[Check]:
    """Stops, waits for the alert, starts, waits for its end."""
    await drill.fault.strike()
    try:
        raised = await _until(access, drill, firing=True, within=RAISED_WITHIN_S)
    finally:
        await drill.fault.heal()
    cleared = await _until(access, drill, firing=False, within=CLEARED_WITHIN_S)
    return judge(drill, raised, cleared)


async def _until(access: Access, drill: AlertDrill, *, firing: bool, within: float) -> float | None:
    """Seconds until the alert fires, or no longer does; None where time was up."""
    expression = f'ALERTS{{alertname="{ALERT}",service="{drill.about}",alertstate="firing"}}'
    began = monotonic()
    while monotonic() - began < within:
        found, fault = await query(access, drill.prometheus, expression)
        if not fault and bool(found) == firing:
            return monotonic() - began
        await asyncio.sleep(_LOOK_S)
    return None


def judge(drill: AlertDrill, raised: float | None, cleared: float | None) -> list[Check]:
    """Hold the times to what the alert promises; one that never fired cannot be cleared."""
    return [
        CHECK(
            name=prefix(drill.name, f"{ALERT} of {drill.about} fires within"),
            target=seconds(RAISED_WITHIN_S),
            figure="not at all" if raised is None else seconds(raised),
            verdict=judged(raised is not None),
            detail=drill.fault.what,
            samples=1,
        ),
        CHECK(
            name=prefix(drill.name, "it is over, after the recovery, within"),
            target=seconds(CLEARED_WITHIN_S),
            figure="not at all" if cleared is None else seconds(cleared),
            verdict="inconclusive" if raised is None else judged(cleared is not None),
            detail="it never fired" if raised is None else "",
            samples=1,
        ),
    ]
