"""What a load came to, second by second and as distributions: what reports are made of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from math import floor
from typing import Any

from smoke.load.latency import Latencies


@dataclass(frozen=True, slots=True)
class Second:
    """One second of a load.

    Attributes:
        at: Whole seconds since the load began.
        due: Requests that were due in it.
        complete: Answers that came to their end in it, and were good.
        failed: Those refused, truncated, unreachable or given up in it.
        slowest_s: The longest response, from when it was due, that ended in it; 0 without one.
        by_server: Complete answers by who answered, where it is known.
    """

    at: int
    due: int
    complete: int
    failed: int
    slowest_s: float
    by_server: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that happened during a load.

    Attributes:
        at: Seconds since the load began.
        what: For people: `agx0 killed`.
    """

    at: float
    what: str


@dataclass(frozen=True, slots=True)
class LoadRecord:
    """A load that has been sent.

    Attributes:
        name: What was asked: `chat`.
        began: Seconds since the epoch, UTC.
        seconds: How long it took, to the last answer.
        offered: For people: `50 a minute, Poisson`.
        histograms: HdrHistograms in base64 (V2, microseconds, 3 digits, at most 10 minutes):
            `response` from when a request was due, `service` from when it was sent,
            `first_token`, `between_tokens`, `lag` (how late the generator was). One that has
            no value is not there.
        timeline: Each second, the first at 0.
        marks: What happened meanwhile.
    """

    name: str
    began: float
    seconds: float
    offered: str
    histograms: Mapping[str, str]
    timeline: tuple[Second, ...]
    marks: tuple[Mark, ...] = ()


def to_document(record: LoadRecord) -> dict[str, Any]:
    """The record in JSON's own types."""
    return asdict(record)


def from_document(document: Mapping[str, Any]) -> LoadRecord:
    """The record that `to_document` wrote.

    Raises:
        TypeError: It is not of this form.
    """
    told = dict(document)
    told["timeline"] = tuple(Second(**second) for second in told.get("timeline", ()))
    told["marks"] = tuple(Mark(**mark) for mark in told.get("marks", ()))
    return LoadRecord(**told)


def merged(records: Sequence[LoadRecord]) -> LoadRecord:
    """One record of loads that were sent side by side.

    Distributions are added up exactly, timelines by second of the wall clock.

    Raises:
        ValueError: There are no records.
    """
    if not records:
        raise ValueError("no records to merge")
    began = min(record.began for record in records)
    return LoadRecord(
        name=_told(record.name for record in records),
        began=began,
        seconds=max(record.began + record.seconds for record in records) - began,
        offered=_told(record.offered for record in records),
        histograms=_histograms(records),
        timeline=_timeline(records, floor(began)),
        marks=_marks(records, began),
    )


def _told(words: Iterable[str]) -> str:
    return "; ".join(dict.fromkeys(words))


def _histograms(records: Sequence[LoadRecord]) -> dict[str, str]:
    sums: dict[str, Latencies] = {}
    for record in records:
        for name, encoded in record.histograms.items():
            sums.setdefault(name, Latencies()).merge(Latencies.decoded(encoded))
    return {name: latencies.encoded for name, latencies in sums.items()}


def _timeline(records: Sequence[LoadRecord], zero: int) -> tuple[Second, ...]:
    sums: dict[int, Second] = {}
    for record in records:
        shift = floor(record.began) - zero
        for second in record.timeline:
            at = second.at + shift
            sums[at] = _sum(sums.get(at, _nothing(at)), second)
    return tuple(sums.get(at, _nothing(at)) for at in range(max(sums, default=-1) + 1))


def _nothing(at: int) -> Second:
    return Second(at, 0, 0, 0, 0.0, {})


def _sum(one: Second, other: Second) -> Second:
    return Second(
        at=one.at,
        due=one.due + other.due,
        complete=one.complete + other.complete,
        failed=one.failed + other.failed,
        slowest_s=max(one.slowest_s, other.slowest_s),
        by_server=dict(Counter(one.by_server) + Counter(other.by_server)),
    )


def _marks(records: Sequence[LoadRecord], began: float) -> tuple[Mark, ...]:
    shifted = {
        replace(mark, at=mark.at + record.began - began)
        for record in records
        for mark in record.marks
    }
    return tuple(sorted(shifted, key=lambda mark: (mark.at, mark.what)))
