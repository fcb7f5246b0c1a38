"""FixAI's parts reach whom they need, and nobody else: connections that are not drawn are tried."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from inventory.fixai_edges import INTERNET, WORLD, edges, forbidden, namespace_of
from smoke.cluster import kubectl, pods, python
from smoke.verdict import Check, judged
from smoke.wording import listed, prefix

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from inventory.fixai import FixAI
    from inventory.fixai_edges import Edge
    from smoke.bench import Bench

CONNECTS_WITHIN_S = 2
_SHOWN = 4
_check = partial(Check, "edges")

# Prints which of `name/address/port` connect, as `name/port`.
_SCRIPT = f"""
import json, socket, sys
from concurrent.futures import ThreadPoolExecutor

def connects(told):
    name, address, port = told.split("/")
    try:
        socket.create_connection((address, int(port)), {CONNECTS_WITHIN_S}).close()
    except OSError:
        return None
    return f"{{name}}/{{port}}"

with ThreadPoolExecutor(32) as pool:
    print(json.dumps([name for name in pool.map(connects, sys.argv[1:]) if name]))
"""


async def suite(bench: Bench) -> list[Check]:
    """From each part that has a Python, try every port that any part listens on."""
    fixai = bench.site.fixai
    if fixai is None:
        return []
    drawn, strange = edges(fixai), forbidden(fixai)
    enforced = bool(bench.site.kubernetes and bench.site.kubernetes.enforces_policies)
    addresses = await _addresses(bench, {edge.target for edge in (*drawn, *strange)})
    checks = []
    for source in sources(fixai):
        bench.progress(f"edges: from {source}")
        own = [edge for edge in drawn if edge.source == source and edge.target in addresses]
        others = [edge for edge in strange if edge.source == source and edge.target in addresses]
        tried = [f"{e.target}/{addresses[e.target]}/{e.port}" for e in (*own, *others)]
        reached, fault = await python(bench.access, bench.site, source, _SCRIPT, tried)
        checks += judge(source, own, others, reached, fault, enforced=enforced)
    return checks


def sources(fixai: FixAI) -> list[str]:
    """The parts from which it is tried: those of FixAI's own image that always run."""
    roles = ["backend", "outbox", *(name for name, _ in fixai.consumers.items())]
    return [*roles, *(["gemini"] if fixai.llm.simulated else [])]


async def _addresses(bench: Bench, targets: Iterable[str]) -> dict[str, str]:
    """The address of a pod of each target; those without one are left out."""
    found = {}
    for target in sorted(set(targets) - {WORLD, INTERNET}):
        namespace = namespace_of(target)
        names = await pods(bench.access, bench.site, target, namespace)
        if names:
            wanted = f"-n {namespace} get pod {names[0]} -o jsonpath={{.status.podIP}}"
            said, _fault = await kubectl(bench.access, bench.site, wanted)
            if said.strip():
                found[target] = said.strip()
    return found


def judge(  # noqa: PLR0913 - what was tried, and what came of it
    source: str,
    drawn: Sequence[Edge],
    strange: Sequence[Edge],
    reached: Any,
    fault: str,
    *,
    enforced: bool,
) -> list[Check]:
    """What a part reached, held to the drawing.

    A network that enforces no policies cannot fail for it: what is open is told.
    """
    if fault:
        claim = prefix(source, "connections can be tried")
        return [_check(claim, "yes", "no", "inconclusive", detail=fault)]
    open_ = set(reached)
    missing = [_name(edge) for edge in drawn if _name(edge) not in open_]
    wrong = [_name(edge) for edge in strange if _name(edge) in open_]
    return [
        _check(
            name=prefix(source, "connections that it needs"),
            target="all",
            figure=f"{len(drawn) - len(missing)} of {len(drawn)}",
            verdict=judged(not missing) if drawn else "unjudged",
            detail=f"none to {listed(missing[:_SHOWN])}" if missing else "",
            samples=len(drawn),
        ),
        _check(
            name=prefix(source, "connections that are nobody's business"),
            target="none",
            figure=f"{len(wrong)} of {len(strange)}",
            verdict=judged(not wrong) if strange and enforced else "unjudged",
            detail=_told(wrong, enforced=enforced),
            samples=len(strange),
        ),
    ]


def _told(wrong: Sequence[str], *, enforced: bool) -> str:
    reached = f"reached {listed(wrong[:_SHOWN])}" if wrong else ""
    why = "" if enforced else "this cluster's network enforces no policies"
    return "; ".join(filter(None, (why, reached)))


def _name(edge: Edge) -> str:
    return f"{edge.target}/{edge.port}"
