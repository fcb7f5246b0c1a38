"""Turns samples into a record while a load runs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from smoke.load.latency import Latencies
from smoke.load.record import LoadRecord, Second
from smoke.load.tally import ServiceLevel, Tally
from smoke.wording import seconds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from smoke.load.record import Mark
    from smoke.load.sample import Sample


@dataclass(slots=True)
class _Second:
    due: int = 0
    complete: int = 0
    failed: int = 0
    slowest_s: float = 0.0
    by_server: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Live:
    """How a load goes, as `Recorder.live` tells it.

    Attributes:
        at: Seconds since the load began.
        answered: Complete answers since it was last told.
        over_s: Seconds since then.
        in_flight: Requests under way.
        failed: Since the load began.
        latencies: Of what was answered since it was last told.
    """

    at: float
    answered: int
    over_s: float
    in_flight: int
    failed: int
    latencies: Latencies

    def __str__(self) -> str:
        rate = self.answered / self.over_s if self.over_s > 0 else 0.0
        slow = seconds(self.latencies.percentile(95))
        return (
            f"{self.at:.0f} s: {rate:.0f}/s, {self.in_flight} in flight, {self.failed} failed, "
            f"95 % within {slow}"
        )


class Recorder:
    """Counts samples as they come; keeps none of them.

    Latencies count from when a request was due. With `from_due` false, as in a closed model,
    there is no such time: the record then has no `response` and no `lag`, and what would count
    from then counts from when the request was sent. Of requests that failed only those that were
    given up have a latency, the time that they were waited for: a refusal is quick for no good
    reason, and leaving the slowest out would flatter the rest. Nothing is filled in afterwards.

    Args:
        name: What is asked.
        offered: The load, for people.
        zero: When it begins, on the event loop's clock.
        began: The same in seconds since the epoch, UTC.
        from_due: Whether requests are due by the clock.
        level: What makes an answer a good one.
    """

    def __init__(  # noqa: PLR0913 - what a load is
        self,
        name: str,
        offered: str,
        *,
        zero: float,
        began: float,
        from_due: bool = True,
        level: ServiceLevel | None = None,
    ) -> None:
        self._name = name
        self._offered = offered
        self._zero = zero
        self._began = began
        self._from_due = from_due
        self._level = level or ServiceLevel()
        self._response = Latencies()
        self._service = Latencies()
        self._first_token = Latencies()
        self._between_tokens = Latencies()
        self._lag = Latencies()
        self._timeline: list[_Second] = []
        self._last = zero
        self._told = zero
        self._recent = Latencies()
        self._answered = 0
        self._sent = 0
        self.tally = Tally()

    def sending(self) -> None:
        """Note that a request is under way."""
        self._sent += 1

    def take(self, sample: Sample) -> None:
        """Count a request that has ended."""
        since = sample.due if self._from_due else sample.sent
        self.tally.take(sample, since, self._level)
        self._last = max(self._last, sample.ended)
        self._second(since).due += 1
        if self._from_due:
            self._lag.add(sample.sent - sample.due)
        if sample.tokens is not None and sample.first is not None:
            self._first_token.add(sample.first - since)
            for gap in sample.gaps:
                self._between_tokens.add(gap)
        if sample.outcome == "stopped":
            return
        second = self._second(sample.ended)
        if sample.outcome == "complete":
            second.complete += 1
            self._answered += 1
            if sample.server:
                second.by_server[sample.server] = second.by_server.get(sample.server, 0) + 1
        else:
            second.failed += 1
        if sample.outcome in {"complete", "timed out"}:
            self._took(sample, since, second)

    def _took(self, sample: Sample, since: float, second: _Second) -> None:
        took = sample.ended - since
        if self._from_due:
            self._response.add(took)
        self._service.add(sample.ended - sample.sent)
        self._recent.add(took)
        second.slowest_s = max(second.slowest_s, took)

    def _second(self, at: float) -> _Second:
        index = max(0, int(at - self._zero))
        while index >= len(self._timeline):
            self._timeline.append(_Second())
        return self._timeline[index]

    def live(self, now: float) -> Live:
        """How it goes, at that time on the event loop's clock."""
        live = Live(
            at=now - self._zero,
            answered=self._answered,
            over_s=now - self._told,
            in_flight=self._sent - self.tally.requests,
            failed=self.tally.failed,
            latencies=self._recent,
        )
        self._told, self._answered, self._recent = now, 0, Latencies()
        return live

    def record(self, marks: Sequence[Mark] = ()) -> LoadRecord:
        """What was counted until now."""
        histograms = {
            "response": self._response,
            "service": self._service,
            "first_token": self._first_token,
            "between_tokens": self._between_tokens,
            "lag": self._lag,
        }
        return LoadRecord(
            name=self._name,
            began=self._began,
            seconds=self._last - self._zero,
            offered=self._offered,
            histograms={name: found.encoded for name, found in histograms.items() if len(found)},
            timeline=tuple(
                Second(
                    at, each.due, each.complete, each.failed, each.slowest_s, dict(each.by_server)
                )
                for at, each in enumerate(self._timeline)
            ),
            marks=tuple(marks),
        )


def late(record: LoadRecord, bound_s: float) -> str:
    """Why a load was not the one asked for, which makes its result inconclusive; empty if it was.

    Args:
        record: Of an open model; a closed one is never late.
        bound_s: By which 99 of 100 requests have to be on their way after they were due.
    """
    encoded = record.histograms.get("lag")
    if encoded is None:
        return ""
    lag_s = Latencies.decoded(encoded).percentile(99)
    if lag_s <= bound_s:
        return ""
    return (
        f"the generator was late: 1 % of the requests left {seconds(lag_s)} or more after they "
        f"were due (at most {seconds(bound_s)} is allowed); run it on an idle machine, or from "
        "more processes"
    )
