"""What differs between what should be and what a machine says of itself."""

from __future__ import annotations

from services.driftcheck.asking import Said
from services.driftcheck.settings import Settings

STALE_SECONDS = 180
"""What a machine said longer ago says nothing of now: it writes every half a minute."""

Differences = dict[str, str]
"""What is wrong with services, by `host.service`."""


def judged(
    settings: Settings, host: str, said: Said | None, *, since: float, now: float
) -> Differences | None:
    """What differs on a machine; None where that is not known.

    Args:
        settings: what should be.
        host: the machine.
        said: what it says of itself; None where nothing is heard of it.
        since: when the settings last changed: what was said before is about others.
        now: the time, as `since` in seconds since 1970.
    """
    if said is None or said.written < max(since, now - STALE_SECONDS):
        return None
    return differences(settings, host, said)


def differences(settings: Settings, host: str, said: Said) -> Differences:
    """What differs on a machine that has spoken."""
    wanted = settings.on(host)
    found: Differences = {}
    for name, service in wanted.items():
        wrong = []
        if name not in said.images:
            wrong.append("does not run")
        elif said.images[name] != service.image:
            wrong.append("runs another image")
        if said.settings.get(name) != service.settings:
            wrong.append("has other settings")
        if wrong:
            found[name] = " and ".join(wrong)
    for name in sorted((said.images.keys() | said.settings.keys()) - wanted.keys()):
        if name != settings.name:
            found[name] = "is none of the site's"
    return found
