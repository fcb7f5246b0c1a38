"""One role as a process that dies at a step: `python -m tests.services.fixai.crashing ROLE STEP`.

The step is one that the role tells its hooks, such as `sent`, or `-` for none; with a number behind
a colon the one so many times told. The kill is SIGKILL: nothing is flushed, closed or finished.
"""

from __future__ import annotations

import asyncio
import functools
import os
import signal
import sys
from collections.abc import Sequence
from typing import Any

from services.fixai import logs, outbox, roles, settings
from services.fixai.backend import role as backend
from services.fixai.bus import Handler, Hooks, Poison
from services.fixai.consumers import clustering, description, incidents
from services.fixai.database import Database
from services.fixai.events import Event, ReportDescribed, ReportSubmitted
from services.fixai.gemini import role as gemini
from services.fixai.health import Health
from services.fixai.settings import Settings
from services.fixai.store import Store


class Killing(Hooks):
    """Ends the process at a step."""

    def __init__(self, step: str) -> None:
        self._step, _, times = step.partition(":")
        self._left = int(times or 1)

    async def at(self, step: str) -> None:
        """Die, if it is the one."""
        if step == self._step:
            self._left -= 1
            if self._left <= 0:
                os.kill(os.getpid(), signal.SIGKILL)


def described(event: ReportSubmitted) -> ReportDescribed:
    """A description that follows from the event alone."""
    return ReportDescribed(
        report_id=event.report_id,
        at=event.at,
        submitted_at=event.submitted_at,
        author=event.author,
        latitude=event.latitude,
        longitude=event.longitude,
        title=event.text[:20],
        description=event.text,
        category=event.category,
        severity=2,
    )


async def describing(_settings: Settings, store: Store, _health: Health) -> Handler:
    """The handler of a consumer as small as one can be: one effect, one event."""

    async def handle(event: Event) -> Sequence[Event]:
        if not isinstance(event, ReportSubmitted):
            raise Poison("not a submitted report")
        made = described(event)
        await store.described(made)
        return [made]

    return handle


def watched(hooks: Hooks) -> None:
    """Have every write to the database be a step: `stored`."""

    def watch(name: str) -> None:
        write = getattr(Database, name)

        @functools.wraps(write)
        async def told(*arguments: Any) -> Any:
            found = await write(*arguments)
            await hooks.at("stored")
            return found

        setattr(Database, name, told)

    for name in ("write", "claim", "batch"):
        watch(name)


def main() -> None:
    """Run the role until it dies or is told to end."""
    name, step = sys.argv[1:]
    hooks = Killing(step)
    consumer = functools.partial(roles.consume, "description", describing, hooks=hooks)
    known: dict[str, roles.Role] = {
        "backend": functools.partial(backend.role, hooks=hooks),
        "outbox": functools.partial(outbox.role, hooks=hooks),
        "consumer": consumer,
        "gemini": gemini.role,
    }
    for part in (description, clustering, incidents):
        known[part.NAME] = functools.partial(roles.consume, part.NAME, part.make, hooks=hooks)
    watched(hooks)
    logs.to_stdout()
    asyncio.run(roles.run(known[name], settings.load(settings.path())))


if __name__ == "__main__":
    main()
