"""All that `hearth cost` tells about an environment, and its form for programs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

from hearth.cost.advice import Advice, advise, off_peak_saving
from hearth.cost.bill import COMPONENTS, Bill, Line, bill
from hearth.cost.comparison import Row, compare
from hearth.cost.figures import Range
from hearth.cost.hours import off_peak_hours_a_week
from hearth.cost.sizing import Rate
from inventory.cloud.model import Environment
from inventory.cloud.prices import GLOBAL, Price, PriceTable

SCHEMA = "hearth.cost/1"
"""Goes up when a name in the JSON changes its meaning or goes away."""
_CENTS = 2


@dataclass(frozen=True, slots=True)
class Report:
    """What an environment costs, and what could be cheaper.

    Attributes:
        bill: of the environment.
        stale: prices in it that are old or have no date.
        off_peak_saves: USD a month; None where there is no schedule, or it has no price.
        advice: what would make it cheaper.
        other: the bill of an environment that it is compared with, if any.
    """

    bill: Bill
    stale: tuple[Price, ...]
    off_peak_saves: Range | None
    advice: tuple[Advice, ...]
    other: Bill | None = None

    @property
    def off_peak_hours(self) -> float:
        """Of a week."""
        return off_peak_hours_a_week(self.bill.environment.cluster.off_peak)

    @property
    def comparison(self) -> list[Row]:
        """By component; empty where there is nothing to compare with."""
        return compare(self.bill, self.other) if self.other else []

    @property
    def without_prices(self) -> list[str]:
        """Regions that the table has no price of, those worldwide aside."""
        priced = {price.region for price in self.bill.prices} - {GLOBAL}
        bought = {line.item.region for line in self.bill.lines} - {GLOBAL}
        return sorted(bought - priced)

    def to_json(self) -> str:
        """The report for programs; `schema` names its version."""
        return json.dumps(self._document(), indent=2)

    def _document(self) -> dict[str, Any]:
        found, environment = self.bill, self.bill.environment
        document = {
            "schema": SCHEMA,
            "environment": environment.name,
            "region": environment.region,
            "currency": "USD",
            "total": _usd(found.total),
            "fixed": _usd(found.of_kind("fixed")),
            "usage": _usd(found.of_kind("usage")),
            "budget": environment.observability.budget_usd,
            "gpu_nodes": asdict(found.pool),
            "off_peak": None
            if found.environment.cluster.off_peak is None
            else {"hours_a_week": self.off_peak_hours, "saves": _usd(self.off_peak_saves)},
            "components": {
                component: _usd(found.of_component(component)) for component in COMPONENTS
            },
            "lines": [_line(line) for line in found.lines],
            "stale": [_price(price) for price in self.stale],
            "advice": [
                {
                    "setting": each.proposal.setting,
                    "price": each.proposal.price,
                    "saves": _usd(each.saves),
                    "unpriced": list(each.open),
                }
                for each in self.advice
            ],
        }
        return document | dict(self._compared())

    def _compared(self) -> Iterator[tuple[str, Any]]:
        if self.other is None:
            return
        yield (
            "compared",
            {
                "environment": self.other.environment.name,
                "total": _usd(self.other.total),
                "difference": _usd(self.other.total - self.bill.total),
                "components": {
                    row.component: {"other": _usd(row.other), "difference": _usd(row.difference)}
                    for row in self.comparison
                },
            },
        )


def report(
    environment: Environment,
    table: PriceTable,
    today: date,
    measured: Rate | None = None,
    other: Environment | None = None,
) -> Report:
    """The report on an environment.

    Args:
        environment: a sound one.
        table: of prices.
        today: what prices are too old for.
        measured: what a GPU node holds; sizes the pools where given.
        other: an environment to compare with.
    """
    found = bill(environment, table, measured)
    scheduled = environment.cluster.off_peak is not None
    return Report(
        found,
        tuple(price for price in found.prices if price.stale(today)),
        off_peak_saving(found, table, measured) if scheduled else None,
        tuple(advise(found, table, measured)),
        None if other is None else bill(other, table, measured),
    )


def _line(line: Line) -> dict[str, Any]:
    item = line.item
    return {
        "component": item.component,
        "what": item.what,
        "kind": item.kind if line.usd else "unpriced",
        "keys": list(item.keys),
        "region": item.region,
        "unit": item.unit,
        "amount": None if item.amount is None else asdict(item.amount),
        "usd": _usd(line.usd),
        "open": line.open,
        "prices": [_price(price) for price in line.prices],
    }


def _price(price: Price) -> dict[str, Any]:
    return price.model_dump(mode="json")


def _usd(found: Range | None) -> dict[str, float] | None:
    if found is None:
        return None
    return {case: round(usd, _CENTS) for case, usd in asdict(found).items()}
