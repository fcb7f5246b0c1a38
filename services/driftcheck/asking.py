"""What the machines say of themselves: one question to Prometheus.

Unanswered     Prometheus is away, or refuses; says what happened
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp

DIGEST, IMAGE = "hearth_settings_digest", "hearth_container_image"
WRITTEN = "node_textfile_mtime_seconds"
QUERY = f'{{__name__=~"{DIGEST}|{IMAGE}"}} or {WRITTEN}{{file=~".*/hearth.prom"}}'
_SHOWN_CHARACTERS = 200


class Unanswered(Exception):  # noqa: N818 - an outcome, told in the page
    """Prometheus did not answer."""


@dataclass(slots=True)
class Said:
    """What a machine says of itself.

    Attributes:
        written: when it did, in seconds since 1970; 0 where nothing tells.
        images: of what runs, by `host.service`.
        settings: their digests, the same way.
    """

    written: float = 0.0
    images: dict[str, str] = field(default_factory=dict)
    settings: dict[str, str] = field(default_factory=dict)


async def ask(session: aiohttp.ClientSession, prometheus: str) -> dict[str, Said]:
    """What every machine said last, by name.

    Raises:
        Unanswered: Prometheus is away, or refuses.
    """
    try:
        async with session.get(f"{prometheus}/api/v1/query", params={"query": QUERY}) as answer:
            document = await answer.json(content_type=None)
            if document["status"] != "success":
                raise Unanswered(f"Prometheus refuses ({document['error']})")
            return heard(document["data"]["result"])
    except (aiohttp.ClientError, TimeoutError, ValueError, LookupError, TypeError) as error:
        why = f"{type(error).__name__}: {error}"[:_SHOWN_CHARACTERS]
        raise Unanswered(f"Prometheus does not answer ({prometheus}; {why})") from None


def heard(result: Iterable[Mapping[str, Any]]) -> dict[str, Said]:
    """Prometheus' vector, by machine."""
    machines: dict[str, Said] = {}
    for series in result:
        labels = series["metric"]
        said = machines.setdefault(labels["host"], Said())
        if labels["__name__"] == WRITTEN:
            said.written = float(series["value"][1])
        elif labels["__name__"] == IMAGE:
            said.images[labels["service"]] = labels["image"]
        else:
            said.settings[labels["service"]] = labels["digest"]
    return machines
