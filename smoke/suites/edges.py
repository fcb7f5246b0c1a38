"""FixAI's parts reach whom they need, and nobody else: connections that are not drawn are tried."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from inventory.fixai_edges import INTERNET, WORLD, edges, forbidden, namespace_of
from smoke.cluster import kubectl, pods, python, python_on
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


@dataclass(frozen=True, slots=True)
class Place:
    """Where a pod is.

    Attributes:
        node: as the site calls it.
    """

    address: str
    node: str


async def suite(bench: Bench) -> list[Check]:
    """From each part that has a Python, try every port that any part listens on.

    A packet that is dropped is told from a port that nobody listens on by the pod's own node, which
    is let in always.
    """
    fixai = bench.site.fixai
    if fixai is None:
        return []
    drawn, strange = edges(fixai), forbidden(fixai)
    listeners = _listeners((*drawn, *strange))
    places = await _places(bench, {target for target, _port in listeners})
    bench.progress("edges: what listens")
    alive, fault = await _alive(bench, places, listeners)
    checks = [judge_listeners(listeners, alive, fault)]
    for source in sources(fixai):
        bench.progress(f"edges: from {source}")
        own = [edge for edge in drawn if edge.source == source and edge.target != INTERNET]
        others = [edge for edge in strange if edge.source == source and _name(edge) in alive]
        tried = [
            f"{edge.target}/{places[edge.target].address}/{edge.port}"
            for edge in (*own, *others)
            if edge.target in places
        ]
        reached, fault = await python(bench.access, bench.site, source, _SCRIPT, tried)
        checks += judge(source, own, others, reached, fault)
    return checks


def sources(fixai: FixAI) -> list[str]:
    """The parts from which it is tried: those of FixAI's own image that always run."""
    roles = ["backend", "outbox", *(name for name, _ in fixai.consumers.items())]
    return [*roles, *(["gemini"] if fixai.llm.simulated else [])]


def _listeners(all_edges: Iterable[Edge]) -> list[tuple[str, int]]:
    """Every port of a part's that anybody is to reach or not to reach."""
    outside = {WORLD, INTERNET}
    return sorted({(edge.target, edge.port) for edge in all_edges if edge.target not in outside})


async def _places(bench: Bench, targets: Iterable[str]) -> dict[str, Place]:
    """Where a pod of each target is; those without one are left out."""
    found = {}
    for target in sorted(targets):
        namespace = namespace_of(target)
        names = await pods(bench.access, bench.site, target, namespace)
        if names:
            wanted = f"-n {namespace} get pod {names[0]} -o jsonpath="
            told = "'{.status.podIP} {.spec.nodeName}'"
            said, _fault = await kubectl(bench.access, bench.site, f"{wanted}{told}")
            address, _, node = said.strip().partition(" ")
            if address and node:
                found[target] = Place(address, node)
    return found


async def _alive(
    bench: Bench, places: dict[str, Place], listeners: Iterable[tuple[str, int]]
) -> tuple[set[str], str]:
    """Which listeners answer, asked from their own nodes; and what went wrong."""
    by_node: dict[str, list[str]] = defaultdict(list)
    for target, port in listeners:
        if target in places:
            by_node[places[target].node].append(f"{target}/{places[target].address}/{port}")
    found: set[str] = set()
    for node, tried in by_node.items():
        answered, fault = await python_on(bench.access, node, _SCRIPT, tried)
        if fault:
            return found, fault
        found |= set(answered)
    return found, ""


def judge_listeners(listeners: Sequence[tuple[str, int]], alive: set[str], fault: str) -> Check:
    """Whether there is somebody behind each port: else a dead one would pass for a closed one."""
    claim = "every port that is tried has a listener"
    if fault:
        return _check(claim, "all", "unknown", "inconclusive", detail=fault)
    missing = [name for target, port in listeners if (name := f"{target}/{port}") not in alive]
    return _check(
        name=claim,
        target="all",
        figure=f"{len(listeners) - len(missing)} of {len(listeners)}",
        verdict=judged(not missing),
        detail=f"none at {listed(missing[:_SHOWN])}" if missing else "",
        samples=len(listeners),
    )


def judge(
    source: str, drawn: Sequence[Edge], strange: Sequence[Edge], reached: Any, fault: str
) -> list[Check]:
    """What a part reached, held to the drawing."""
    if fault:
        claim = prefix(source, "connections can be tried")
        return [_check(claim, "yes", "no", "inconclusive", detail=fault)]
    open_ = set(reached)
    missing = [_name(edge) for edge in drawn if _name(edge) not in open_]
    wrong = [_name(edge) for edge in strange if _name(edge) in open_]
    needed = _check(
        name=prefix(source, "connections that it needs"),
        target="all",
        figure=f"{len(drawn) - len(missing)} of {len(drawn)}",
        verdict=judged(not missing),
        detail=f"none to {listed(missing[:_SHOWN])}" if missing else "",
        samples=len(drawn),
    )
    return [
        *([needed] if drawn else []),
        _check(
            name=prefix(source, "connections that are nobody's business"),
            target="none",
            figure=f"{len(wrong)} of {len(strange)}",
            verdict=judged(not wrong) if strange else "unjudged",
            detail=f"reached {listed(wrong[:_SHOWN])}" if wrong else "",
            samples=len(strange),
        ),
    ]


def _name(edge: Edge) -> str:
    return f"{edge.target}/{edge.port}"
