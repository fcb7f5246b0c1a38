"""Run suites against a lab and report."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from time import monotonic
from typing import TYPE_CHECKING

from inventory.errors import HearthError
from smoke.bench import open_bench
from smoke.drills.run import run_all
from smoke.environment import load_average, observe
from smoke.load.clock import new_loop
from smoke.report import Report
from smoke.suites import SUITES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from inventory.model import Site
    from smoke.access import Access
    from smoke.drills.alert import AlertDrill
    from smoke.drills.drill import Drill
    from smoke.verdict import Check


def run(
    site: Site,
    access: Access,
    suites: Sequence[str] | None,
    progress: Callable[[str], None],
    drills: Sequence[Drill | AlertDrill] = (),
) -> Report:
    """Hold a lab to its site; needs no event loop of the caller's.

    Args:
        site: What the lab should be.
        access: How it is reached.
        suites: Names of `SUITES`; None for all of them.
        progress: Told what happens, one line at a time.
        drills: What is broken after the suites, one after the other.

    Raises:
        HearthError: A suite of that name is not known, or the CA file cannot be read.
    """
    chosen = _chosen(suites)
    with asyncio.Runner(loop_factory=new_loop) as runner:
        return runner.run(_run(site, access, chosen, progress, drills))


def _chosen(suites: Sequence[str] | None) -> list[str]:
    """The suites to run, in their own order."""
    if suites is None:
        return list(SUITES)
    for name in suites:
        if name not in SUITES:
            raise HearthError(f"{name}: no such suite; name one of {', '.join(SUITES)}")
    return [name for name in SUITES if name in suites]


async def _run(
    site: Site,
    access: Access,
    chosen: Sequence[str],
    progress: Callable[[str], None],
    drills: Sequence[Drill | AlertDrill],
) -> Report:
    started, began, load_at_start = datetime.now(UTC), monotonic(), load_average()
    checks: list[Check] = []
    suite_seconds: dict[str, float] = {}
    async with open_bench(site, access, progress) as bench:
        for name in chosen:
            suite_began = monotonic()
            checks += await SUITES[name](bench)
            suite_seconds[name] = monotonic() - suite_began
        if drills:
            drills_began = monotonic()
            checks += await run_all(bench, drills)
            suite_seconds["drill"] = monotonic() - drills_began
    return Report(
        site=site.name,
        loads=tuple(bench.loads),
        started=started,
        seconds=monotonic() - began,
        checks=tuple(checks),
        environment=observe(site, load_at_start),
        suite_seconds=suite_seconds,
    )
