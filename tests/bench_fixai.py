"""Times FixAI's pipeline on real servers of this machine: `python -m tests.bench_fixai`.

A Kafka, a Cassandra, the outbox publisher, the consumers and the stand-in for the language model,
each a process on loopback. A generated city's reports are submitted as fast as the database takes
them; it ends when each is checked. None may be lost. The figures go into build/bench.json.

The cost is what the same tokens would cost at the list prices below: the stand-in counts a token
every four characters, as a rule of thumb; a real model counts by itself.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import httpx
from prometheus_client.parser import text_string_to_metric_families

from services.fixai import city, migrate, roles
from services.fixai.agreement import adjusted_rand
from services.fixai.database import Away
from services.fixai.events import ReportSubmitted, now
from services.fixai.problems import Problems
from services.fixai.store import Report
from tests.figures import Figure, record
from tests.services.fixai import processes, stacks
from tests.services.fixai.stacks import Stack

ROLES = ("outbox", "description", "clustering", "incidents")
PRICES = {"gemini-2.5-flash": (0.30, 2.50), "gemini-embedding-001": (0.15, 0.0)}
"""Dollars a million tokens, in and out. Embeddings: opencode.ai/data, read 2026-11-22; the model:
assumed, the list price as known from 2025. Check ai.google.dev/gemini-api/docs/pricing."""
_AT_ONCE = 32
_ASKED = 50
_PATIENCE_SECONDS = 1800.0


async def submit(stack: Stack, reports: Sequence[city.Report]) -> float:
    """Store every report as the backend does; the seconds that it took."""
    began = time.perf_counter()
    slots = asyncio.Semaphore(_AT_ONCE)
    async with roles.stored(stack.settings) as store:

        async def one(report: city.Report) -> None:
            moment = now()
            event = ReportSubmitted(
                report_id=report.id,
                at=moment,
                submitted_at=moment,
                author=report.author,
                latitude=report.latitude,
                longitude=report.longitude,
                text=report.text,
                category=report.category,
            )
            async with slots:
                await store.submit(event)

        await asyncio.gather(*(one(report) for report in reports))
    return time.perf_counter() - began


async def checked(stack: Stack, ids: Sequence[UUID]) -> list[Report]:
    """The reports that are checked, once all are or patience is at its end."""
    async with roles.stored(stack.settings) as store:
        found: dict[UUID, Report] = {}
        end = time.monotonic() + _PATIENCE_SECONDS
        while len(found) < len(ids) and time.monotonic() < end:
            left = [report_id for report_id in ids if report_id not in found]
            with suppress(Away):  # it has enough to do without being asked
                for start in range(0, len(left), _ASKED):
                    rows = await asyncio.gather(*map(store.report, left[start : start + _ASKED]))
                    done = {r.id: r for r in rows if r is not None and r.verdict is not None}
                    found |= done
                    if len(done) < len(rows) / 2:
                        break
            await asyncio.sleep(1)
    return list(found.values())


async def counted_twice(stack: Stack, done: Sequence[Report]) -> int:
    """How many more statements than reports there are in the problems that these are of."""
    async with roles.stored(stack.settings) as store:
        problems = Problems(store, stack.settings.outbox.buckets)
        joined = {report.problem_id for report in done if report.problem_id is not None}
        statements = 0
        for problem_id in joined:
            statements += len(await problems.said(problem_id))
    return statements - len(done)


async def tokens(urls: Sequence[str]) -> dict[tuple[str, str], float]:
    """What the consumers counted, by model and direction."""
    found: dict[tuple[str, str], float] = {}
    async with httpx.AsyncClient() as client:
        for url in urls:
            text = (await client.get(f"{url}/metrics")).text
            for family in text_string_to_metric_families(text):
                for sample in family.samples:
                    if sample.name == "fixai_llm_tokens_total":
                        key = sample.labels["model"], sample.labels["direction"]
                        found[key] = found.get(key, 0) + sample.value
    return found


def cost(counted: dict[tuple[str, str], float]) -> float:
    """Dollars."""
    return sum(
        count * PRICES[model][direction == "out"] / 1e6
        for (model, direction), count in counted.items()
    )


@dataclass(frozen=True, slots=True)
class Run:
    """What came of the reports.

    Attributes:
        lost: reports that were not checked in time.
        twice: statements beyond one for each report; negative where some are missing.
    """

    figures: list[Figure]
    lost: int
    twice: int


def measure(count: int, folder: Path) -> Run:
    """Send a generated city's reports through the pipeline."""
    reports = city.build(1, count)
    with ExitStack() as entered:
        homes = {name: folder / name for name in ("kafka", "cassandra", "stack")}
        for home in homes.values():
            home.mkdir()
        kafka = entered.enter_context(processes.kafka(homes["kafka"]))
        cassandra = entered.enter_context(processes.cassandra(homes["cassandra"]))
        secrets = stacks.write_secrets(homes["stack"] / "secrets", {"llm": {"api-key": "a key"}})
        settings = stacks.told(
            homes["stack"],
            kafka={"servers": kafka.address},
            cassandra={"hosts": ["127.0.0.1"], "port": cassandra.port},
            llm={"tokens_per_minute": 100_000_000},
            clustering={"audit_seconds": 2 * _PATIENCE_SECONDS},
            secrets={"folder": str(secrets)},
        )
        asyncio.run(migrate.tables(settings))
        asyncio.run(migrate.topics(settings))
        model = Stack(settings, homes["stack"]).ported()
        model.ready(entered.enter_context(model.process("gemini")))
        told = {**settings.llm.model_dump(mode="json"), "base_url": model.url}
        stack = model.ported(llm=told)
        parts = {role: stack.ported() for role in ROLES}
        for role, part in parts.items():
            entered.enter_context(part.process(role))
        began = time.perf_counter()
        submitting = asyncio.run(submit(stack, reports))
        done = asyncio.run(checked(stack, [report.id for report in reports]))
        took = time.perf_counter() - began
        counted = asyncio.run(tokens([parts["description"].url, parts["incidents"].url]))
        twice = asyncio.run(counted_twice(stack, done))
    return Run(figures(reports, done, counted, submitting, took), count - len(done), twice)


def figures(
    reports: Sequence[city.Report],
    done: Sequence[Report],
    counted: dict[tuple[str, str], float],
    submitting: float,
    took: float,
) -> list[Figure]:
    """What was measured."""
    waited = sorted(
        (report.checked_at - report.submitted_at).total_seconds()
        for report in done
        if report.checked_at is not None
    )
    truth = {report.id: report.problem for report in reports}
    joined = {report.id: report.problem_id for report in done}
    agreement = adjusted_rand({key: truth[key] for key in joined}, joined)
    rows = (
        ("reports a second", len(done) / took, "1/s"),
        ("reports submitted a second", len(reports) / submitting, "1/s"),
        ("end to end under this load, p50", statistics.median(waited), "s"),
        ("end to end under this load, p95", waited[int(len(waited) * 0.95)], "s"),
        ("reports lost", float(len(reports) - len(done)), ""),
        ("tokens a report", sum(counted.values()) / len(done), ""),
        ("cost of 1,000 reports, prices assumed", cost(counted) / len(done) * 1000, "USD"),
        ("adjusted Rand index before the audit", agreement, ""),
    )
    return [
        Figure(f"fixai {name}", round(value, 4), unit, None, None) for name, value, unit in rows
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures, shows, records; 1 where a report is lost or counted twice."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench_fixai", description=__doc__)
    parser.add_argument("--reports", type=int, default=10_000)
    told = parser.parse_args(arguments)
    if why := processes.lacking("java", "mvn"):
        sys.stdout.write(f"not measured: {why}\n")
        return 0
    with tempfile.TemporaryDirectory(prefix="hearth-") as folder:
        run = measure(told.reports, Path(folder))
    for figure in run.figures:
        sys.stdout.write(f"{figure.name:50} {figure.value:12,.3f} {figure.unit}\n")
    busy = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    sys.stdout.write(f"{told.reports} reports, {os.cpu_count()} processors, load average {busy}\n")
    record(run.figures)
    return 1 if run.lost or run.twice else 0


if __name__ == "__main__":
    sys.exit(main())
