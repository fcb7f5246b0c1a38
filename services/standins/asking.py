"""Questions to Prometheus and Loki, and their answers as Grafana's frames or as one value.

Unanswered     a data source is away or refuses; says which and what it said
"""

from __future__ import annotations

import asyncio
import math
import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp

from services.standins.provisioned import DataSource

_SPANS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_RELATIVE = re.compile(r"now(?:-(\d+)([smhdw]))?")
_LEGEND = re.compile(r"\{\{\s*(\w+)\s*\}\}")
_RATE_INTERVAL = "5m"
_POINTS = 300
_LINES = 100
_LINES_SECONDS = 3600
_SHOWN_CHARACTERS = 200
_BAD_REQUEST = 400
_AT_ONCE = 8


class Unanswered(Exception):  # noqa: N818 - an outcome that the reader sees
    """A data source did not answer; says what it said."""


@dataclass(frozen=True, slots=True)
class Span:
    """From when to when, in seconds since 1970."""

    start: float
    end: float

    @property
    def step(self) -> int:
        """Seconds between the points of a graph."""
        return max(15, math.ceil((self.end - self.start) / _POINTS))


@dataclass(frozen=True, slots=True)
class Value:
    """One thing that a panel shows.

    Attributes:
        label: of the series; empty where a panel has one.
        number: the figure; None for a line of a log.
        text: the line.
    """

    label: str
    number: float | None = None
    text: str = ""


def moment(text: str, now: float) -> float:
    """A time as Grafana's API is told it: `now-1h`, or milliseconds since 1970.

    Raises:
        ValueError: it is neither.
    """
    if match := _RELATIVE.fullmatch(text):
        return now - (int(match[1]) * _SPANS[match[2]] if match[1] else 0)
    return float(text) / 1000


def filled(expr: str, chosen: Mapping[str, str]) -> str:
    """An expression with Grafana's variables and the reader's choices filled in."""
    for name, value in {"__rate_interval": _RATE_INTERVAL, **chosen}.items():
        expr = expr.replace(f"${{{name}}}", value).replace(f"${name}", value)
    return expr


class Asker:
    """Asks data sources, some questions at a time."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session
        self._turn = asyncio.Semaphore(_AT_ONCE)

    async def fetch(self, source: DataSource, path: str, params: Mapping[str, Any]) -> Any:
        """What a source's API answers.

        Raises:
            Unanswered: it is away, or refuses.
        """
        try:
            async with (
                self._turn,
                self._session.get(f"{source.url}/{path}", params=params) as response,
            ):
                if response.status >= _BAD_REQUEST:
                    said = (await response.text())[:_SHOWN_CHARACTERS]
                    raise Unanswered(f"{source.name} answered {response.status} ({said})")
                return (await response.json())["data"]
        except (aiohttp.ClientError, TimeoutError, ValueError, KeyError) as error:
            raise Unanswered(f"{source.name} is away ({type(error).__name__})") from error

    async def frames(
        self, source: DataSource, query: Mapping[str, Any], span: Span
    ) -> list[dict[str, Any]]:
        """A query's answer in the form of Grafana's API.

        Raises:
            Unanswered: the source is away, or refuses.
        """
        expr, name = filled(str(query.get("expr", "")), {}), str(query.get("refId", "A"))
        if source.kind == "loki":
            streams = await self._lines(source, expr, span, int(query.get("maxLines") or _LINES))
            return [_frame(name, "Line", "string", *stream) for stream in streams]
        if query.get("instant"):
            asked = {"query": expr, "time": span.end}
            found = await self.fetch(source, "api/v1/query", asked)
            series = [(s["metric"], [s["value"]]) for s in _vector(found)]
        else:
            ends = {"start": span.start, "end": span.end, "step": span.step}
            found = await self.fetch(source, "api/v1/query_range", {"query": expr, **ends})
            series = [(s["metric"], s["values"]) for s in found["result"]]
        return [
            _frame(name, "Value", "number", labels, [(int(at * 1000), _number(v)) for at, v in ps])
            for labels, ps in series
        ]

    async def values(
        self, source: DataSource, target: Mapping[str, Any], chosen: Mapping[str, str]
    ) -> list[Value]:
        """What one query of a panel comes to now.

        Raises:
            Unanswered: the source is away, or refuses.
        """
        expr = filled(str(target.get("expr", "")), chosen)
        now = time.time()
        if source.kind == "loki":
            streams = await self._lines(source, expr, Span(now - _LINES_SECONDS, now), 1)
            lines = sorted(line for _, found in streams for line in found)
            return [Value("", text=lines[-1][1])] if lines else []
        found = _vector(await self.fetch(source, "api/v1/query", {"query": expr}))
        legend = str(target.get("legendFormat") or "")
        return [
            Value(_label(legend, series["metric"]), _number(series["value"][1])) for series in found
        ]

    async def labels(self, source: DataSource, label: str, metric: str) -> list[str]:
        """The values of a label of a metric's series.

        Raises:
            Unanswered: the source is away, or refuses.
        """
        found = await self.fetch(source, f"api/v1/label/{label}/values", {"match[]": metric})
        return [str(value) for value in found]

    async def _lines(
        self, source: DataSource, expr: str, span: Span, most: int
    ) -> list[tuple[dict[str, str], list[tuple[int, str]]]]:
        """Log lines by stream: the stream's labels, milliseconds and text of each."""
        params = {
            "query": expr,
            "start": f"{span.start:.0f}",
            "end": f"{span.end:.0f}",
            "limit": str(most),
        }
        found = await self.fetch(source, "loki/api/v1/query_range", params)
        return [
            (stream["stream"], [(int(at) // 1_000_000, text) for at, text in stream["values"]])
            for stream in found["result"]
        ]


def _vector(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """An instant answer's series; a single number is one without labels."""
    if found["resultType"] == "scalar":
        return [{"metric": {}, "value": found["result"]}]
    return list(found["result"])


def _number(text: str) -> float | None:
    """A value as JSON can carry it: what is no number is null, as Grafana has it."""
    number = float(text)
    return number if math.isfinite(number) else None


def _label(legend: str, labels: Mapping[str, str]) -> str:
    if legend:
        return _LEGEND.sub(lambda match: labels.get(match[1], ""), legend)
    return ", ".join(f"{name}={value}" for name, value in labels.items() if name != "__name__")


def _frame(
    name: str, field: str, kind: str, labels: Mapping[str, str], points: Iterable[tuple[Any, Any]]
) -> dict[str, Any]:
    times, values = [], []
    for at, value in points:
        times.append(at)
        values.append(value)
    fields = [
        {"name": "Time", "type": "time"},
        {"name": field, "type": kind, "labels": dict(labels)},
    ]
    return {"schema": {"refId": name, "fields": fields}, "data": {"values": [times, values]}}
