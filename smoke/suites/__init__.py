"""The suites, by name, in the order in which they run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from smoke.suites import (
    backups,
    certificates,
    chat,
    code,
    edges,
    exposure,
    image,
    keys,
    monitoring,
    persistence,
    rate_limit,
    reports,
    sessions,
    split,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from smoke.bench import Bench
    from smoke.verdict import Check

    Suite = Callable[[Bench], Awaitable[list[Check]]]

TOGETHER = ("chat", "code", "image")
"""These run at the same time: each route keeps its promise while the others are used."""

# The burst comes last: it spends what the other suites may ask for.
SUITES: Mapping[str, Suite] = {
    "exposure": exposure.suite,
    "certificates": certificates.suite,
    "keys": keys.suite,
    "chat": chat.suite,
    "code": code.suite,
    "image": image.suite,
    "split": split.suite,
    "sessions": sessions.suite,
    "persistence": persistence.suite,
    "monitoring": monitoring.suite,
    "backups": backups.suite,
    "edges": edges.suite,
    "reports": reports.suite,
    "rate-limit": rate_limit.suite,
}
