"""Puts a lab through drills, one after the other, and judges each."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from inventory.errors import HearthError
from smoke.drills.alert import AlertDrill, run_alert
from smoke.drills.drill import Drill, Ran, marks, offered, run
from smoke.drills.judge import CHECK, judge
from smoke.drills.reports import ReportDrill, run_report_drill
from smoke.stored import keeps, stored
from smoke.suites import persistence
from smoke.wording import prefix

if TYPE_CHECKING:
    from collections.abc import Sequence

    from smoke.bench import Bench
    from smoke.drills.catalogue import AnyDrill
    from smoke.verdict import Check

SETTLE_S = 3.0
"""Between two drills, so that one's end is not the other's beginning."""


async def run_all(bench: Bench, drills: Sequence[AnyDrill]) -> list[Check]:
    """All checks of some drills.

    Those of alerts take minutes of waiting and harm what nobody works with: they go on beside the
    others.
    """
    loads = [drill for drill in drills if not isinstance(drill, AlertDrill)]
    alerts = [drill for drill in drills if isinstance(drill, AlertDrill)]
    async with asyncio.TaskGroup() as group:
        waiting = [group.create_task(_run_alert(bench, drill)) for drill in alerts]
        checks = [check for drill in loads for check in await _run_one(bench, drill)]
    return checks + [check for task in waiting for check in task.result()]


async def _run_one(bench: Bench, drill: Drill | ReportDrill) -> list[Check]:
    if isinstance(drill, ReportDrill):
        checks = await run_report_drill(bench, drill)
    else:
        checks = await _run_load(bench, drill)
    await asyncio.sleep(SETTLE_S)
    return checks


async def _run_load(bench: Bench, drill: Drill) -> list[Check]:
    try:
        ran = await run(bench, drill)
    except HearthError as error:
        ran = Ran((), 0.0, 0.0, 0.0, 0.0, fault=str(error))
    bench.keep(drill.name, offered(bench.site, drill), ran.answers, marks(drill, ran))
    checks = judge(bench.site, drill, ran)
    if not ran.fault and keeps(bench.site, drill.route):
        said = [r.conversation for r in ran.requests if r.answer.outcome == "complete"]
        found = await stored(bench.site, bench.access, said)
        checks.append(persistence.judge(CHECK, drill.name, found, said))
    return checks


async def _run_alert(bench: Bench, drill: AlertDrill) -> list[Check]:
    bench.progress(f"{drill.name}: {drill.fault.what}")
    try:
        return await run_alert(bench.access, drill)
    except HearthError as error:
        claim = prefix(drill.name, "could be held")
        return [CHECK(claim, "yes", "no", "inconclusive", detail=str(error))]
