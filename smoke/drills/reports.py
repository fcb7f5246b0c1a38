"""A part of FixAI fails while citizens report: what was acknowledged is never lost."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING
from uuid import uuid4

from inventory.errors import HearthError
from inventory.fixai import NAMESPACE
from smoke.citizens import Citizens, problems
from smoke.cluster import kubectl, pods
from smoke.drills.faults import Fault, powerless
from smoke.drills.judge import CHECK
from smoke.load.arrivals import constant, drive
from smoke.load.record import Mark
from smoke.suites.reports import PROBLEMS, Sender, arrive, follow, judge_kept, keep
from smoke.verdict import judged
from smoke.wording import percent, prefix, seconds

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from inventory.fixai import FixAI
    from inventory.model import Site
    from smoke.access import Access
    from smoke.bench import Bench
    from smoke.citizens import Report
    from smoke.drills.faults import Power
    from smoke.verdict import Check

CALM_S = 4.0
"""Before the fault: what the cluster is like when all is well."""
AFTER_S = 10.0
"""After the recovery: reports that find all well again."""
AGAIN_WITHIN_S = 90.0
"""Once what failed runs again, a report is acknowledged within this: a database that lost its
machine reads its log first."""
THROUGH_WITHIN_S = 240.0
"""After the last report everything that was acknowledged is checked within this: what was put off
is tried again after 5 s, 30 s and 2 min."""
RECOVERS_WITHIN_S = 300
_LOOK_S = 0.25
LONGEST_S = 240.0
"""Nothing is sent any more after that, whether or not all is well again."""


@dataclass(frozen=True, slots=True)
class ReportDrill:
    """A fault under a load of reports.

    Args:
        name: as `--drill` takes it.
        fault: what happens.
        cost: what it costs where somebody needs the cluster.
        fixai: the settings, whose promised rate is reported at.
    """

    name: str
    fault: Fault
    cost: str
    fixai: FixAI


def report_drills(site: Site, access: Access, power: Power) -> Iterator[ReportDrill]:
    """Those that a site with FixAI can be put through."""
    if site.fixai is None:
        return
    worker = site.fixai.nodes.work[0]
    gone = partial(_pod_gone, site, access)
    faults = (
        ("consumer-killed", gone("description"), "a consumer ends at once; another begins"),
        ("broker-killed", gone("kafka"), "no events until Kafka is back"),
        ("database-killed", gone("cassandra"), "no reports until Cassandra is back"),
        (
            "worker-killed",
            powerless(power, [worker]),
            f"{worker} loses its power: what runs there is away until it has booted",
        ),
    )
    for name, fault, cost in faults:
        yield ReportDrill(name, fault, cost, site.fixai)


def _pod_gone(site: Site, access: Access, workload: str) -> Fault:
    """A workload's pods are killed without a word; its controller makes new ones."""

    async def strike() -> None:
        found = " ".join(await pods(access, site, workload))
        if not found:
            raise HearthError(f"{workload}: no pod of it runs; bring the site up again")
        await _kubectl(access, site, f"delete pod --grace-period=0 --force --wait=false {found}")

    return Fault(f"pods of {workload} are killed", strike, lambda: _ready(access, site, [workload]))


async def _ready(access: Access, site: Site, workloads: Sequence[str]) -> None:
    """Returns when all pods of some workloads are ready."""
    names = ",".join(workloads)
    wanted = (
        f"wait -n {NAMESPACE} --for=condition=Ready --timeout=10s pod "
        f"-l 'app.kubernetes.io/name in ({names})'"
    )
    await _until_told(access, site, wanted)


async def _until_told(access: Access, site: Site, arguments: str) -> None:
    """Returns when `kubectl` has nothing to complain of. Raises HearthError where it goes on."""
    until = asyncio.get_running_loop().time() + RECOVERS_WITHIN_S
    while True:
        _said, fault = await kubectl(access, site, arguments)
        if not fault:
            return
        if asyncio.get_running_loop().time() > until:
            raise HearthError(
                f"not well again after {RECOVERS_WITHIN_S} s ({fault}); "
                f"see `hearth status {site.name}`"
            )
        await asyncio.sleep(1)


async def _kubectl(access: Access, site: Site, arguments: str) -> None:
    _said, fault = await kubectl(access, site, f"-n {NAMESPACE} {arguments}")
    if fault:
        raise HearthError(fault)


async def run_report_drill(bench: Bench, drill: ReportDrill) -> list[Check]:
    """Reports at the promised rate, a fault, its recovery; then every report is looked for."""
    loop = asyncio.get_running_loop()
    fixai = drill.fixai
    level, places = fixai.service_level, problems(PROBLEMS, str(uuid4()))
    most = int(level.reports_per_minute * LONGEST_S / 60)
    try:
        async with Citizens(bench.access, fixai.domain) as citizens:
            await arrive(citizens, fixai, most, places)
            began = loop.time()
            schedule = constant(level.reports_per_minute, most)
            sender = Sender(citizens, places)
            load = asyncio.create_task(drive(schedule, sender, start=began))
            try:
                await asyncio.sleep(CALM_S)
                bench.progress(f"{drill.name}: {drill.fault.what}")
                struck = loop.time()
                await drill.fault.strike()
                healing = loop.time()
                await drill.fault.heal()
                healed = loop.time()
                bench.progress(f"{drill.name}: healed after {healed - struck:.0f} s")
                await _acknowledged_since(sender, healed)
                await asyncio.sleep(AFTER_S)
            finally:
                load.cancel()
                reports = await load
            marks = [
                Mark(struck - began, drill.fault.what),
                Mark(healing - began, "healing"),
                Mark(healed - began, "back"),
            ]
            keep(bench, drill.name, level, reports, marks)
            followed = await follow(bench, citizens, reports, THROUGH_WITHIN_S)
    except HearthError as error:
        claim = prefix(drill.name, "could be held")
        return [CHECK(claim, "yes", "no", "inconclusive", detail=str(error))]
    return [
        *judge_kept(CHECK, f"{drill.name}: ", followed),
        _again(drill, reports, healed),
        _refused(drill, reports),
    ]


async def _acknowledged_since(sender: Sender, when: float) -> None:
    """Returns when a report that was due since then is acknowledged, or that is late."""
    for _ in range(int(AGAIN_WITHIN_S / _LOOK_S)):
        if sender.acknowledged_at >= when:
            return
        await asyncio.sleep(_LOOK_S)


def _again(drill: ReportDrill, reports: Sequence[Report], healed: float) -> Check:
    """Reports are acknowledged again soon after the recovery."""
    first = min((r.answered for r in reports if r.acknowledged and r.due >= healed), default=None)
    waited = None if first is None else first - healed
    return CHECK(
        name=prefix(drill.name, "reports are acknowledged again, after the recovery, within"),
        target=seconds(AGAIN_WITHIN_S),
        figure="not at all" if waited is None else seconds(waited),
        verdict=judged(waited is not None and waited <= AGAIN_WITHIN_S),
        samples=sum(1 for report in reports if report.due >= healed),
    )


def _refused(drill: ReportDrill, reports: Sequence[Report]) -> Check:
    """How many were not acknowledged: they know that they have to report again."""
    refused = sum(1 for report in reports if not report.acknowledged)
    return CHECK(
        name=prefix(drill.name, "reports that were refused meanwhile"),
        target="",
        figure=percent(refused / len(reports)) if reports else "",
        verdict="unjudged",
        detail=f"{refused} of {len(reports)}",
        samples=len(reports),
    )
