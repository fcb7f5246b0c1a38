"""The price table is sound, and is brought up to date from AWS: at once, or not at all."""

from __future__ import annotations

import json
import shutil
import sys
import threading
import urllib.parse
from collections.abc import Iterator
from datetime import UTC, date, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from hearth.cost import refresh as refreshing
from hearth.cost.queries import queries
from hearth.cost.refresh import refresh, render
from inventory.cloud import prices
from inventory.cloud.prices import Price, Spread, load_prices
from inventory.errors import HearthError, SiteErrors
from tests.hearth.test_cost import PRICES

TODAY = datetime.now(UTC).date()


def quiet(_line: str) -> None:
    """Progress that nobody looks at."""


def product(
    service: str, usage: str, unit: str, usd: float | list[float], **attributes: str
) -> dict[str, Any]:
    """A product as the price list has it; of several prices each is a tier's."""
    tiers = usd if isinstance(usd, list) else [usd]
    dimensions = {
        f"x.{index}": {
            "unit": unit,
            "beginRange": str(index * 100),
            "pricePerUnit": {"USD": f"{each:.10f}"},
        }
        for index, each in enumerate(tiers)
    }
    return {
        "serviceCode": service,
        "product": {
            "productFamily": attributes.get("productFamily", ""),
            "attributes": {"usagetype": usage, "regionCode": "us-east-1", **attributes},
        },
        "terms": {"OnDemand": {"x": {"priceDimensions": dimensions}}},
    }


class Aws(ThreadingHTTPServer):
    """The price list and the history of spot prices, of a few products."""

    products: list[dict[str, Any]]
    spot: dict[str, list[float]]
    refuses: bool = False


class _Answer(BaseHTTPRequestHandler):
    server: Aws

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        if self.server.refuses:
            self._send(400, json.dumps({"__type": "AccessDeniedException", "message": "no"}))
        elif "GetProducts" in self.headers.get("X-Amz-Target", ""):
            self._send(200, json.dumps(self._products(json.loads(body))))
        else:
            asked = urllib.parse.parse_qs(body)
            self._send(200, self._history(asked["InstanceType.1"][0]))

    def _products(self, asked: dict[str, Any]) -> dict[str, Any]:
        """A product a page, as AWS's pages end where they like."""
        found = [each for each in self.server.products if _matches(each, asked)]
        start = int(asked.get("NextToken", 0))
        page = {"FormatVersion": "aws_v1", "PriceList": [json.dumps(p) for p in found[start:][:1]]}
        return page | ({"NextToken": str(start + 1)} if start + 1 < len(found) else {})

    def _history(self, name: str) -> str:
        items = "".join(
            f"<item><instanceType>{name}</instanceType><spotPrice>{usd}</spotPrice></item>"
            for usd in self.server.spot.get(name, [])
        )
        return (
            '<DescribeSpotPriceHistoryResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/">'
            f"<spotPriceHistorySet>{items}</spotPriceHistorySet><nextToken/>"
            "</DescribeSpotPriceHistoryResponse>"
        )

    def _send(self, code: int, body: str) -> None:
        self.send_response(code)
        self.send_header("Content-Length", str(len(body.encode())))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_arguments: object) -> None:
        """Nothing is logged."""


def _matches(each: dict[str, Any], asked: dict[str, Any]) -> bool:
    has = {"productFamily": each["product"]["productFamily"], **each["product"]["attributes"]}
    return each["serviceCode"] == asked["ServiceCode"] and all(
        has.get(wanted["Field"]) == wanted["Value"] for wanted in asked["Filters"]
    )


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[Aws]:
    server = Aws(("127.0.0.1", 0), _Answer)
    server.products, server.spot = [], {}
    url = f"http://127.0.0.1:{server.server_address[1]}"
    for name, value in {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": "none",
        "AWS_SECRET_ACCESS_KEY": "none",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
    }.items():
        monkeypatch.setenv(name, value)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A table of its own, which is nobody's loss."""
    return Path(shutil.copy(PRICES, tmp_path / "prices.yaml"))


def row(path: Path, key: str, region: str = "us-east-1") -> Price:
    return load_prices(path).by_place()[key, region]


# The table


def test_the_table_has_a_source_for_every_price_and_is_as_refresh_writes_it() -> None:
    text = prices.PRICES.read_text()
    heading = "".join(line for line in text.splitlines(keepends=True) if line.startswith("#"))
    assert render(load_prices().prices, heading) == text


def test_every_price_of_the_table_is_one_that_is_asked_for() -> None:
    asked = {query.key: query.unit for query in queries()}
    for price in load_prices().prices:
        assert price.key.startswith("spot.") or asked[price.key] == price.unit


def test_no_key_is_asked_for_twice() -> None:
    keys = [query.key for query in queries()]
    assert len(keys) == len(set(keys))


ROW = "{key: nat.gateway, unit: hour, usd: 1, region: us-east-1, as_of: null, source: a test}"


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([ROW, ROW], "3 prices.1.key: nat.gateway has a price in us-east-1 already; remove one"),
        (
            [ROW.replace("usd: 1", "usd: {low: 2, typical: 1, high: 3}")],
            "2 prices.0.usd: low, typical and high are out of order (2, 1, 3); sort them",
        ),
        (
            [ROW.replace("usd: 1", "usd: 0")],
            "2 prices.0.usd.low: input should be greater than 0 (0)",
        ),
        ([ROW.replace(", source: a test", "")], "2 prices.0.source: missing; add it"),
        (
            [ROW.replace("unit: hour", "unit: day")],
            "2 prices.0.unit: input should be 'hour', 'LCU-hour', 'month', 'GB', 'GB-month' or "
            "'million' (day)",
        ),
    ],
)
def test_a_defect_of_the_table_is_refused_with_its_line(
    tmp_path: Path, rows: list[str], expected: str
) -> None:
    path = tmp_path / "prices.yaml"
    path.write_text("prices:\n" + "".join(f"  - {each}\n" for each in rows))
    with pytest.raises(SiteErrors) as caught:
        load_prices(path)
    assert expected in {f"{e.line} {e.where}: {e.what}" for e in caught.value.errors}


def test_a_price_is_stale_after_180_days_or_without_a_date() -> None:
    spread = Spread(low=1, typical=1, high=1)
    price = Price(
        key="nat.gateway", unit="hour", usd=spread, region="x", as_of=date(2026, 1, 1), source="x"
    )
    assert not price.stale(date(2026, 6, 30))
    assert price.stale(date(2026, 7, 1))
    assert price.model_copy(update={"as_of": None}).stale(date(2026, 1, 1))


# From AWS


def test_what_aws_tells_is_in_the_table_with_its_date_and_source(aws: Aws, table: Path) -> None:
    aws.products = [
        product("AmazonEC2", "NatGateway-Hours", "Hrs", 0.05, productFamily="NAT Gateway"),
        product("AmazonEC2", "NatGateway-Bytes", "GB", 0.06, productFamily="NAT Gateway"),
        product("AmazonS3", "USE1-TimedStorage-ByteHrs", "GB-Mo", [0.024, 0.023, 0.022]),
        product("awswaf", "USE1-RequestV2-Tier1", "Requests", 0.0000007),
        product("awswaf", "USE1-ShieldProtected-RequestV2-Tier1", "Requests", 0.1),
    ]
    aws.spot = {"g6.xlarge": [0.5, 0.3, 0.4, 0.35]}
    found = refresh([], quiet, table)
    assert found.found == 5
    gateway = row(table, "nat.gateway")
    assert (gateway.usd.typical, gateway.as_of) == (0.05, TODAY)
    assert gateway.source == "AWS price list, AmazonEC2"
    assert row(table, "nat.data").usd.typical == 0.06
    assert row(table, "s3.standard").usd.typical == 0.024
    assert row(table, "waf.requests", "global").usd.typical == 0.7
    spot = row(table, "spot.g6.xlarge")
    assert (spot.usd.low, spot.usd.typical, spot.usd.high) == (0.3, 0.375, 0.5)
    assert spot.source == "EC2 spot price history, 30 days"


def test_what_aws_does_not_tell_stays_and_is_named(aws: Aws, table: Path) -> None:
    aws.products = [
        product("AmazonEC2", "NatGateway-Hours", "Hrs", 0.05, productFamily="NAT Gateway"),
        product("awskms", "USE1-KMS-Keys", "Keys", 1, productFamily="Encryption Key"),
        product("awskms", "USW2-KMS-Keys", "Keys", 2, productFamily="Encryption Key"),
    ]
    before = load_prices(table).by_place()
    found = refresh([], quiet, table)
    after = load_prices(table).by_place()
    assert {place for place in after if after[place] != before.get(place)} == {
        ("nat.gateway", "us-east-1")
    }
    assert "kms.key in us-east-1: 2 products of different prices" in found.missing
    assert "eks.cluster in us-east-1: no product" in found.missing
    assert "spot.g6.xlarge in us-east-1: not sold as spot" in found.missing


def test_a_price_for_another_unit_is_not_taken(aws: Aws, table: Path) -> None:
    aws.products = [
        product("AmazonEC2", "NatGateway-Hours", "GB", 0.05, productFamily="NAT Gateway")
    ]
    assert "nat.gateway in us-east-1: no product" in refresh([], quiet, table).missing
    assert row(table, "nat.gateway").usd.typical == 0.045


def test_free_products_are_no_prices_and_a_free_tier_is_not_the_price(
    aws: Aws, table: Path
) -> None:
    aws.products = [
        product("AmazonECR", "TimedStorage-ByteHrs", "GB-Mo", [0, 0.1]),
        product("AmazonEKS", "USE1-AmazonEKS-Hours:perCluster", "hours", 0),
    ]
    assert "eks.cluster in us-east-1: no product" in refresh([], quiet, table).missing
    assert row(table, "ecr.storage").usd.typical == 0.1


def test_another_region_gets_rows_of_its_own(aws: Aws, table: Path) -> None:
    nat = product("AmazonEC2", "EUC1-NatGateway-Hours", "Hrs", 0.052, productFamily="NAT Gateway")
    nat["product"]["attributes"]["regionCode"] = "eu-central-1"
    aws.products = [nat]
    refresh(["eu-central-1"], quiet, table)
    assert row(table, "nat.gateway", "eu-central-1").usd.typical == 0.052
    assert row(table, "nat.gateway").usd.typical == 0.045


def test_a_second_refresh_of_the_same_answers_changes_nothing(aws: Aws, table: Path) -> None:
    aws.products = [
        product("AmazonEC2", "NatGateway-Hours", "Hrs", 0.05, productFamily="NAT Gateway")
    ]
    refresh([], quiet, table)
    first = table.read_text()
    refresh([], quiet, table)
    assert table.read_text() == first
    assert first.startswith(PRICES.read_text().partition("prices:")[0])


def test_a_refusal_leaves_the_table_as_it_was(aws: Aws, table: Path) -> None:
    aws.refuses = True
    with pytest.raises(HearthError, match=r"AWS cannot be asked \(.*AccessDenied.* as it was"):
        refresh([], quiet, table)
    assert table.read_text() == PRICES.read_text()
    assert list(table.parent.iterdir()) == [table]


def test_without_a_connection_the_table_is_as_it_was(
    aws: Aws, table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert aws.server_address
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(HearthError, match=r"Could not connect.*look at your connection"):
        refresh([], quiet, table)
    assert table.read_text() == PRICES.read_text()


def test_without_credentials_the_error_says_what_they_are_for(
    aws: Aws, table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert aws.server_address
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(HearthError, match=r"Unable to locate credentials.*pricing:GetProducts"):
        refresh([], quiet, table)
    assert table.read_text() == PRICES.read_text()


def test_without_boto3_the_error_says_what_to_install(
    table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(
        HearthError, match=r"boto3, which is not installed; install requirements/pr"
    ):
        refresh([], quiet, table)


def test_a_table_that_would_not_be_sound_is_not_written(
    aws: Aws, table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    aws.products = []
    monkeypatch.setattr(refreshing, "render", lambda *_: "prices:\n  - {key: nat.gateway}\n")
    with pytest.raises(SiteErrors):
        refresh([], quiet, table)
    assert table.read_text() == PRICES.read_text()
    assert list(table.parent.iterdir()) == [table]
