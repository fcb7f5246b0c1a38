"""What Prometheus is told: each series says itself which machine it is about."""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Gauge, ProcessCollector, generate_latest

from services.driftcheck.certificates import Served
from services.driftcheck.comparing import Differences
from services.driftcheck.settings import Settings

_PLACE = ("host", "tier", "board")


class Metrics:
    """One registry; a round replaces all of it but the time of the last check."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self._drift = Gauge(
            "hearth_drift",
            "Services of the machine that are not as the site says",
            _PLACE,
            registry=registry,
        )
        self._unknown = Gauge(
            "hearth_drift_unknown",
            "1 while the machine does not say how it is, else 0",
            _PLACE,
            registry=registry,
        )
        self._expiry = Gauge(
            "hearth_certificate_expiry_timestamp_seconds",
            "When the certificate that is served stops to be valid",
            ("service", *_PLACE, "subject_name"),
            registry=registry,
        )
        self._checked = Gauge(
            "hearth_drift_last_check_timestamp_seconds",
            "When Prometheus last answered and all was compared",
            registry=registry,
        )

    def drift(self, settings: Settings, verdicts: Mapping[str, Differences | None]) -> None:
        """What a round found of each machine; None where nothing is known."""
        self._drift.clear()
        self._unknown.clear()
        for host, machine in settings.machines.items():
            place, found = (host, machine.tier, machine.board), verdicts.get(host)
            self._unknown.labels(*place).set(found is None)
            if found is not None:
                self._drift.labels(*place).set(len(found))

    def certificates(self, settings: Settings, found: Mapping[str, Served]) -> None:
        """The certificates that a round saw, by `host.service`."""
        self._expiry.clear()
        for service, certificate in found.items():
            host = service.partition(".")[0]
            machine = settings.machines.get(host)
            place = (host, machine.tier, machine.board) if machine else (host, "", "")
            labels = (service, *place, certificate.subject_name)
            self._expiry.labels(*labels).set(certificate.expiry)

    def checked(self, at: float) -> None:
        """A round got its answer."""
        self._checked.set(at)

    def text(self) -> bytes:
        """As Prometheus reads it."""
        return generate_latest(self._registry)
