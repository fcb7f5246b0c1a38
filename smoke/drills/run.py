"""Puts a lab through drills, one after the other, and judges each."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from inventory.errors import HearthError
from smoke.drills.drill import Ran, run
from smoke.drills.judge import judge, judge_stored
from smoke.drills.stored import keeps, stored

if TYPE_CHECKING:
    from collections.abc import Sequence

    from smoke.bench import Bench
    from smoke.drills.drill import Drill
    from smoke.verdict import Check

SETTLE_S = 3.0
"""Between two drills, so that one's end is not the other's beginning."""


async def run_all(bench: Bench, drills: Sequence[Drill]) -> list[Check]:
    """All checks of some drills."""
    checks = []
    for number, drill in enumerate(drills):
        if number:
            await asyncio.sleep(SETTLE_S)
        checks += await _run_one(bench, drill)
    return checks


async def _run_one(bench: Bench, drill: Drill) -> list[Check]:
    try:
        ran = await run(bench, drill)
    except HearthError as error:
        ran = Ran((), 0.0, 0.0, 0.0, fault=str(error))
    checks = judge(bench.site, drill, ran)
    if not ran.fault and keeps(bench.site, drill.route):
        said = [r.conversation for r in ran.requests if r.answer.outcome == "complete"]
        checks += judge_stored(drill, await stored(bench.site, bench.access, said), said)
    return checks
