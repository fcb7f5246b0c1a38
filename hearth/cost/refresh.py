"""Brings the price table up to date: list prices by AWS's price list, spot prices by their history.

The table is written once all answers are in, checked, and put in place of the old one at once.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

import yaml

from hearth.cost.queries import Query, queries
from inventory.cloud.instances import INSTANCE_TYPES
from inventory.cloud.prices import GLOBAL, PRICES, Price, Spread, Unit, load_prices
from inventory.errors import HearthError

HOME = "us-east-1"
"""Where the price list is asked, and where AWS sells what has no region."""
SPOT_DAYS = 30
"""Of the history that a spread is taken from; AWS keeps 90."""
_AT_ONCE = 8
_SECONDS, _TRIES = 20, 3
_LIST = "pricing"
_UNITS: dict[Unit, tuple[str, ...]] = {
    "hour": ("hr", "hour"),
    "LCU-hour": ("lcu",),
    "GB": ("gb", "gigabyte"),
    "GB-month": ("gb-mo",),
}
"""What AWS calls ours; the others are counted things, which it calls by their names."""


@dataclass(frozen=True, slots=True)
class Refreshed:
    """What came of it.

    Attributes:
        found: how many prices AWS told.
        missing: what it did not tell, as `key in region: why`; their rows are as they were.
    """

    found: int
    missing: tuple[str, ...]


class _NotTold(Exception):  # noqa: N818 - an answer, which the caller collects
    """AWS answered, without a price that is usable."""


def refresh(
    regions: Sequence[str], progress: Callable[[str], None], path: Path = PRICES
) -> Refreshed:
    """Writes today's prices of some regions, and of what has no region, into the table.

    Args:
        regions: of the rows; those of the table, if there is none.
        progress: is told what is asked.
        path: of the table.

    Raises:
        HearthError: AWS cannot be asked. The table is as it was.
        SiteErrors: The table, as it is or as it would be, is not sound. It is as it was.
    """
    table = load_prices(path)
    asked = sorted(set(regions) or {p.region for p in table.prices} - {GLOBAL}) or [HOME]
    clients = _clients(asked)
    today = datetime.now(UTC).date()
    found, missing = _ask(clients, asked, today, progress)
    kept = {place: price for place, price in table.by_place().items() if place not in found}
    _write(path, [*found.values(), *kept.values()])
    return Refreshed(len(found), tuple(sorted(missing)))


def _clients(regions: Iterable[str]) -> dict[str, Any]:
    """Clients of EC2 by region, and the price list's under its own name."""
    try:
        import boto3  # noqa: PLC0415 - an optional extra
        from botocore.config import Config  # noqa: PLC0415
        from botocore.exceptions import BotoCoreError  # noqa: PLC0415
    except ImportError:
        raise HearthError(
            "AWS is asked with boto3, which is not installed; "
            "install requirements/production.txt; the table is as it was"
        ) from None
    make: Any = boto3.Session().client
    config = Config(
        connect_timeout=_SECONDS, read_timeout=_SECONDS, retries={"total_max_attempts": _TRIES}
    )
    try:
        found = {region: make("ec2", region_name=region, config=config) for region in regions}
        return found | {_LIST: make("pricing", region_name=HOME, config=config)}
    except BotoCoreError as error:
        raise _unreachable(error) from None


def _unreachable(error: Exception) -> HearthError:
    return HearthError(
        f"AWS cannot be asked ({error}); look at your connection, and log in (`aws configure`): "
        "any user who may call pricing:GetProducts and ec2:DescribeSpotPriceHistory; "
        "the table is as it was"
    )


def _ask(
    clients: dict[str, Any], regions: Sequence[str], today: date, progress: Callable[[str], None]
) -> tuple[dict[tuple[str, str], Price], list[str]]:
    """The prices by key and region, and those that AWS did not tell."""
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - see _clients

    found: dict[tuple[str, str], Price] = {}
    missing: list[str] = []
    with ThreadPoolExecutor(max_workers=_AT_ONCE) as threads:
        waiting = {
            (query.key, region): threads.submit(_list_price, clients[_LIST], query, region, today)
            for query, region in _places(regions)
        } | {
            (f"spot.{name}", region): threads.submit(
                _spot_price, clients[region], name, region, today
            )
            for name, kind in INSTANCE_TYPES.items()
            if kind.gpu is not None
            for region in regions
        }
        try:
            for place, answer in waiting.items():
                progress(f"{place[0]} in {place[1]}")
                try:
                    found[place] = answer.result()
                except _NotTold as why:
                    missing.append(f"{place[0]} in {place[1]}: {why}")
        except (BotoCoreError, ClientError) as error:
            threads.shutdown(cancel_futures=True)
            raise _unreachable(error) from None
    return found, missing


def _places(regions: Sequence[str]) -> Iterator[tuple[Query, str]]:
    for query in queries():
        for region in (GLOBAL,) if query.worldwide else regions:
            yield query, region


def _list_price(client: Any, query: Query, region: str, today: date) -> Price:
    """The one price of the products that a query finds."""
    wanted = dict(query.attributes)
    if not query.worldwide:
        wanted["regionCode"] = region
    filters = [{"Type": "TERM_MATCH", "Field": k, "Value": v} for k, v in wanted.items()]
    asked = {"ServiceCode": query.service, "Filters": filters, "FormatVersion": "aws_v1"}
    pages = client.get_paginator("get_products").paginate(**asked)
    products = [json.loads(text) for page in pages for text in page["PriceList"]]
    usd = {
        price
        for product in products
        if query.fits(product["product"]["attributes"].get("usagetype", ""))
        for price in _on_demand(product, query.unit)
    }
    if len(usd) != 1:
        raise _NotTold("no product" if not usd else f"{len(usd)} products of different prices")
    each = float(f"{usd.pop() * query.factor:.6g}")
    spread = Spread(low=each, typical=each, high=each)
    source = f"AWS price list, {query.service}"
    return _price(query.key, query.unit, spread, region, today, source)


def _on_demand(product: dict[str, Any], unit: Unit) -> Iterator[float]:
    """A product's price on demand in the unit that is asked: of the first tier that costs."""
    for term in product["terms"].get("OnDemand", {}).values():
        tiers = [
            (float(tier.get("beginRange", 0)), float(tier["pricePerUnit"]["USD"]))
            for tier in term["priceDimensions"].values()
            if tier["unit"].lower().startswith(_UNITS.get(unit, ("",)))
            and "USD" in tier["pricePerUnit"]
        ]
        yield from [usd for _begins, usd in sorted(tiers) if usd > 0][:1]


def _spot_price(client: Any, name: str, region: str, today: date) -> Price:
    """What a type's spot instances cost lately, over the zones of a region."""
    pages = client.get_paginator("describe_spot_price_history").paginate(
        InstanceTypes=[name],
        ProductDescriptions=["Linux/UNIX"],
        StartTime=datetime.now(UTC) - timedelta(days=SPOT_DAYS),
    )
    usd = [float(seen["SpotPrice"]) for page in pages for seen in page["SpotPriceHistory"]]
    if not usd:
        raise _NotTold("not sold as spot")
    spread = Spread(low=min(usd), typical=median(usd), high=max(usd))
    source = f"EC2 spot price history, {SPOT_DAYS} days"
    return _price(f"spot.{name}", "hour", spread, region, today, source)


def _price(  # noqa: PLR0913, PLR0917 - one for each column
    key: str, unit: Unit, usd: Spread, region: str, today: date, source: str
) -> Price:
    return Price(key=key, unit=unit, usd=usd, region=region, as_of=today, source=source)


def _write(path: Path, prices: Iterable[Price]) -> None:
    """Puts a table in place of the old one, if it is sound."""
    text = render(prices, _heading(path))
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.stem, suffix=".yaml")
    written = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        load_prices(written)
        written.chmod(path.stat().st_mode)
        written.replace(path)
    finally:
        written.unlink(missing_ok=True)


def _heading(path: Path) -> str:
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    return "".join(line for line in lines if line.startswith("#"))


def render(prices: Iterable[Price], heading: str) -> str:
    """The table as a file: a row a line, sorted by key and region."""
    rows = [_row(price) for price in sorted(prices, key=lambda p: (p.key, p.region))]
    return f"{heading}prices:\n" + "".join(f"  - {row}\n" for row in rows)


def _row(price: Price) -> str:
    row = price.model_dump()
    if price.usd.low == price.usd.high:
        row["usd"] = price.usd.low
    text: str = yaml.safe_dump(row, default_flow_style=True, sort_keys=False, width=10_000)
    return text.strip()
