"""Who has no API key gets nothing of a route."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from smoke.verdict import Check, judged
from smoke.wording import prefix

if TYPE_CHECKING:
    from smoke.bench import Bench
    from smoke.load.ollama import Answer

UNAUTHORIZED = 401
_CLAIMS = {"without a key": "", "with a wrong key": "no-key-of-this-lab"}
_check = partial(Check, "keys")


async def suite(bench: Bench) -> list[Check]:
    """Ask each served route without a key and with a wrong one; nothing where they are open."""
    if not bench.site.api_clients:
        return []
    return [
        judge(name, claim, await bench.ask_as(key, name, {}))
        for name in bench.site.served_routes
        for claim, key in _CLAIMS.items()
    ]


def judge(name: str, claim: str, answer: Answer) -> Check:
    """Hold an answer to the refusal that it should be."""
    return _check(
        name=prefix(name, f"answer {claim}"),
        target=str(UNAUTHORIZED),
        figure="none" if answer.status is None else str(answer.status),
        verdict=judged(answer.status == UNAUTHORIZED),
        detail=answer.fault,
        samples=1,
    )
