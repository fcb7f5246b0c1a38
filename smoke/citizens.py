"""FixAI as its citizens use it: accounts, reports with pictures, live updates."""

from __future__ import annotations

import asyncio
import json
import random
import secrets
import socket
import ssl
import struct
import zlib
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import cycle
from typing import TYPE_CHECKING, Any, NamedTuple, Self
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from inventory.errors import HearthError
from smoke.load.sample import Outcome, Sample

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import TracebackType

    from smoke.access import Access

STAGES = ("described", "clustered", "checked")
"""What a report passes through once it is acknowledged, in this order."""
CREATED = 201
_TIMEOUT_S = 30.0
_AGAIN_S = 0.5
TOO_MANY = "status 429"
_PATIENCE_S = 120.0
_PAUSE_S = 2.0
_APART_DEGREES = 0.01
"""About a kilometre: no two problems of a run are one."""
_WATCHED_METRES = 5000
_SUBJECTS = (
    ("road", "A deep hole in the road, cars have to swerve around it"),
    ("lighting", "The street lamp at the corner is dark since days"),
    ("waste", "Rubbish bags are piled up beside the full container"),
    ("water", "A pipe is leaking, water runs over the pavement"),
)


class Problem(NamedTuple):
    """Something that is broken, and what is said of it."""

    latitude: float
    longitude: float
    category: str
    text: str


@dataclass
class Report:
    """What became of a report; times are seconds on the event loop's clock.

    Attributes:
        problem: which of a run's problems it is about.
        due: when it should have been sent.
        sent: when it was.
        answered: when its answer came, or it failed.
        status: of that answer; None without one.
        fault: what went wrong, for people.
        id: once it is acknowledged.
        updates: when live updates of each stage came.
    """

    problem: int
    due: float
    sent: float = 0.0
    answered: float = 0.0
    status: int | None = None
    fault: str = ""
    id: str = ""
    updates: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    @property
    def acknowledged(self) -> bool:
        """Whether FixAI has promised to keep it."""
        return bool(self.id)

    @property
    def sample(self) -> Sample:
        """Its request, as a load's record takes it."""
        outcome: Outcome = "complete" if self.acknowledged else "refused"
        if self.status is None:
            outcome = "unreachable"
        return Sample(
            due=self.due,
            sent=self.sent,
            first=self.answered,
            ended=self.answered,
            outcome=outcome,
            status=self.status,
            fault=self.fault,
        )


def problems(count: int, seed: str) -> list[Problem]:
    """Problems of a run, far from each other, in the South Atlantic, where no citizen is."""
    chance = random.Random(seed)  # noqa: S311 - nothing secret hangs on it
    south, west = chance.uniform(-40, -30), chance.uniform(-20, -10)
    subjects = cycle(_SUBJECTS)
    return [
        Problem(south + row * _APART_DEGREES, west, *next(subjects))
        for row in range(-(count // 2), count - count // 2)
    ]


def picture(shade: int) -> bytes:
    """A grey PNG of 16 by 16 pixels."""
    rows = (b"\x00" + bytes([shade] * 16)) * 16

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + check

    header = struct.pack(">IIBBBBB", 16, 16, 8, 0, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


class _Here(AbstractResolver):
    """The one address that a run knows, whatever the name."""

    def __init__(self, address: str) -> None:
        self._address = address

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        return [
            ResolveResult(
                hostname=host, host=self._address, port=port, family=family, proto=0, flags=0
            )
        ]

    async def close(self) -> None:
        """Nothing is open."""


class Citizens:
    """Some accounts, and what they are told.

    Args:
        access: where the gateway is; its certificate is held to `domain`.
        domain: the name that citizens use.
    """

    def __init__(self, access: Access, domain: str) -> None:
        parts = urlsplit(access.gateway_url)
        self._base = f"https://{domain}:{parts.port or 443}"
        try:
            self._trust = ssl.create_default_context(cafile=access.ca_file)
        except (OSError, ssl.SSLError) as error:
            raise HearthError(
                f"{access.ca_file}: cannot be read as certificates ({error}); "
                "bring the site up again, which writes it"
            ) from None
        self._address = parts.hostname or ""
        self._session: aiohttp.ClientSession | None = None
        self._tokens: Iterator[str] = iter(())
        self._live: list[asyncio.Task[None]] = []
        self._reports: dict[str, Report] = {}
        self._early: dict[str, dict[str, list[float]]] = {}

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=self._trust, resolver=_Here(self._address)),
            timeout=aiohttp.ClientTimeout(total=_TIMEOUT_S),
        )
        return self

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        for task in self._live:
            task.cancel()
        await asyncio.gather(*self._live, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    async def join(self, count: int) -> None:
        """Make accounts for this run, over which its reports are then spread.

        Raises:
            HearthError: one could not be made.
        """
        tokens = []
        for _ in range(count):
            body = {"name": f"smoke-{secrets.token_hex(8)}", "password": secrets.token_urlsafe(24)}
            await self._patiently("/accounts", body)
            tokens.append(str((await self._patiently("/tokens", body))["token"]))
        self._tokens = cycle(tokens)

    async def watch(self, middle: Problem) -> None:
        """Have live updates of all that is near, from now on; a socket that is cut connects anew.

        Raises:
            HearthError: there are none to be had.
        """
        ready = asyncio.Event()
        self._live.append(asyncio.create_task(self._listen(middle, ready)))
        try:
            await asyncio.wait_for(ready.wait(), _TIMEOUT_S)
        except TimeoutError:
            raise HearthError(
                f"{self._base}/live: no live updates within {_TIMEOUT_S:g} s; look at the backend"
            ) from None

    async def report(self, number: int, problem: Problem, due: float) -> Report:
        """Send a report with a picture; failures are part of it."""
        loop = asyncio.get_running_loop()
        report = Report(number, due, sent=loop.time())
        form = aiohttp.FormData()
        form.add_field("text", problem.text)
        form.add_field("category", problem.category)
        form.add_field("latitude", repr(problem.latitude))
        form.add_field("longitude", repr(problem.longitude))
        image = picture(number % 256)
        form.add_field("pictures", image, filename="it.png", content_type="image/png")
        try:
            async with self._open.post(
                f"{self._base}/reports", data=form, headers=self._credentials()
            ) as answer:
                document = await answer.json(content_type=None)
                report.status = answer.status
                if answer.status == CREATED:
                    report.id = str(document["id"])
                else:
                    report.fault = f"status {answer.status}: {document.get('detail', '')}"
        except (aiohttp.ClientError, TimeoutError, ValueError, KeyError, AttributeError) as error:
            report.fault = f"{type(error).__name__}: {error}".rstrip(": ")
        report.answered = loop.time()
        if report.id:
            self._reports[report.id] = report
            # An update may be quicker than the answer.
            report.updates.update(self._early.pop(report.id, {}))
        return report

    async def look(self, ids: Sequence[str]) -> dict[str, dict[str, Any]]:
        """What FixAI says of reports now, by id; those that it does not know are left out."""
        found = {}
        for report_id in ids:
            with suppress(HearthError):
                found[report_id] = await self._ask("GET", f"/reports/{report_id}")
        return found

    @property
    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise HearthError("citizens: not connected; use them within `async with`")
        return self._session

    def _credentials(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {next(self._tokens)}"}

    async def _patiently(self, path: str, body: Any) -> dict[str, Any]:
        """As often as it takes: accounts are limited by address, and this is one."""
        until = asyncio.get_running_loop().time() + _PATIENCE_S
        while True:
            try:
                return await self._ask("POST", path, body)
            except HearthError as error:
                if TOO_MANY not in str(error) or asyncio.get_running_loop().time() > until:
                    raise
            await asyncio.sleep(_PAUSE_S)

    async def _ask(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        try:
            async with self._open.request(method, self._base + path, json=body) as answer:
                document = await answer.json(content_type=None)
                if not answer.ok:
                    raise HearthError(
                        f"{method} {path}: status {answer.status} ({document.get('detail', '')})"
                    )
                return dict(document)
        except (aiohttp.ClientError, TimeoutError, ValueError, AttributeError) as error:
            raise HearthError(f"{method} {path}: {type(error).__name__} ({error})") from None

    async def _listen(self, middle: Problem, ready: asyncio.Event) -> None:
        place = {"latitude": middle.latitude, "longitude": middle.longitude}
        watched = {"type": "watch", **place, "radius": _WATCHED_METRES}
        while True:
            with suppress(aiohttp.ClientError, TimeoutError, ConnectionError):
                async with self._open.ws_connect(
                    f"{self._base}/live", headers=self._credentials(), heartbeat=10
                ) as live:
                    await live.send_str(json.dumps(watched))
                    async for message in live:
                        if message.type is aiohttp.WSMsgType.TEXT:
                            self._hear(json.loads(message.data), ready)
            await asyncio.sleep(_AGAIN_S)

    def _hear(self, message: dict[str, Any], ready: asyncio.Event) -> None:
        if message["type"] == "watching":
            ready.set()
        elif message["type"] == "update":
            about, known = str(message["report_id"]), self._reports.get(str(message["report_id"]))
            stages = known.updates if known else self._early.setdefault(about, defaultdict(list))
            stages[str(message["stage"])].append(asyncio.get_running_loop().time())
