"""What a load was like, second by second and as distributions: what reports are made of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import floor
from typing import Any

from hdrh.histogram import HdrHistogram


@dataclass(frozen=True, slots=True)
class Second:
    """One second of a load: by intended start for `due`, by end for the others.

    Args:
        at: Whole seconds since the load began.
        due: Requests that were due in it.
        complete: Answers that came to their end in it, and were good.
        failed: Refused, truncated, unreachable, timed out.
        slowest_s: Longest response, from the intended start, that ended in it; 0 without one.
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
    """Something that happened during the load, such as `agx0 killed`.

    Args:
        at: Seconds since the load began.
        what: For people.
    """

    at: float
    what: str


@dataclass(frozen=True, slots=True)
class LoadRecord:
    """A load and what it brought.

    Args:
        name: Such as `chat`.
        began: UTC, in seconds since the epoch.
        seconds: How long it took.
        offered: For people: `50 a minute, Poisson`.
        histograms: `response` from the intended start, `service` from when it was sent,
            `first_token`, `between_tokens`, and `lag`, the generator's lateness: HdrHistogram
            V2 in base64, microseconds, 3 digits, at most 10 minutes.
        timeline: Its seconds, ascending.
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
    """The record as JSON has it."""
    return asdict(record)


def from_document(document: Mapping[str, Any]) -> LoadRecord:
    """The record that JSON holds.

    Raises:
        KeyError, TypeError: It is none.
    """
    return LoadRecord(
        name=document["name"],
        began=document["began"],
        seconds=document["seconds"],
        offered=document["offered"],
        histograms=dict(document["histograms"]),
        timeline=tuple(Second(**second) for second in document["timeline"]),
        marks=tuple(Mark(**mark) for mark in document["marks"]),
    )


def merged(records: Sequence[LoadRecord]) -> LoadRecord:
    """Loads of one name as one: histograms added exactly, timelines by wall-clock second."""
    began = min(record.began for record in records)
    ended = max(record.began + record.seconds for record in records)
    names = {name for record in records for name in record.histograms}
    return LoadRecord(
        name=records[0].name,
        began=began,
        seconds=ended - began,
        offered="; ".join(dict.fromkeys(record.offered for record in records)),
        histograms={
            name: _added(r.histograms[name] for r in records if name in r.histograms)
            for name in sorted(names)
        },
        timeline=_timeline(records, began),
        marks=tuple(
            sorted(
                (Mark(m.at + r.began - began, m.what) for r in records for m in r.marks),
                key=lambda mark: mark.at,
            )
        ),
    )


def _added(encoded: Iterable[str]) -> str:
    total = HdrHistogram(1, 600_000_000, 3)
    for histogram in encoded:
        total.decode_and_add(histogram)
    return bytes(total.encode()).decode()


def _timeline(records: Sequence[LoadRecord], began: float) -> tuple[Second, ...]:
    seconds: dict[int, list[Second]] = {}
    for record in records:
        for second in record.timeline:
            at = floor(record.began + second.at) - floor(began)
            seconds.setdefault(at, []).append(second)
    return tuple(_sum(at, seconds[at]) for at in sorted(seconds))


def _sum(at: int, parts: Sequence[Second]) -> Second:
    by_server: Counter[str] = Counter()
    for part in parts:
        by_server.update(part.by_server)
    return Second(
        at=at,
        due=sum(part.due for part in parts),
        complete=sum(part.complete for part in parts),
        failed=sum(part.failed for part in parts),
        slowest_s=max(part.slowest_s for part in parts),
        by_server=dict(by_server),
    )
