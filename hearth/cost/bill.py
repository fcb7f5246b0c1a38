"""A bill: quantities times prices, and what has none."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import get_args

from hearth.cost.figures import ZERO, Range, total
from hearth.cost.quantities import Component, Item, Kind, quantities
from hearth.cost.sizing import Pool, Rate, pool_of
from inventory.cloud.model import Environment
from inventory.cloud.prices import Price, PriceTable
from inventory.errors import HearthError

COMPONENTS: tuple[Component, ...] = get_args(Component)


@dataclass(frozen=True, slots=True)
class Line:
    """An item and what it costs a month.

    Attributes:
        item: that is bought.
        prices: that its cost comes from; of a pool's instance types those that have one.
    """

    item: Item
    prices: tuple[Price, ...]

    @property
    def usd(self) -> Range | None:
        """A month; None where the amount or the price is not known."""
        if self.item.amount is None or not self.prices:
            return None
        return self.item.amount * _of_any([_range(price) for price in self.prices])

    @property
    def open(self) -> str:
        """Why it is not, or not wholly, in the bill; empty where it is."""
        if self.item.amount is None:
            return self.item.uncounted
        if not self.prices:
            return "no price"
        if len(self.prices) < len(self.item.keys):
            return f"priced by {len(self.prices)} of {len(self.item.keys)} instance types"
        return ""


@dataclass(frozen=True, slots=True)
class Bill:
    """What an environment costs a month, as far as it can be known.

    Attributes:
        environment: that is billed.
        pool: its GPU nodes.
        lines: everything that it buys.
    """

    environment: Environment
    pool: Pool
    lines: tuple[Line, ...]

    @property
    def total(self) -> Range:
        """Of all that has a price."""
        return _total(self.lines) or ZERO

    def of_kind(self, kind: Kind) -> Range | None:
        """The total of what is paid for being there, or for being used; None without a price."""
        return _total(line for line in self.lines if line.item.kind == kind)

    def of_component(self, component: Component) -> Range | None:
        """The total of one component; None where nothing in it has a price."""
        return _total(line for line in self.lines if line.item.component == component)

    @property
    def unpriced(self) -> list[Line]:
        """What is bought and not in the total."""
        return [line for line in self.lines if line.usd is None]

    @property
    def prices(self) -> list[Price]:
        """Every price that the bill rests on, once."""
        return list(dict.fromkeys(price for line in self.lines for price in line.prices))


def bill(environment: Environment, table: PriceTable, measured: Rate | None = None) -> Bill:
    """The bill of an environment.

    Args:
        environment: a sound one.
        table: of prices.
        measured: what a GPU node holds; sizes the pool where given.

    Raises:
        HearthError: A price is for another unit than the one that is bought.
    """
    pool, known = pool_of(environment, measured), table.by_place()
    lines = [
        Line(
            item, tuple(known[key, item.region] for key in item.keys if (key, item.region) in known)
        )
        for item in quantities(environment, pool)
    ]
    for line in lines:
        for price in line.prices:
            if price.unit != line.item.unit:
                raise HearthError(
                    f"{price.key}: its price is for one {price.unit}, what is bought is counted in "
                    f"{line.item.unit}; correct the price table"
                )
    return Bill(environment, pool, tuple(lines))


def _total(lines: Iterable[Line]) -> Range | None:
    """The sum of what has a price; None where something is bought and nothing of it has one."""
    costs = [line.usd for line in lines]
    priced = [usd for usd in costs if usd is not None]
    return total(priced) if priced or not costs else None


def _range(price: Price) -> Range:
    return Range(price.usd.low, price.usd.typical, price.usd.high)


def _of_any(prices: Sequence[Range]) -> Range:
    """The price of something that any of these will do for.

    At best it is the cheapest, at worst the dearest; mostly something in the middle, as spot
    instances are taken where many are free, not only where they are cheap.
    """
    return Range(
        min(price.low for price in prices),
        median(price.typical for price in prices),
        max(price.high for price in prices),
    )
