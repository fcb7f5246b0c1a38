"""The rounds, each of which reads the settings anew, and the pages."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from services.driftcheck.asking import Said, Unanswered, ask
from services.driftcheck.certificates import Served, Unserved, served
from services.driftcheck.comparing import Differences, judged
from services.driftcheck.metrics import Metrics
from services.driftcheck.settings import SettingsError, load

_PATIENCE_SECONDS = 10.0
_SPEAKS_WITHIN_SECONDS = 60
"""A machine writes every half a minute, and Prometheus asks four times a minute."""

_log = logging.getLogger("driftcheck")


class DriftCheck:
    """Compares, round after round, and remembers what it found.

    Args:
        path: of the settings.

    Raises:
        SettingsError: they are not there, or wrong. Later such ones are logged, and the ones
            before stay in force.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.settings = load(path)
        self.metrics = Metrics()
        self._verdicts: dict[str, Differences | None] = {}
        self._certificates: dict[str, Served] = {}
        self._complaints: dict[str, str] = {}
        self._checked: float | None = None

    async def rounds(self) -> None:
        """Goes on until it is cancelled."""
        timeout = aiohttp.ClientTimeout(total=_PATIENCE_SECONDS)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            while True:
                await self.round(session)
                await asyncio.sleep(self.settings.every_seconds)

    async def round(self, session: aiohttp.ClientSession) -> None:
        """Reads the settings, asks, compares, and looks at the certificates."""
        complaints: dict[str, str] = {}
        try:
            self.settings = load(self._path)
        except SettingsError as error:
            complaints["settings"] = str(error)
        said: Mapping[str, Said] = {}
        try:
            said = await ask(session, self.settings.prometheus)
        except Unanswered as error:
            complaints["prometheus"] = str(error)
        else:
            self._checked = time.time()
            self.metrics.checked(self._checked)
        complaints |= self._compare(said)
        complaints |= await self._look_at_certificates()
        self._tell(complaints)

    def _compare(self, said: Mapping[str, Said]) -> dict[str, str]:
        """Judges every machine; returns what differs, by service, and whom nothing is known of."""
        now, since = time.time(), self._path.stat().st_mtime
        patient = now - since < _SPEAKS_WITHIN_SECONDS
        verdicts: dict[str, Differences | None] = {}
        complaints: dict[str, str] = {}
        for host in self.settings.machines:
            found = judged(self.settings, host, said.get(host), since=since, now=now)
            if found is None and patient:
                # It has had no time yet to say how it is under new settings.
                found = self._verdicts.get(host)
            elif found is None:
                complaints[host] = "does not say how it is"
            verdicts[host] = found
            complaints |= found or {}
        self._verdicts = verdicts
        self.metrics.drift(self.settings, verdicts)
        return complaints

    async def _look_at_certificates(self) -> dict[str, str]:
        """Sees every certificate; returns what is in the way, by the service's port."""
        found: dict[str, Served] = {}
        complaints: dict[str, str] = {}
        for where in self.settings.certificates:
            try:
                found[where.service] = await served(where, self.settings.authority)
            except Unserved as error:
                complaints[f"certificate of {where.service}"] = f"cannot be judged ({error})"
        self._certificates = found
        self.metrics.certificates(self.settings, found)
        return complaints

    def _tell(self, complaints: dict[str, str]) -> None:
        """Logs what is new, and what is over."""
        for about, what in complaints.items():
            if self._complaints.get(about) != what:
                _log.warning("%s: %s", about, what)
        for about in self._complaints.keys() - complaints.keys():
            _log.info("%s: as it should be again", about)
        self._complaints = complaints

    def page(self) -> dict[str, Any]:
        """What the last round found."""
        return {
            "checked": None if self._checked is None else _moment(self._checked),
            "complaints": self._complaints,
            "machines": {
                host: {"known": found is not None, "differences": found or {}}
                for host, found in self._verdicts.items()
            },
            "certificates": {
                service: {"subject": seen.subject_name, "valid_until": _moment(seen.expiry)}
                for service, seen in self._certificates.items()
            },
        }


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")


def application(check: DriftCheck) -> web.Application:
    """The pages; the rounds go on for as long as they are served."""
    app = web.Application()
    rounds: list[asyncio.Task[None]] = []

    async def running(_app: web.Application) -> AsyncIterator[None]:
        rounds.append(asyncio.create_task(check.rounds()))
        yield
        rounds[0].cancel()
        with suppress(asyncio.CancelledError):
            await rounds[0]

    async def page(_request: web.Request) -> web.Response:
        return web.json_response(check.page())

    async def health(_request: web.Request) -> web.Response:
        if rounds[0].done():
            return web.json_response({"status": "the rounds have ended"}, status=503)
        return web.json_response({"status": "alive"})

    async def metrics(_request: web.Request) -> web.Response:
        headers = {"Content-Type": "text/plain; version=0.0.4"}
        return web.Response(body=check.metrics.text(), headers=headers)

    app.cleanup_ctx.append(running)
    app.router.add_get("/", page)
    app.router.add_get("/health", health)
    app.router.add_get("/metrics", metrics)
    return app
