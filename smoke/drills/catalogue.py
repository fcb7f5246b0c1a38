"""The drills that a site can be put through, derived from what it places where."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inventory.errors import HearthError
from inventory.services import GATEWAY_ENGINES
from smoke.bench import chat_routes
from smoke.drills.alert import AlertDrill, alert_drill
from smoke.drills.drill import Drill, Promise
from smoke.drills.faults import cut_off, killed, powerless, restarted, slowed, stopped
from smoke.drills.reports import ReportDrill, report_drills
from smoke.wording import listed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    AnyDrill = Drill | AlertDrill | ReportDrill

    from inventory.model import Placement, Site
    from smoke.access import Access
    from smoke.drills.faults import Power

ALL = "all"
OUTAGE_S = 12.0
SLOWED_TO = 0.05
"""Processors that are left to a slowed model: a hundredth of a board's."""


def drills_of(site: Site, access: Access, power: Power) -> dict[str, AnyDrill]:
    """By name, in the order in which they are run."""
    route = next(iter(chat_routes(site)), None)
    found: list[AnyDrill] = [] if route is None else [*_drills(site, access, power, route)]
    found += report_drills(site, access, power)
    if alert := alert_drill(site, lambda reference: stopped(access, reference)):
        found.append(alert)
    return {drill.name: drill for drill in found}


def choose(found: Mapping[str, AnyDrill], names: Sequence[str]) -> list[AnyDrill]:
    """Those of these names, `all` for every one, in their own order.

    Raises:
        HearthError: There is none of that name.
    """
    for name in names:
        if name != ALL and name not in found:
            known = listed([*found, ALL])
            raise HearthError(f"{name}: this site has no such drill; name one of {known}")
    return [drill for name, drill in found.items() if ALL in names or name in names]


def _drills(site: Site, access: Access, power: Power, route: str) -> Iterator[Drill]:
    stated = site.routes[route]
    main = max(stated.upstreams, key=lambda upstream: upstream.weight)
    node = site.placement(main.service)
    gateway = {p.kind_name: p for p in site.on_host(site.gateway) if p.provisioned}
    lasts = f"{OUTAGE_S:g} s"
    if len(stated.upstreams) > 1:
        yield Drill(
            "node-killed",
            powerless(power, [node.host_name]),
            Promise(),
            f"{node.host_name} loses its power for {lasts}: what it was writing may be lost",
            route,
        )
        yield Drill(
            "node-cut-off",
            cut_off(access, node.host_name, OUTAGE_S),
            Promise(),
            f"nothing reaches {node.host_name} for {lasts}",
            route,
        )
    if model := _provisioned(node.used("ollama") or node):
        yield Drill(
            "model-killed",
            killed(access, model.reference),
            Promise(outage_s=2),
            f"{model.reference} is killed: its models are loaded anew",
            route,
        )
        yield Drill(
            "node-slow",
            slowed(access, model.reference, SLOWED_TO),
            Promise(failed_share=1 - stated.service_level.success, affected_s=None),
            f"{model.reference} gets {SLOWED_TO:g} processors for {lasts}",
            route,
        )
    yield from _stores(site, access, route, gateway.get("redis"))
    if engine := next((gateway[kind] for kind in GATEWAY_ENGINES if kind in gateway), None):
        yield Drill(
            "gateway-restarted",
            restarted(access, engine.reference),
            Promise(outage_s=2),
            f"{engine.reference} is restarted: open answers are cut",
            route,
        )
    if stated.fallback and site.placement(stated.fallback).provisioned:
        hosts = list(dict.fromkeys(site.placement(u.service).host_name for u in stated.upstreams))
        yield Drill(
            "ai-lost",
            powerless(power, hosts),
            Promise(falls_back=stated.fallback),
            f"{' and '.join(hosts)} lose their power for {lasts}",
            route,
        )


def _stores(site: Site, access: Access, route: str, redis: Placement | None) -> Iterator[Drill]:
    postgres = next((p for p in site.by_kind.get("postgres", ()) if p.provisioned), None)
    for name, store in (("redis-killed", redis), ("postgres-killed", postgres)):
        if store is not None:
            yield Drill(
                name,
                killed(access, store.reference),
                Promise(outage_s=2),
                f"{store.reference} is killed",
                route,
            )


def _provisioned(placement: Placement) -> Placement | None:
    return placement if placement.kind.holds_models and placement.provisioned else None
