"""One drill: a fault strikes and heals while a route is under its promised load."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING
from uuid import uuid4

from smoke.bench import upstream_of
from smoke.load.ollama import chat_body
from smoke.load.record import Mark

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from inventory.model import Route, Site
    from smoke.bench import Bench
    from smoke.drills.faults import Fault
    from smoke.load.ollama import Answer

TOKENS = 8
CALM_S = 4.0
"""Before the fault: what the lab is like when all is well."""
WINDOW = 20
"""So many answers tell whether the shares of a split are back: an 80/20 split gives 16 and 4."""
SHARE_TOLERANCE = 0.1
_LOOK_S = 0.25


@dataclass(frozen=True, slots=True)
class Promise:
    """What a lab promises for a fault.

    Args:
        failed_share: of all requests, at most so many fail; those that the fault cut are counted.
        affected_s: requests that are due later than this after the fault are as before it; None
            where the fault is felt as long as it lasts.
        restored_s: after the harmed machine's return the split is back within this.
        falls_back: who answers meanwhile, instead of the route's upstreams.
        outage_s: how long the fault lasts before it is healed.
    """

    failed_share: float = 0.05
    affected_s: float | None = 5.0
    restored_s: float = 30.0
    falls_back: str | None = None
    outage_s: float = 12.0


@dataclass(frozen=True, slots=True)
class Drill:
    """A fault and what is promised for it.

    Args:
        name: as `--drill` takes it.
        fault: what happens.
        promise: what must hold all the same.
        cost: what it costs on machines that somebody needs.
        route: under whose load it runs.
    """

    name: str
    fault: Fault
    promise: Promise
    cost: str
    route: str


@dataclass(frozen=True)
class Request:
    """A request of the load: the conversation that it began, and how it was answered."""

    conversation: str
    answer: Answer


@dataclass(frozen=True)
class Ran:
    """What a drill brought; times in seconds on the event loop's clock.

    Args:
        requests: in the order in which they were due.
        struck: when the fault was let loose.
        healing: when it began to be undone.
        returned: when what was harmed could answer again.
        fault: what went wrong with the fault itself; then nothing was shown.
    """

    requests: Sequence[Request]
    began: float
    struck: float
    healing: float
    returned: float
    fault: str = ""

    @property
    def answers(self) -> list[Answer]:
        """Of all requests."""
        return [request.answer for request in self.requests]


class Load:
    """A route's promised rate, from when it is started until it is stopped."""

    def __init__(self, bench: Bench, name: str) -> None:
        self._bench, self._name = bench, name
        self.interval_s = 60 / bench.site.routes[name].service_level.requests_per_minute.high
        self._tasks: list[asyncio.Task[Request]] = []
        self._driver: asyncio.Task[None] | None = None

    @property
    def finished(self) -> list[Answer]:
        """The answers so far, by when they were due."""
        return [task.result().answer for task in self._tasks if task.done()]

    def start(self) -> None:
        """Begins to send."""
        self._driver = asyncio.create_task(self._drive())

    async def stop(self) -> list[Request]:
        """Sends no more, and waits for the last answers."""
        if self._driver is not None:
            self._driver.cancel()
            await asyncio.wait([self._driver])
        return [await task for task in self._tasks]

    async def _drive(self) -> None:
        loop = asyncio.get_running_loop()
        zero = loop.time()
        for number in count():
            due = zero + number * self.interval_s
            await asyncio.sleep(max(0.0, due - loop.time()))
            self._tasks.append(asyncio.create_task(self._ask(due)))

    async def _ask(self, due: float) -> Request:
        conversation = str(uuid4())
        model = self._bench.site.routes[self._name].model or ""
        body = {**chat_body(model, TOKENS), "conversation": conversation}
        return Request(conversation, await self._bench.ask(self._name, body, due))


async def run(bench: Bench, drill: Drill) -> Ran:
    """Loads the route, strikes, heals, and goes on until the split is back or is late."""
    loop = asyncio.get_running_loop()
    load = Load(bench, drill.route)
    began = struck = healing = returned = loop.time()
    load.start()
    try:
        await asyncio.sleep(CALM_S)
        bench.progress(f"{drill.name}: {drill.fault.what}")
        struck = loop.time()
        await drill.fault.strike()
        await asyncio.sleep(drill.promise.outage_s)
        healing = loop.time()
        await drill.fault.heal()
        returned = loop.time()
        bench.progress(f"{drill.name}: healed after {returned - struck:.0f} s")
        await _until(
            lambda: restored_after(bench.site, drill.route, load.finished, returned) is not None,
            drill.promise.restored_s + WINDOW * load.interval_s,
        )
    finally:
        requests = await load.stop()
    return Ran(requests, began, struck, healing, returned)


def offered(site: Site, drill: Drill) -> str:
    """The load, for people."""
    per_minute = site.routes[drill.route].service_level.requests_per_minute.high
    return f"{per_minute:g} a minute on {drill.route}"


def marks(drill: Drill, ran: Ran) -> list[Mark]:
    """What happened during the load, for its picture."""
    happened = ((ran.struck, drill.fault.what), (ran.healing, "healing"), (ran.returned, "back"))
    return [Mark(when - ran.began, what) for when, what in happened]


async def _until(true: Callable[[], bool], seconds: float) -> None:
    for _ in range(int(seconds / _LOOK_S)):
        if true():
            return
        await asyncio.sleep(_LOOK_S)


def restored_after(
    site: Site, route_name: str, answers: Sequence[Answer], returned: float
) -> float | None:
    """Seconds from the return until the split is back; None where it is not.

    The split is back with the first of so many answers in a row, by when they were due, that are
    shared out as the site says.
    """
    route = site.routes[route_name]
    after = [a for a in answers if a.due >= returned and a.outcome == "complete"]
    for first in range(len(after) - WINDOW + 1):
        if _shared_out(site, route, after[first : first + WINDOW]):
            return after[first].due - returned
    return None


def _shared_out(site: Site, route: Route, answers: Sequence[Answer]) -> bool:
    who = [upstream_of(site, route, answer.served_by) for answer in answers]
    return all(
        abs(who.count(up.service) / len(who) - up.weight / 100) <= SHARE_TOLERANCE
        for up in route.upstreams
    )
