"""Which reports are of the same problem.

Two reports are compared by what is known of each: place, time, category, and the embedding of
what was said. Each tells how much likelier the pair is if both are of one problem than if they
are of two; the sum of their logarithms is the pair's evidence, above zero for one problem:

    place        the GPS error of two reports of one place, against anywhere within the radius
    time         a problem is reported while it lasts, against anywhen within the window
    category     another one is rare for the same problem, but a reader may err
    embedding    how near the two texts are, from the similarity at which it tells nothing

There are two ways to groups, for two uses:

    join        a new report and the groups that are there: quick, what a consumer does with each
    partition   a set of reports, whatever their order: slower, what the audit holds to be right

`join` depends on the order of arrival: the report that links two groups comes last, or the one
that belongs to neither comes between them. `partition` does not: it puts the reports in an order
of their own and merges the two groups with the highest mean evidence until none is above zero.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from operator import mul
from uuid import UUID

from services.fixai import geo
from services.fixai.events import Category, identify
from services.fixai.settings import Clustering

GPS_METRES = 10.0
"""Standard deviation of a telephone's position in a street, each way."""
_HOURS = 3600.0
_OTHER_CATEGORY = -2.0
_UNSURE_CATEGORY = -0.3
_TEXT_WEIGHT = 6.0
"""How much a similarity of one more tells. Fitted on cities of seeds 100 to 103 alone."""
_LEAST_TEXT, _MOST_TEXT = -4.0, 2.5
"""Texts are short: none of them is proof."""
_APART = -8.0
_COMPARED = 24
"""A new report is compared with so many of a group's; more tell nothing new."""
_LINKED = 400
"""Reports of one place that are weighed all with all; those after them join one by one."""
_EARTH_METRES = 6_371_008.8
_POLE = 0.01


@dataclass(frozen=True, slots=True)
class Member:
    """A report as the clustering sees it.

    Attributes:
        embedding: of unit length.
        problem_id: None until it was joined.
    """

    report_id: UUID
    at: datetime
    latitude: float
    longitude: float
    category: Category
    embedding: tuple[float, ...]
    problem_id: UUID | None = None

    @property
    def order(self) -> tuple[datetime, int]:
        """The same for a report whenever it arrives."""
        return self.at, self.report_id.int


@dataclass(frozen=True, slots=True)
class Joined:
    """Where a report belongs; `similarity` is the cosine to the group's texts, 1 for the first."""

    problem_id: UUID
    opened: bool
    similarity: float


def opened_by(report_id: UUID) -> UUID:
    """The problem that a report opens."""
    return identify("problem", report_id)


def similarity(a: Member, b: Member) -> float:
    """The cosine of two texts' angle."""
    return float(sum(map(mul, a.embedding, b.embedding)))


def evidence(a: Member, b: Member, rules: Clustering) -> float:
    """The logarithm of the odds that two reports are of one problem, all else equal."""
    hours = abs((a.at - b.at).total_seconds()) / _HOURS
    if hours > rules.window_hours:
        return _APART
    metres = geo.distance(a.latitude, a.longitude, b.latitude, b.longitude)
    if metres > rules.radius_metres:
        return _APART
    spread = 4 * GPS_METRES**2
    found = math.log(rules.radius_metres**2 / spread) - metres**2 / spread
    # Reports of a problem thin out; at half the window they tell neither way.
    found += 1.0 - 2.0 * hours / rules.window_hours
    if a.category != b.category:
        unsure = Category.OTHER in {a.category, b.category}
        found += _UNSURE_CATEGORY if unsure else _OTHER_CATEGORY
    text = _TEXT_WEIGHT * (similarity(a, b) - rules.similarity)
    return max(found + min(max(text, _LEAST_TEXT), _MOST_TEXT), _APART)


def join(new: Member, near: Iterable[Member], rules: Clustering) -> Joined:
    """The problem of a new report: the one with the highest mean evidence, else one of its own.

    A report before it that was not joined yet counts as the first of its own problem: two
    consumers that take one problem's first reports at once, on both sides of a cell's edge, come
    to the same id.

    Args:
        new: the report.
        near: the reports that are known around it, itself or not.
        rules: when two are of one problem.
    """
    groups: dict[UUID, list[Member]] = {}
    for member in sorted(near, key=lambda each: each.order):
        if member.report_id == new.report_id:
            continue
        if member.problem_id is not None:
            groups.setdefault(member.problem_id, []).append(member)
        elif member.order < new.order:
            groups.setdefault(opened_by(member.report_id), []).append(member)
    best, problem_id = 0.0, opened_by(new.report_id)
    for group_id, members in groups.items():
        weighed = [evidence(new, member, rules) for member in members[:_COMPARED]]
        mean = sum(weighed) / len(weighed)
        if mean > best:
            best, problem_id = mean, group_id
    told = [similarity(new, member) for member in groups.get(problem_id, ())[:_COMPARED]]
    alike = sum(told) / len(told) if told else 1.0
    return Joined(problem_id, problem_id == opened_by(new.report_id), max(-1.0, min(alike, 1.0)))


def partition(members: Iterable[Member], rules: Clustering) -> list[list[Member]]:
    """The problems that these reports are of, each report in its order, whatever order they had."""
    known = {member.report_id: member for member in members}
    ordered = sorted(known.values(), key=lambda each: each.order)
    found: list[list[Member]] = []
    for component in _components(ordered, rules):
        found += _grown(component, rules)
    return sorted(found, key=lambda group: group[0].order)


def name(groups: Iterable[Sequence[Member]]) -> dict[UUID, UUID]:
    """The problem of each report: the one that the group's first report opens."""
    return {member.report_id: opened_by(group[0].report_id) for group in groups for member in group}


def _components(ordered: Sequence[Member], rules: Clustering) -> list[list[Member]]:
    """The sets of reports that evidence above zero connects; between two sets there is none."""
    parent = list(range(len(ordered)))

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index

    boxes: dict[tuple[int, int], list[int]] = {}
    high = math.degrees(rules.radius_metres / _EARTH_METRES)
    # Of the row that is nearest to a pole: columns of others are wider, not narrower.
    narrowest = max((abs(member.latitude) for member in ordered), default=0.0)
    wide = high / max(math.cos(math.radians(narrowest)), _POLE)
    for index, member in enumerate(ordered):
        row, column = math.floor(member.latitude / high), math.floor(member.longitude / wide)
        for box in ((row + r, column + c) for r in (-1, 0, 1) for c in (-1, 0, 1)):
            for other in boxes.get(box, ()):
                if root(other) != root(index) and evidence(ordered[other], member, rules) > 0:
                    parent[root(index)] = root(other)
        boxes.setdefault((row, column), []).append(index)
    found: dict[int, list[Member]] = {}
    for index, member in enumerate(ordered):
        found.setdefault(root(index), []).append(member)
    return list(found.values())


def _grown(component: Sequence[Member], rules: Clustering) -> list[list[Member]]:
    groups = _linked(component[:_LINKED], rules)
    for late in component[_LINKED:]:
        named = [
            replace(member, problem_id=opened_by(group[0].report_id))
            for group in groups
            for member in group[:_COMPARED]
        ]
        problem_id = join(late, named, rules).problem_id
        for group in groups:
            if opened_by(group[0].report_id) == problem_id:
                group.append(late)
                break
        else:
            groups.append([late])
    return groups


def _linked(members: Sequence[Member], rules: Clustering) -> list[list[Member]]:
    """Average linkage; of pairs that are equally likely the one with the first reports."""
    groups: dict[int, list[Member]] = {index: [member] for index, member in enumerate(members)}
    sums: dict[int, dict[int, float]] = {index: {} for index in groups}
    heap: list[tuple[float, int, int, int, int]] = []
    for first, a in enumerate(members):
        for second in range(first + 1, len(members)):
            found = evidence(a, members[second], rules)
            sums[first][second] = sums[second][first] = found
            if found > 0:
                heap.append((-found, first, second, 1, 1))
    heapq.heapify(heap)
    while heap:
        _, first, second, size_first, size_second = heapq.heappop(heap)
        if (len(groups.get(first, ())), len(groups.get(second, ()))) != (size_first, size_second):
            continue  # one of them is another group by now
        groups[first] += groups.pop(second)
        gone = sums.pop(second)
        for other, found in sums[first].items():
            if other != second:
                sums[first][other] = sums[other][first] = found + gone[other]
                del sums[other][second]
        del sums[first][second]
        _offer(heap, first, groups, sums[first])
    return [sorted(group, key=lambda each: each.order) for group in groups.values()]


def _offer(
    heap: list[tuple[float, int, int, int, int]],
    changed: int,
    groups: Mapping[int, Sequence[Member]],
    sums: Mapping[int, float],
) -> None:
    """Offer a group's pairs anew."""
    for other, found in sums.items():
        if found > 0:
            low, high = min(changed, other), max(changed, other)
            sizes = len(groups[low]), len(groups[high])
            mean = found / (sizes[0] * sizes[1])
            heapq.heappush(heap, (-mean, low, high, *sizes))
