"""What a lab's own Prometheus says, asked on its machine."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from smoke.shell import run_on

if TYPE_CHECKING:
    from collections.abc import Mapping

    from inventory.model import Placement, Site
    from smoke.access import Access


@dataclass(frozen=True, slots=True)
class Series:
    """A series and its value now."""

    labels: Mapping[str, str]
    value: float


def prometheus_of(site: Site) -> Placement | None:
    """Where it is; None where the site has none."""
    return next((p for p in site.by_kind.get("prometheus", ()) if p.provisioned), None)


async def query(access: Access, place: Placement, expression: str) -> tuple[list[Series], str]:
    """The series of an expression, and what went wrong, empty where nothing did."""
    own = f"http://127.0.0.1:{place.kind.ports[place.first_port]}"
    ask = f"promtool query instant -o json {own} {shlex.quote(expression)}"
    output, fault = await run_on(access, place.host_name, f"docker exec {place.name} {ask}")
    if fault:
        return [], fault
    return [Series(s["metric"], float(s["value"][1])) for s in json.loads(output)], ""
