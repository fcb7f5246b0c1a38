"""What the lab acknowledged, it has: conversations are in its database, once."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING
from uuid import uuid4

from smoke.bench import chat_routes
from smoke.load.ollama import chat_body
from smoke.stored import keeps, stored
from smoke.verdict import Check, judged
from smoke.wording import prefix

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from smoke.bench import Bench

CONVERSATIONS = 8
_TOKENS = 4
CHECK = partial(Check, "persistence")


async def suite(bench: Bench) -> list[Check]:
    """Begin some conversations on each route that keeps them, then look for them."""
    checks = []
    for name, route in chat_routes(bench.site).items():
        if not keeps(bench.site, name):
            continue
        bench.progress(f"{name}: {CONVERSATIONS} conversations")
        acknowledged = []
        for _ in range(CONVERSATIONS):
            await bench.pace(name)
            conversation = str(uuid4())
            body = {**chat_body(route.model or "", _TOKENS), "conversation": conversation}
            if (await bench.ask(name, body)).outcome == "complete":
                acknowledged.append(conversation)
        found = await stored(bench.site, bench.access, acknowledged)
        checks.append(judge(CHECK, name, found, acknowledged))
    return checks


def judge(
    check: partial[Check],
    name: str,
    found: Mapping[str, tuple[int, int]] | None,
    acknowledged: Sequence[str],
) -> Check:
    """What was acknowledged is stored, question and answer, each once.

    Args:
        check: knows its suite.
        name: of the route or drill under which it was said.
        found: how many questions and answers each conversation has; None where nobody tells.
        acknowledged: conversations whose answer came to its end.
    """
    lost = [said for said in acknowledged if (found or {}).get(said, (0, 0)) < (1, 1)]
    twice = [said for said, counts in (found or {}).items() if max(counts) > 1]
    told = found is not None and bool(acknowledged)
    why = "nothing was answered" if found is not None else "the database does not tell"
    return check(
        name=prefix(name, "answers that are stored once"),
        target="all",
        figure=f"{len(acknowledged) - len(lost) - len(twice)} of {len(acknowledged)}",
        verdict=judged(not lost and not twice) if told else "inconclusive",
        detail=f"{len(lost)} lost, {len(twice)} stored twice" if told else why,
        samples=len(acknowledged),
    )
