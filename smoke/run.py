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
from smoke.load.arrivals import uncancel
from smoke.load.clock import new_loop
from smoke.report import Report
from smoke.suites import SUITES, TOGETHER
from smoke.verdict import Check

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from inventory.model import Site
    from smoke.access import Access
    from smoke.bench import Bench
    from smoke.drills.catalogue import AnyDrill

    Ran = tuple[list[Check], float]

_STOPPED = Check(
    suite="run",
    name="all suites came to their end",
    target="yes",
    figure="no",
    verdict="inconclusive",
    detail="stopped by hand; what was found until then is above",
)


def run(
    site: Site,
    access: Access,
    suites: Sequence[str] | None,
    progress: Callable[[str], None],
    drills: Sequence[AnyDrill] = (),
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


def _groups(chosen: Sequence[str]) -> list[list[str]]:
    """The suites in their order, those that run at the same time in one list."""
    groups: list[list[str]] = []
    for name in chosen:
        if groups and name in TOGETHER and groups[-1][-1] in TOGETHER:
            groups[-1].append(name)
        else:
            groups.append([name])
    return groups


async def _together(names: Sequence[str], bench: Bench) -> tuple[dict[str, Ran], bool]:
    """What suites find that run at once, by name, and whether they came to their end.

    Being cancelled ends them; those that have something by then are there.
    """
    running = {name: asyncio.create_task(_timed(name, bench)) for name in names}
    ended = True
    try:
        await asyncio.wait(running.values(), return_when=asyncio.FIRST_EXCEPTION)
    except asyncio.CancelledError:
        uncancel()
        ended = False
    for task in running.values():
        task.cancel()
    await asyncio.wait(running.values())
    whole = {name: task for name, task in running.items() if not task.cancelled()}
    for task in whole.values():
        if error := task.exception():
            raise error
    return {name: task.result() for name, task in whole.items()}, ended


async def _timed(name: str, bench: Bench) -> Ran:
    """What a suite finds, and the seconds that it took."""
    began = monotonic()
    return await SUITES[name](bench), monotonic() - began


async def _run(
    site: Site,
    access: Access,
    chosen: Sequence[str],
    progress: Callable[[str], None],
    drills: Sequence[AnyDrill],
) -> Report:
    started, began, load_at_start = datetime.now(UTC), monotonic(), load_average()
    checks: list[Check] = []
    suite_seconds: dict[str, float] = {}
    ended = True
    async with open_bench(site, access, progress) as bench:
        for group in _groups(chosen):
            ran, ended = await _together(group, bench)
            for name, (found, took_s) in ran.items():
                checks += found
                suite_seconds[name] = took_s
            if not ended:
                checks.append(_STOPPED)
                break
        if drills and ended:
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
