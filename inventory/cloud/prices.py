"""The price table: what AWS asks for, each figure with its source and date.

Errors of its file have the line that they stand in, like those of sites and environments.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from inventory.document import Document
from inventory.errors import SiteError
from inventory.loading import Form, load_file
from inventory.model import Model
from inventory.paths import PROJECT

PRICES = PROJECT / "inventory" / "cloud" / "prices.yaml"
GLOBAL = "global"
"""Stands for the region of services that have none."""
FRESH = timedelta(days=180)
"""Older figures are told as stale."""

Unit = Literal["hour", "LCU-hour", "month", "GB", "GB-month", "million"]
Usd = Annotated[float, Field(gt=0)]


class Spread(Model):
    """A price that moves: what it is at its best, mostly, and at its worst."""

    low: Usd
    typical: Usd
    high: Usd


def _spread(value: Any) -> Any:
    """A single figure is all three."""
    return value if isinstance(value, dict | Spread) else dict.fromkeys(Spread.model_fields, value)


class Price(Model):
    """What one unit of something costs."""

    key: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]*$")] = Field(
        description="what is bought: `ec2.g6.xlarge`, `nat.gateway`"
    )
    unit: Unit = Field(description="GB are GiB, as AWS counts; a million of requests")
    usd: Annotated[Spread, BeforeValidator(_spread)] = Field(description="one, or a spread")
    region: str = Field(min_length=1, description=f"of AWS, or `{GLOBAL}`")
    as_of: date | None = Field(description="when it was so; None where nobody noted it")
    source: str = Field(min_length=1, description="where it was found")

    def stale(self, today: date) -> bool:
        """Whether it is too old to be trusted, or has no date."""
        return self.as_of is None or today - self.as_of > FRESH


class PriceTable(Model):
    """All prices that are known."""

    prices: tuple[Price, ...]

    def by_place(self) -> Mapping[tuple[str, str], Price]:
        """The prices by key and region."""
        return {(price.key, price.region): price for price in self.prices}


def check(table: PriceTable, source: Document) -> list[SiteError]:
    """Everything that is wrong with a table whose fields are of the right types."""
    return [source.error(("prices", index, field), what) for index, field, what in _findings(table)]


def _findings(table: PriceTable) -> Iterator[tuple[int, str, str]]:
    seen: set[tuple[str, str]] = set()
    for index, price in enumerate(table.prices):
        place = (price.key, price.region)
        if place in seen:
            yield index, "key", f"{price.key} has a price in {price.region} already; remove one"
        seen.add(place)
        if not price.usd.low <= price.usd.typical <= price.usd.high:
            told = f"{price.usd.low:g}, {price.usd.typical:g}, {price.usd.high:g}"
            yield index, "usd", f"low, typical and high are out of order ({told}); sort them"


TABLE = Form(PriceTable, check, PRICES.parent, "price table", "inventory/cloud/prices.py")


def load_prices(path: Path = PRICES) -> PriceTable:
    """The table that passed every check.

    Raises:
        SiteErrors: with all that is wrong, one error a line.
    """
    return load_file(path, TABLE)
