"""Made-up loads and reports."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from smoke.environment import Environment
from smoke.load.latency import Latencies
from smoke.load.record import LoadRecord, Mark, Second
from smoke.report import Report
from smoke.verdict import Check

if TYPE_CHECKING:
    from collections.abc import Iterable

STARTED = datetime(2026, 11, 1, tzinfo=UTC)
ENVIRONMENT = Environment(
    "Linux 6 x86_64", 4, 8 << 30, "3.11.7", 0.5, 2.25, "0.1.0", None, "5f" * 32
)
SOON = Check(
    "chat", "chat: first token, 95 % within", "1 s", "0.13 s", "pass", "as sent 0.12 s", 50
)
SURE = Check(
    "chat", "chat: answered in full, at least", "99 %", "100 %", "pass", "", 380, ("99 %", "100 %")
)
LOST = Check("chat", "chat: streams", "90 %", "12 %", "fail", "<held back> & lost", 50)
FEW = Check("image", "image: soon", "30 s", "14 s", "inconclusive", "23 answers are too few", 23)
FREE = Check("chat", "chat: tokens a second, median", "", "31", "unjudged", "no target", 50)


def load_of(
    response_s: Iterable[float],
    *,
    name: str = "chat",
    failed: int = 0,
    offered: str = "240 a minute, Poisson",
    marks: tuple[Mark, ...] = (),
) -> LoadRecord:
    """A load of these responses, 4 a second, 3 of 4 by one server; the failed end at once."""
    responses = list(response_s)
    timeline = tuple(
        Second(
            at=at,
            due=4,
            complete=4,
            failed=0 if at else failed,
            slowest_s=max(responses[4 * at : 4 * at + 4]),
            by_server={"agx0.assistant": 3, "orin0.assistant": 1},
        )
        for at in range(len(responses) // 4)
    )
    histograms = {
        "response": Latencies(responses).encoded,
        "service": Latencies(value * 0.9 for value in responses).encoded,
    }
    return LoadRecord(name, 1793491200.0, len(timeline), offered, histograms, timeline, marks)


STEADY = load_of([0.001 * n for n in range(1, 201)], marks=(Mark(12.5, "agx0 killed"),))


def report_of(*checks: Check, loads: tuple[LoadRecord, ...] = ()) -> Report:
    """A report of these."""
    return Report("lab", STARTED, 12.346, checks, loads, ENVIRONMENT, {"chat": 10.5})
