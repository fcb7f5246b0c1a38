"""The outcome of a run: a table for people, JSON, JUnit and a page for what reads them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from inventory.errors import HearthError
from smoke.environment import Environment
from smoke.load.record import LoadRecord, from_document, to_document
from smoke.statistics import Distribution
from smoke.verdict import EXIT_CODES, Check, Verdict, overall

SCHEMA = "hearth.smoke/2"
"""Goes up when a name in the JSON changes its meaning or goes away."""


@dataclass(frozen=True)
class Report:
    """What a run found.

    Args:
        site: The site's name.
        started: When, in UTC.
        seconds: How long it took.
        checks: In the order of the suites.
        loads: What was sent and how it was answered.
        environment: Where it was sent from; None where that was not looked at.
        suite_seconds: How long each suite took, by name.
    """

    site: str
    started: datetime
    seconds: float
    checks: tuple[Check, ...]
    loads: tuple[LoadRecord, ...] = ()
    environment: Environment | None = None
    suite_seconds: Mapping[str, float] = field(default_factory=dict)

    @property
    def verdict(self) -> Verdict:
        """What the checks come to."""
        return overall(self.checks)

    @property
    def exit_code(self) -> int:
        """0 all pass, 1 a check failed, 2 inconclusive."""
        return EXIT_CODES[self.verdict]

    def with_verdict(self, verdict: Verdict) -> list[Check]:
        """The checks that came out so."""
        return [check for check in self.checks if check.verdict == verdict]

    def to_json(self) -> str:
        """The report for programs; `schema` names its version."""
        document = {
            "schema": SCHEMA,
            "site": self.site,
            "started": self.started.isoformat(),
            "seconds": round(self.seconds, 3),
            "verdict": self.verdict,
            "exit_code": self.exit_code,
            "suite_seconds": {name: round(took, 3) for name, took in self.suite_seconds.items()},
            "checks": [asdict(check) for check in self.checks],
            "loads": [to_document(load) for load in self.loads],
            "environment": asdict(self.environment) if self.environment else None,
        }
        return json.dumps(document, indent=2)

    @classmethod
    def from_json(cls, text: str) -> Report:
        """The report that was written so.

        Raises:
            HearthError: It is no report, or one of another version.
        """
        try:
            document = json.loads(text)
        except ValueError as error:
            raise HearthError(f"is not JSON ({error}); name a smoke report's file") from None
        schema = document.get("schema") if isinstance(document, dict) else None
        if schema != SCHEMA:
            raise HearthError(
                f"its schema is {schema or 'not named'}, this Hearth reads {SCHEMA}; "
                "write the report again with `hearth smoke --json`"
            )
        try:
            return cls._from_document(document)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise HearthError(
                f"is not a report of {SCHEMA} ({type(error).__name__}: {error}); "
                "write it again with `hearth smoke --json`"
            ) from None

    @classmethod
    def _from_document(cls, document: Mapping[str, Any]) -> Report:
        environment = document["environment"]
        loads = tuple(from_document(load) for load in document["loads"])
        for load in loads:
            _require_histograms(load)
        return cls(
            site=document["site"],
            started=datetime.fromisoformat(document["started"]),
            seconds=document["seconds"],
            checks=tuple(_check(check) for check in document["checks"]),
            loads=loads,
            environment=Environment(**environment) if environment else None,
            suite_seconds=dict(document["suite_seconds"]),
        )


def _check(document: Mapping[str, Any]) -> Check:
    interval = document["interval"]
    return Check(**{**document, "interval": tuple(interval) if interval else None})


def _require_histograms(load: LoadRecord) -> None:
    for name, encoded in load.histograms.items():
        try:
            Distribution.decode(encoded)
        # The decoder's own errors, and zlib's, share nothing but Exception.
        except Exception as error:  # noqa: BLE001
            raise ValueError(f"{load.name}: histogram {name}: {error}") from None
