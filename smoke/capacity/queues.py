"""Queueing in closed form and by replay; times in seconds, rates a minute where they say so."""

from __future__ import annotations

import math
from collections import Counter
from heapq import heapreplace
from statistics import fmean
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

_STEPS = 45
_PHASES = 8
_LEAST_FAILURES = 1e-4
"""A limiter that may refuse nothing at all passes no rate of random arrivals: one in so many."""


def highest(holds: Callable[[float], bool], upper: float) -> float:
    """The largest rate up to a bound at which something holds that fails from some rate on."""
    if holds(upper):
        return upper
    low = 0.0
    for _ in range(_STEPS):
        middle = (low + upper) / 2
        low, upper = (middle, upper) if holds(middle) else (low, middle)
    return low


def waiting_chance(servers: int, utilisation: float) -> float:
    """The chance that a request has to wait at all (Erlang C, 1917)."""
    offered, blocked = utilisation * servers, 1.0
    for count in range(1, servers + 1):
        blocked = offered * blocked / (count + offered * blocked)
    return blocked / (1 - utilisation * (1 - blocked))


def waits_longer(
    seconds: float, servers: int, utilisation: float, service_s: float, variation: float
) -> float:
    """The chance that a request waits longer than that.

    Those that wait at all do so for an exponential time. Its mean is that of an M/M/c queue times
    `variation` (Allen and Cunneen, 1978). Exact for M/M/c, close elsewhere where queues are long.

    Args:
        seconds: Below 0 everybody waits longer.
        servers: How many requests are served at once.
        utilisation: The share of the servers' time that is used.
        service_s: For how long a request holds a server, on average.
        variation: Mean of the squared coefficients of variation of interarrival and service times.
    """
    if seconds < 0 or utilisation >= 1:
        return 1.0
    mean_s = variation * service_s / (servers * (1 - utilisation))
    chance = waiting_chance(servers, utilisation)
    return chance * math.exp(-seconds / mean_s) if mean_s else 0.0


def squared_variation(values: Sequence[float]) -> float:
    """The squared coefficient of variation."""
    mean = fmean(values)
    return fmean([(value - mean) ** 2 for value in values]) / mean**2


def shared_arrivals_variation(share: float) -> float:
    """The same of the times between a server's arrivals, if random ones are shared out in turn.

    Who gets every fifth sees a sum of five intervals, which varies a fifth as much; who gets four
    of five sees one interval, or two.
    """
    each = 1 / share
    down = math.floor(each)
    return (each + (each - down) * (down + 1 - each)) / each**2


def waits(arrivals: Iterable[tuple[float, float]], servers: int) -> list[float]:
    """How long each of some requests waits, first come first served (Kiefer and Wolfowitz, 1955).

    Args:
        arrivals: When each is due, ascending, and for how long it holds a server.
        servers: How many are served at once.
    """
    free = [0.0] * servers
    found = []
    for due, holds_s in arrivals:
        begins = max(due, free[0])
        heapreplace(free, begins + holds_s)
        found.append(begins - due)
    return found


def in_turn(shares: Sequence[float], count: int) -> list[int]:
    """Who gets each of so many requests by smooth weighted round robin, as an index of shares."""
    owed = [0.0] * len(shares)
    found = []
    for _ in range(count):
        owed = [debt + share for debt, share in zip(owed, shares, strict=True)]
        chosen = owed.index(max(owed))
        owed[chosen] -= sum(shares)
        found.append(chosen)
    return found


def refused_share(per_minute: float, allowed: int, window_s: float) -> float:
    """The share of random arrivals that a limiter by fixed windows refuses.

    Args:
        per_minute: How many arrive, as a Poisson process.
        allowed: How many a window lets through.
        window_s: Its length.
    """
    mean = per_minute / 60 * window_s
    if mean <= 0:
        return 0.0
    unused = sum(
        (allowed - count) * math.exp(count * math.log(mean) - mean - math.lgamma(count + 1))
        for count in range(allowed)
    )
    return max(0.0, 1 - (allowed - unused) / mean)


def refused_of(schedule: Sequence[float], allowed: int, window_s: float) -> float:
    """The share of a schedule that such a limiter refuses at least, whenever its windows begin."""
    return min(
        _refused(
            Counter((due + window_s * phase / _PHASES) // window_s for due in schedule), allowed
        )
        for phase in range(_PHASES)
    )


def _refused(counts: Counter[float], allowed: int) -> float:
    over = sum(max(0, count - allowed) for count in counts.values())
    return over / max(1, counts.total())


def limiter_holds(allowed: int, window_s: float, success: float) -> float:
    """The rate a minute of random arrivals of which a limiter lets that share through."""
    failures = max(1 - success, _LEAST_FAILURES)
    most = allowed / window_s * 60
    return highest(lambda rate: refused_share(rate, allowed, window_s) <= failures, most)
