"""Reports of citizens are acknowledged soon, are never lost, and come to the end of the pipeline.

Each is followed from outside: through the gateway with HTTPS, as a record of Kafka, by live updates
of every stage, to what FixAI says of it in the end.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter, defaultdict
from dataclasses import dataclass
from functools import partial
from time import monotonic, time
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from inventory.errors import HearthError
from smoke.citizens import STAGES, Citizens, problems
from smoke.judging import judge_percentile
from smoke.load.arrivals import constant, drive
from smoke.load.recorder import Recorder
from smoke.records import Records, records_of
from smoke.statistics import Distribution
from smoke.verdict import Check, judged
from smoke.wording import listed, seconds

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from inventory.fixai import FixAI, ServiceLevel
    from smoke.bench import Bench
    from smoke.citizens import Problem, Report
    from smoke.load.record import Mark

COUNT = 60
"""One more than it takes to be 95 % sure of a 95th percentile."""
PROBLEMS = 6
SETTLE_S = 60.0
"""After the last report, beside the promised time from end to end: the slowest are waited for."""
_LOOK_S = 0.25
_ACCOUNT_SHARE = 0.8
"""Of what an account may report in an hour."""
_SHOWN = 3
_check = partial(Check, "reports")


@dataclass(frozen=True)
class Followed:
    """What became of a run's reports.

    Attributes:
        reports: in the order in which they were due.
        found: what FixAI says of the acknowledged ones in the end, by id.
        records: what Kafka holds of them.
    """

    reports: Sequence[Report]
    found: Mapping[str, Mapping[str, Any]]
    records: Records

    @property
    def acknowledged(self) -> list[Report]:
        """Those that FixAI promised to keep."""
        return [report for report in self.reports if report.acknowledged]

    def reached(self, stage: str) -> list[Report]:
        """Those of the acknowledged ones that are through a stage."""
        return [
            report
            for report in self.acknowledged
            if self.found.get(report.id, {}).get(f"{stage}_at")
        ]


async def suite(bench: Bench) -> list[Check]:
    """Report at the promised rate, and follow every report."""
    fixai = bench.site.fixai
    if fixai is None:
        return []
    level = fixai.service_level
    bench.progress(f"reports: {COUNT} at {level.reports_per_minute} a minute")
    places = problems(PROBLEMS, str(uuid4()))
    try:
        async with Citizens(bench.access, fixai.domain) as citizens:
            await arrive(citizens, fixai, COUNT, places)
            send = Sender(citizens, places)
            reports = await drive(constant(level.reports_per_minute, COUNT), send)
            keep(bench, "reports", level, reports)
            bench.progress("reports: followed to the end of the pipeline")
            within_s = level.end_to_end_p95.total_seconds() + SETTLE_S
            followed = await follow(bench, citizens, reports, within_s)
    except HearthError as error:
        return [_check("reports can be made", "yes", "no", "fail", detail=str(error))]
    return judge(level, followed)


class Sender:
    """Sends one report after the other, of each problem in turn."""

    def __init__(self, citizens: Citizens, places: Sequence[Problem]) -> None:
        self._citizens, self._places, self._sent = citizens, places, 0
        self.acknowledged_at = 0.0
        """Of those that were acknowledged, when the last one was due."""

    async def __call__(self, due: float) -> Report:
        """Send the next one."""
        number = self._sent % len(self._places)
        self._sent += 1
        report = await self._citizens.report(number, self._places[number], due)
        if report.acknowledged:
            self.acknowledged_at = max(self.acknowledged_at, due)
        return report


async def arrive(citizens: Citizens, fixai: FixAI, count: int, places: Sequence[Problem]) -> None:
    """Make as many accounts as so many reports take, and listen to what becomes of them."""
    await citizens.join(math.ceil(count / (fixai.limits.reports_per_hour * _ACCOUNT_SHARE)))
    await citizens.watch(places[len(places) // 2])


def keep(
    bench: Bench,
    name: str,
    level: ServiceLevel,
    reports: Sequence[Report],
    marks: Sequence[Mark] = (),
) -> None:
    """Have a load of reports in the run's report."""
    zero = reports[0].due
    began = time() - (asyncio.get_running_loop().time() - zero)
    recorder = Recorder(name, f"{level.reports_per_minute} a minute", zero=zero, began=began)
    for report in reports:
        recorder.take(report.sample)
    bench.loads.append(recorder.record(marks))


async def follow(
    bench: Bench, citizens: Citizens, reports: Sequence[Report], within_s: float
) -> Followed:
    """Wait until every acknowledged report was checked; then ask FixAI and Kafka for all."""
    acknowledged = [report for report in reports if report.acknowledged]
    until = monotonic() + within_s
    while monotonic() < until:
        if all("checked" in report.updates for report in acknowledged):
            break
        await asyncio.sleep(_LOOK_S)
    ids = [report.id for report in acknowledged]
    found = await citizens.look(ids)
    return Followed(reports, found, await records_of(bench.site, bench.access, ids))


def judge(level: ServiceLevel, followed: Followed) -> list[Check]:
    """Hold what became of the reports to what is promised."""
    per_minute = level.reports_per_minute
    accepted = Distribution.of(r.answered - r.due for r in followed.acknowledged)
    through = Distribution.of(
        min(report.updates["checked"]) - report.due
        for report in followed.acknowledged
        if "checked" in report.updates
    )
    accepted_s = level.accepted_p95.total_seconds()
    through_s = level.end_to_end_p95.total_seconds()
    return [
        _accepted(followed),
        _check(
            name="95 % are acknowledged within",
            target=seconds(accepted_s),
            **judge_percentile(accepted, 0.95, within_s=accepted_s, per_minute=per_minute),
        ),
        *judge_kept(_check, "", followed),
        _check(
            name="95 % are checked within",
            target=seconds(through_s),
            **judge_percentile(through, 0.95, within_s=through_s, per_minute=per_minute),
        ),
        _updates(followed),
        _told_apart(followed),
        _drained(followed.records),
    ]


def _accepted(followed: Followed) -> Check:
    faults = sorted({report.fault for report in followed.reports if report.fault})
    return _check(
        name="reports that are acknowledged",
        target="all",
        figure=f"{len(followed.acknowledged)} of {len(followed.reports)}",
        verdict=judged(not faults) if followed.reports else "inconclusive",
        detail="; ".join(faults[:_SHOWN]),
        samples=len(followed.reports),
    )


def judge_kept(check: partial[Check], prefix: str, followed: Followed) -> list[Check]:
    """What was acknowledged is there: stored, published, and through every stage.

    Args:
        check: knows its suite.
        prefix: before each claim.
        followed: what became of the reports.
    """
    all_, records = followed.acknowledged, followed.records
    through = {report.id for report in followed.reached("checked")}
    stages = listed(f"{len(followed.reached(stage))} {stage}" for stage in STAGES)
    again = sum(1 for count in records.counts.values() if count > 1)
    one = partial(_of_all, check, all_)
    return [
        one(f"{prefix}acknowledged reports that are stored", followed.found.keys()),
        one(
            f"{prefix}acknowledged reports that are records of Kafka",
            records.counts.keys(),
            f"{again} published more than once",
            fault=records.fault,
        ),
        one(
            f"{prefix}acknowledged reports that were described, joined and checked", through, stages
        ),
        check(
            name=f"{prefix}dead letters of them",
            target="none",
            figure="" if records.fault else str(len(records.dead)),
            verdict="inconclusive" if records.fault else judged(not records.dead),
            detail=records.fault
            or "; ".join(sorted({topic for held in records.dead.values() for topic in held})),
            samples=len(all_),
        ),
    ]


def _of_all(  # noqa: PLR0913, PLR0917 - a check's fields
    check: partial[Check],
    all_: Sequence[Report],
    name: str,
    there: set[str] | Any,
    detail: str = "",
    fault: str = "",
) -> Check:
    """That all acknowledged reports are among some ids; inconclusive where nobody can tell."""
    without = [report.id for report in all_ if report.id not in there]
    missing = f"not {listed(without[:_SHOWN])}" if without else ""
    known = all_ and not fault
    return check(
        name=name,
        target="all",
        figure=f"{len(all_) - len(without)} of {len(all_)}" if known else "",
        verdict=judged(not without) if known else "inconclusive",
        detail=fault or ("; ".join(filter(None, (missing, detail))) if all_ else "there were none"),
        samples=len(all_),
    )


def _updates(followed: Followed) -> Check:
    """Of each stage there is one live update at least."""
    all_ = followed.acknowledged
    told = {report.id for report in all_ if report.updates.keys() >= set(STAGES)}
    again = sum(len(times) - 1 for report in all_ for times in report.updates.values())
    name = "acknowledged reports with live updates of every stage"
    return _of_all(_check, all_, name, told, f"{again} updates came again")


def _told_apart(followed: Followed) -> Check:
    """Reports of one problem are joined, those of another one are not."""
    joined: dict[int, set[str]] = defaultdict(set)
    for report in followed.reached("clustered"):
        joined[report.problem].add(str(followed.found[report.id]["problem_id"]))
    holders = Counter(each for ids in joined.values() for each in ids)
    right = [ids for ids in joined.values() if len(ids) == 1 and holders[next(iter(ids))] == 1]
    return _check(
        name="problems whose reports are joined, and theirs alone",
        target="all",
        figure=f"{len(right)} of {len(joined)}",
        verdict=judged(len(right) == len(joined)) if joined else "inconclusive",
        detail=f"{len(holders)} were found",
        samples=len(followed.reached("clustered")),
    )


def _drained(records: Records) -> Check:
    waiting = [f"{name} {lag}" for name, lag in records.lag.items() if lag]
    return _check(
        name="events that wait for a consumer in the end",
        target="none",
        figure="" if records.fault else str(sum(records.lag.values())),
        verdict="inconclusive" if records.fault else judged(not waiting),
        detail=records.fault or ", ".join(waiting),
        samples=len(records.lag),
    )
