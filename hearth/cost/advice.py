"""What would make an environment cheaper, each with what it saves: the changed settings' own bill.

A change that the settings' checks refuse is not proposed, nor one that only trades a price that is
known for one that is not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import time
from typing import Any

from hearth.cost.bill import Bill, bill
from hearth.cost.figures import Range
from hearth.cost.sizing import Rate
from inventory.cloud.checks import RULES
from inventory.cloud.instances import INSTANCE_TYPES
from inventory.cloud.model import Environment, OffPeak
from inventory.cloud.prices import PriceTable

LESS_LOG_DAYS = 30
_LEAST_USD = 0.01


@dataclass(frozen=True, slots=True)
class Proposal:
    """A change of settings.

    Attributes:
        setting: that changes, with its value before and after.
        price: what is given up for it.
        environment: with the change.
    """

    setting: str
    price: str
    environment: Environment


@dataclass(frozen=True, slots=True)
class Advice:
    """A change that makes the environment cheaper.

    Attributes:
        proposal: the change.
        saves: USD a month; below 0 where a case costs more.
        open: what changes with it that is not in the amount.
    """

    proposal: Proposal
    saves: Range
    open: tuple[str, ...]


def advise(now: Bill, table: PriceTable, measured: Rate | None = None) -> list[Advice]:
    """Every change that saves something, the one that saves most first."""
    found = []
    for proposal in _proposals(now.environment, table):
        if any(list(rule(proposal.environment)) for rule in RULES):
            continue
        then = bill(proposal.environment, table, measured)
        if _loses_a_price(now, then):
            continue
        saves, open_ = now.total - then.total, changes_without_price(now, then)
        fewer = saves.typical == 0 and any(what.startswith("less") for what in open_)
        if saves.typical >= _LEAST_USD or saves.high >= _LEAST_USD or fewer:
            found.append(Advice(proposal, saves, tuple(open_)))
    return sorted(found, key=lambda advice: -advice.saves.typical)


def _loses_a_price(before: Bill, after: Bill) -> bool:
    """Whether something fixed has no price only after the change: no saving, but less known."""
    had = {line.item.keys for line in before.unpriced}
    return any(line.item.kind == "fixed" and line.item.keys not in had for line in after.unpriced)


def off_peak_saving(now: Bill, table: PriceTable, measured: Rate | None = None) -> Range | None:
    """What the off-peak schedule saves a month, against the same nodes around the clock.

    None where those nodes have no price.
    """
    always = bill(_with(now.environment, cluster={"off_peak": None}), table, measured)
    if any(
        line.item.kind == "usage" and line.item.component == "gpu" and line.item.unit == "hour"
        for line in always.unpriced
    ):
        return None
    return always.total - now.total


def changes_without_price(before: Bill, after: Bill) -> list[str]:
    """What is bought more or less of at prices that are not known: `less nat.data, 61 to 0 GB`."""
    had, has = _amounts(before), _amounts(after)
    told = []
    for key in sorted(had.keys() | has.keys()):
        (one, unit), (other, unit_after) = had.get(key, (0.0, "")), has.get(key, (0.0, ""))
        if abs(other - one) >= _LEAST_USD:
            word = "more" if other > one else "less"
            told.append(f"{word} {key}, {one:,.0f} to {other:,.0f} {unit or unit_after}")
    return told


def _amounts(found: Bill) -> dict[str, tuple[float, str]]:
    amounts: dict[str, tuple[float, str]] = {}
    for line in found.unpriced:
        item = line.item
        if item.amount is not None:
            key = item.keys[0] if len(item.keys) == 1 else f"{item.component} spot nodes"
            before, _unit = amounts.get(key, (0.0, ""))
            amounts[key] = (before + item.amount.typical, item.unit)
    return amounts


def _with(environment: Environment, **parts: Mapping[str, Any]) -> Environment:
    """The environment with some settings of its parts replaced."""
    changed = {
        name: getattr(environment, name).model_copy(update=values) for name, values in parts.items()
    }
    return environment.model_copy(update=changed)


def _proposals(environment: Environment, table: PriceTable) -> Iterator[Proposal]:
    for proposer in _PROPOSERS:
        yield from proposer(environment, table)


def _single_nat(environment: Environment, _table: PriceTable) -> Iterator[Proposal]:
    if environment.network.nat == "per-zone":
        yield Proposal(
            "network.nat: per-zone to single",
            "without its zone no other reaches the internet",
            _with(environment, network={"nat": "single"}),
        )


def _no_interface_endpoints(environment: Environment, _table: PriceTable) -> Iterator[Proposal]:
    if count := len(environment.network.interface_endpoints):
        yield Proposal(
            f"network.interface_endpoints: {count} to none",
            "calls to AWS go through NAT, where each GB has a price",
            _with(environment, network={"interface_endpoints": ()}),
        )


def _graviton(environment: Environment, _table: PriceTable) -> Iterator[Proposal]:
    system = environment.cluster.system
    kind, _, size = system.instance_type.partition(".")
    arm = f"{kind.removesuffix('i')}g.{size}"
    if INSTANCE_TYPES[system.instance_type].architecture == "amd64" and arm in INSTANCE_TYPES:
        yield Proposal(
            f"cluster.system.instance_type: {system.instance_type} to {arm}",
            "images have to be built for arm64",
            _with(
                environment, cluster={"system": system.model_copy(update={"instance_type": arm})}
            ),
        )


def _spot_above_one(environment: Environment, _table: PriceTable) -> Iterator[Proposal]:
    gpu = environment.cluster.gpu
    if gpu.base > 1:
        yield Proposal(
            f"cluster.gpu.base: {gpu.base} to 1",
            "the others may be taken away with two minutes' notice",
            _with(environment, cluster={"gpu": gpu.model_copy(update={"base": 1})}),
        )


def _cheaper_base(environment: Environment, table: PriceTable) -> Iterator[Proposal]:
    gpu, known = environment.cluster.gpu, table.by_place()
    asked = {
        name: price.usd.typical
        for name in gpu.instance_types
        if (price := known.get((f"ec2.{name}", environment.region)))
    }
    cheapest = min(asked, key=lambda name: asked[name], default=gpu.base_instance_type)
    if gpu.base and gpu.base_instance_type in asked and cheapest != gpu.base_instance_type:
        yield Proposal(
            f"cluster.gpu.base_instance_type: {gpu.base_instance_type} to {cheapest}",
            "it holds the model; measure how fast it answers",
            _with(
                environment,
                cluster={"gpu": gpu.model_copy(update={"base_instance_type": cheapest})},
            ),
        )


def _off_peak(environment: Environment, _table: PriceTable) -> Iterator[Proposal]:
    cluster, base = environment.cluster, environment.cluster.gpu.base
    if cluster.off_peak is None:
        schedule = OffPeak(begins=time(20), ends=time(7), gpu_nodes=base)
        yield Proposal(
            f"cluster.off_peak: none to 20:00 to 07:00 and weekends, {base} GPU nodes",
            "answers are slower then, or come only once a node has started",
            _with(environment, cluster={"off_peak": schedule}),
        )
    elif cluster.off_peak.gpu_nodes > base:
        fewer = cluster.off_peak.model_copy(update={"gpu_nodes": base})
        yield Proposal(
            f"cluster.off_peak.gpu_nodes: {cluster.off_peak.gpu_nodes} to {base}",
            "answers are slower then, or come only once a node has started",
            _with(environment, cluster={"off_peak": fewer}),
        )


def _no_extended_support(environment: Environment, _table: PriceTable) -> Iterator[Proposal]:
    if environment.cluster.extended_support:
        yield Proposal(
            "cluster.extended_support: true to false",
            "AWS upgrades the cluster once its version is old",
            _with(environment, cluster={"extended_support": False}),
        )


def _fewer_log_days(environment: Environment, _table: PriceTable) -> Iterator[Proposal]:
    days = environment.observability.log_days
    if days > LESS_LOG_DAYS:
        yield Proposal(
            f"observability.log_days: {days} to {LESS_LOG_DAYS}",
            "older logs are in the bucket only",
            _with(environment, observability={"log_days": LESS_LOG_DAYS}),
        )


_PROPOSERS: tuple[Callable[[Environment, PriceTable], Iterator[Proposal]], ...] = (
    _single_nat,
    _no_interface_endpoints,
    _graviton,
    _spot_above_one,
    _cheaper_base,
    _off_peak,
    _no_extended_support,
    _fewer_log_days,
)
