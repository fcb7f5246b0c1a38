"""When backups are made, and what Prometheus is told about them."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from datetime import time as time_of_day
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from services.keeper.errors import KeeperError
from services.keeper.settings import Settings
from services.keeper.snapshot import Manifest, time_of
from services.keeper.store import Store

START = timedelta(seconds=15)
"""After the start nothing is made: the lab around may be starting too."""
RETRY = timedelta(minutes=15)
RETRY_FIRST = timedelta(minutes=1)
"""Where there is no backup at all."""
_TICK_SECONDS = 5.0


def due(now: datetime, at: time_of_day, last: datetime | None) -> datetime:
    """When the next backup has to be made: the past, where one was missed.

    Args:
        now: the present.
        at: each day, UTC.
        last: when the last one was begun; None before the first.
    """
    today = now.astimezone(UTC).replace(hour=at.hour, minute=at.minute, second=0, microsecond=0)
    latest = today if today <= now else today - timedelta(days=1)
    return latest if last is None or last < latest else latest + timedelta(days=1)


class Schedule:
    """Makes a backup when one is due, in a process of its own.

    Args:
        store: tells what there is.
        at: each day, UTC.
        make: makes a backup and removes those that need not stay; whether it succeeded.
        now: the present.
    """

    def __init__(
        self, store: Store, at: time_of_day, make: Callable[[], bool], now: Callable[[], datetime]
    ) -> None:
        self._store, self._at, self._make, self._now = store, at, make, now
        self._not_before = now() + START

    def tick(self) -> bool:
        """Make a backup if one is due; whether it was tried."""
        ids = self._store.ids()
        last = time_of(ids[-1]) if ids else None
        now = self._now()
        if now < max(due(now, self._at, last), self._not_before):
            return False
        if not self._make():
            self._not_before = self._now() + (RETRY if ids else RETRY_FIRST)
        return True

    def run(self) -> None:
        """Tick until the process ends."""
        while True:
            self.tick()
            time.sleep(_TICK_SECONDS)


class Figures(Collector):
    """What there is, read from the folder: backups are made by other processes."""

    def __init__(self, store: Store) -> None:
        self._store = store
        # Of the newest alone, and without its objects: there may be many.
        self._read = lru_cache(maxsize=1)(lambda name: tuple(_of(store.manifest(name))))

    def collect(self) -> Iterator[Metric]:
        """The figures as they are now."""
        ids = self._store.ids()
        yield GaugeMetricFamily("hearth_backup_snapshots", "Backups that are kept.", len(ids))
        failures = self._store.failures
        yield CounterMetricFamily("hearth_backup_failures", "Backups that failed.", failures)
        try:
            yield from self._read(ids[-1]) if ids else ()
        except KeeperError as error:
            sys.stderr.write(f"{error}\n")


def _of(newest: Manifest) -> Iterator[Metric]:
    last = GaugeMetricFamily(
        "hearth_backup_last_success_timestamp_seconds",
        "When the last backup that was read back was begun.",
        labels=["service"],
    )
    size = GaugeMetricFamily("hearth_backup_size_bytes", "Its size.", labels=["service"])
    for service, found in newest.sizes.items():
        last.add_metric([service], newest.time.timestamp())
        size.add_metric([service], found)
    yield last
    yield size
    yield GaugeMetricFamily("hearth_backup_duration_seconds", "How long it took.", newest.seconds)


def pages(store: Store, port: int) -> ThreadingHTTPServer:
    """The server of /health and /metrics; the caller has it serve."""
    registry = CollectorRegistry()
    registry.register(Figures(store))

    class Pages(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = 200, b"well\n"
            if self.path == "/metrics":
                body = generate_latest(registry)
            elif self.path != "/health":
                status, body = 404, b"not found\n"
            self.send_response(status)
            self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing: Docker asks every few seconds."""

    return ThreadingHTTPServer(("", port), Pages)


def serve(told: Settings, store: Store) -> None:
    """Make backups and tell about them, until the process is told to end."""
    # A container's first process has to ask for the signal that others end by.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    server = pages(store, told.port)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    Schedule(store, told.at, _make, lambda: datetime.now(UTC)).run()


def _make() -> bool:
    """By the command: its memory is given back at its end."""
    command = [sys.executable, "-m", "services.keeper", "backup", "--reason", "schedule", "--prune"]
    return subprocess.run(command, check=False).returncode == 0
