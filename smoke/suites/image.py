"""Routes that draw images answer at the promised rate, soon, and keep what they drew.

So few images are drawn in a minute that no percentile can be told from a run of some minutes:
what is claimed is claimed of every image of the run.
"""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from smoke.bench import image_routes
from smoke.load.arrivals import constant, drive
from smoke.verdict import Check, judged
from smoke.wording import prefix, seconds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inventory.model import Route
    from smoke.bench import Bench
    from smoke.load.http import Exchange

MOST_IMAGES = 8
READ_BACK = 3
_PNG = b"\x89PNG\r\n\x1a\n"
_WISH = {"prompt": "a lighthouse in the fog"}
_check = partial(Check, "image")


class Drawn(NamedTuple):
    """An image that was asked for.

    Attributes:
        due: When, on the event loop's clock.
        exchange: The request and its answer.
        url: Where the image is; empty where there is none.
    """

    due: float
    exchange: Exchange
    url: str

    @property
    def waited_s(self) -> float:
        """From when it was due to its answer."""
        first = self.exchange.first_byte
        return (self.exchange.ended if first is None else first) - self.due

    @property
    def fault(self) -> str:
        """Why there is no image; empty where there is one."""
        if self.url:
            return ""
        return self.exchange.fault or f"status {self.exchange.status}"


async def suite(bench: Bench) -> list[Check]:
    """Have each such route draw at the rate that it promises, then fetch some of the images."""
    checks = []
    for name, route in image_routes(bench.site).items():
        per_minute = route.service_level.requests_per_minute.high
        bench.progress(f"{name}: {MOST_IMAGES} images at {per_minute:g} a minute")
        schedule = constant(per_minute, MOST_IMAGES)
        drawn = await drive(schedule, partial(_draw, bench, name))
        kept = [await _is_kept(bench, name, each.url) for each in drawn[:READ_BACK] if each.url]
        checks += judge(name, route, drawn, kept)
    return checks


async def _draw(bench: Bench, name: str, due: float) -> Drawn:
    path = bench.site.routes[name].path
    exchange, body = await bench.exchange(name, "POST", path, json.dumps(_WISH).encode())
    return Drawn(due, exchange, _url(body) if exchange.succeeded else "")


def _url(body: bytes) -> str:
    try:
        return str(json.loads(body)["url"])
    except (ValueError, KeyError, TypeError):
        return ""


async def _is_kept(bench: Bench, name: str, url: str) -> bool:
    await bench.pace(name)
    exchange, body = await bench.exchange(name, "GET", url)
    return exchange.succeeded and body.startswith(_PNG)


def judge(name: str, route: Route, drawn: Sequence[Drawn], kept: Sequence[bool]) -> list[Check]:
    """Hold what was drawn to the route's service level."""
    if not drawn:
        claim = prefix(name, "images that came")
        return [_check(name=claim, target="all", figure="none", verdict="inconclusive")]
    there = [each for each in drawn if each.url]
    faults = sorted({each.fault for each in drawn if each.fault})
    target_s = route.service_level.first_byte_p95.total_seconds()
    slowest_s = max(each.waited_s for each in drawn)
    return [
        _check(
            name=prefix(name, "images that came"),
            target="all",
            figure=f"{len(there)} of {len(drawn)}",
            verdict=judged(len(there) == len(drawn)),
            detail="; ".join(faults)
            or f"{route.service_level.requests_per_minute.high:g} a minute asked for",
            samples=len(drawn),
        ),
        _check(
            name=prefix(name, "the slowest answer within"),
            target=seconds(target_s),
            figure=seconds(slowest_s),
            verdict=judged(slowest_s <= target_s),
            detail=f"of {len(drawn)}, from when they were due",
            samples=len(drawn),
        ),
        _check(
            name=prefix(name, "images that were kept"),
            target="all",
            figure=f"{sum(kept)} of {len(kept)}",
            verdict=judged(bool(kept) and all(kept)),
            detail="read back through the gateway" if kept else "there was none to read back",
            samples=len(kept),
        ),
    ]
