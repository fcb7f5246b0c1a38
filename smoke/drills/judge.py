"""What a drill showed, held to what is promised."""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import TYPE_CHECKING

from smoke.bench import upstream_of
from smoke.drills.drill import restored_after
from smoke.verdict import Check, judged
from smoke.wording import listed, percent, prefix, seconds

if TYPE_CHECKING:
    from inventory.model import Site
    from smoke.drills.drill import Drill, Ran
    from smoke.load.ollama import Answer

LEAST_CALM = 3
CHECK = partial(Check, "drill")


def judge(site: Site, drill: Drill, ran: Ran) -> list[Check]:
    """Every claim of a drill; a lab that was not well before it shows nothing."""
    if fault := ran.fault or _not_calm(site, drill, ran):
        return [
            CHECK(prefix(drill.name, "could be held"), "yes", "no", "inconclusive", detail=fault)
        ]
    checks = [_failed(drill, ran)]
    if (within := drill.promise.affected_s) is not None:
        checks.append(_noticed(site, drill, ran, within))
        checks += _answered_by(site, drill, ran, ran.struck + within)
    return [*checks, _restored(site, drill, ran)]


def _not_calm(site: Site, drill: Drill, ran: Ran) -> str:
    """Why the time before the fault does not count as well; empty where it does."""
    before = [answer for answer in ran.answers if answer.due < ran.struck]
    well = sum(not affected(site, drill, answer) for answer in before)
    if well >= max(LEAST_CALM, 0.9 * len(before)):
        return ""
    return f"before the fault {well} of {len(before)} requests met the service level"


def affected(site: Site, drill: Drill, answer: Answer) -> bool:
    """Whether a request failed, or its first token came later than the service level says."""
    if answer.outcome != "complete" or answer.first is None:
        return True
    target = site.routes[drill.route].service_level.first_byte_p95.total_seconds()
    return answer.first - answer.due > target


def _failed(drill: Drill, ran: Ran) -> Check:
    outcomes = Counter(a.outcome for a in ran.answers if a.outcome != "complete")
    share = outcomes.total() / max(1, len(ran.answers))
    kinds = "; ".join(f"{number} {outcome}" for outcome, number in outcomes.most_common())
    return CHECK(
        name=prefix(drill.name, "requests that failed, at most"),
        target=percent(drill.promise.failed_share),
        figure=percent(share),
        verdict=judged(share <= drill.promise.failed_share),
        detail=f"{drill.fault.what}; {kinds or 'none'} of {len(ran.answers)}",
        samples=len(ran.answers),
    )


def _noticed(site: Site, drill: Drill, ran: Ran, within: float) -> Check:
    """A fault is over for people once no request that is due later suffers from it."""
    late = [
        answer.due - ran.struck
        for answer in ran.answers
        if ran.struck <= answer.due < ran.returned and affected(site, drill, answer)
    ]
    after = [a for a in ran.answers if a.due > ran.struck + within]
    return CHECK(
        name=prefix(drill.name, "requests are well again, after the fault, within"),
        target=seconds(within),
        figure=seconds(max(late)) if late else "none suffered",
        verdict=judged(not late or max(late) <= within) if after else "inconclusive",
        detail=f"{len(late)} failed or were late; {len(after)} sent later",
        samples=len(after),
    )


def _answered_by(site: Site, drill: Drill, ran: Ran, begin: float) -> list[Check]:
    """Who answers while the fault lasts: who should, and nobody in his place."""
    who = Counter(a.served_by for a in ran.answers if begin <= a.due and a.ended <= ran.healing)
    fallback = drill.promise.falls_back
    route = site.routes[drill.route]
    if not who and fallback is None:
        return []
    named = {name: upstream_of(site, route, name) or name for name in who}
    wanted = {fallback} if fallback else {upstream.service for upstream in route.upstreams}
    right = sum(number for name, number in who.items() if named[name] in wanted)
    return [
        CHECK(
            name=prefix(drill.name, f"answered by {fallback or 'an upstream'} meanwhile"),
            target="all",
            figure=f"{right} of {who.total()}",
            verdict=judged(right == who.total()) if who else "inconclusive",
            detail=listed(f"{number} x {named[name] or 'nobody'}" for name, number in who.items()),
            samples=who.total(),
        )
    ]


def _restored(site: Site, drill: Drill, ran: Ran) -> Check:
    after = restored_after(site, drill.route, ran.answers, ran.returned)
    shares = listed(f"{up.weight} % {up.service}" for up in site.routes[drill.route].upstreams)
    return CHECK(
        name=prefix(drill.name, "split restored, after the return, within"),
        target=seconds(drill.promise.restored_s),
        figure="not at all" if after is None else seconds(after),
        verdict=judged(after is not None and after <= drill.promise.restored_s),
        detail=f"{shares}; the fault lasted {seconds(ran.returned - ran.struck)}",
        samples=sum(answer.due >= ran.returned for answer in ran.answers),
    )
