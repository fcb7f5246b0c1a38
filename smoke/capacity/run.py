"""Measure what a lab's chat routes can hold."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from time import monotonic
from typing import TYPE_CHECKING

from inventory.errors import HearthError
from inventory.model import did_you_mean
from smoke.bench import open_bench, stream_routes
from smoke.capacity.report import Report
from smoke.capacity.steps import Pace, Sender
from smoke.capacity.trial import Trial
from smoke.environment import load_average, observe
from smoke.load.clock import new_loop
from smoke.load.streams import TOKENS

if TYPE_CHECKING:
    from collections.abc import Callable

    from inventory.model import Site
    from smoke.access import Access
    from smoke.capacity.trial import Measured


@dataclass(frozen=True, slots=True)
class Question:
    """What is to be found out.

    Args:
        routes: Names of chat routes; None for all of them.
        tokens: Asked for in each answer.
        pace: How long loads are.
        traffic: Requests a minute to plan for; None for what each route promises.
    """

    routes: Sequence[str] | None = None
    tokens: int = TOKENS
    pace: Pace = Pace()  # noqa: RUF009 - it is frozen
    traffic: float | None = None


def run(
    site: Site,
    access: Access,
    keys: Sequence[str],
    question: Question,
    progress: Callable[[str], None],
) -> Report:
    """Measure routes one after the other; being interrupted ends it with what is known by then.

    Args:
        site: What the lab should be.
        access: How it is reached.
        keys: The clients' API keys, used in turn; none where the routes are open.
        question: What is to be found out.
        progress: Told what happens, one line at a time.

    Raises:
        HearthError: There is no such route, or the CA file cannot be read.
    """
    chosen = _chosen(site, question.routes)
    with asyncio.Runner(loop_factory=new_loop) as runner:
        return runner.run(_run(site, access, keys, replace(question, routes=chosen), progress))


def _chosen(site: Site, routes: Sequence[str] | None) -> list[str]:
    known = list(stream_routes(site))
    for name in routes or ():
        if name not in known:
            raise HearthError(
                f"{name}: no model answers that route of {site.name}; {did_you_mean(name, known)}"
            )
    if not known:
        raise HearthError(f"{site.name}: no route speaks a form of Ollama's: nothing to measure")
    return known if routes is None else [name for name in known if name in routes]


async def _run(
    site: Site,
    access: Access,
    keys: Sequence[str],
    question: Question,
    progress: Callable[[str], None],
) -> Report:
    started, began, load_at_start = datetime.now(UTC), monotonic(), load_average()
    found: list[Measured] = []
    async with open_bench(site, access, progress) as bench:
        for name in question.routes or ():
            trial = Trial(
                Sender(bench, name, keys, question.tokens), question.pace, question.tokens
            )
            ended = await trial.run()
            found.append(trial.found)
            if not ended:
                break
    return Report(
        site=site.name,
        started=started,
        seconds=monotonic() - began,
        routes=tuple(found),
        environment=observe(site, load_at_start),
        traffic=question.traffic,
    )
