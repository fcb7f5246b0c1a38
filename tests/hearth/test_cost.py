"""What environments cost: hours, GPU nodes, quantities, bills, and what would be cheaper."""

from __future__ import annotations

import json
from datetime import date, time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hearth.cost.advice import advise, off_peak_saving
from hearth.cost.bill import COMPONENTS, Bill, Line, bill
from hearth.cost.comparison import compare
from hearth.cost.figures import HOURS, Range, total
from hearth.cost.hours import hours, off_peak_hours_a_week, requests_a_month
from hearth.cost.quantities import Item, quantities
from hearth.cost.queries import queries
from hearth.cost.report import report
from hearth.cost.sizing import Rate, pool_of, read_rate
from inventory.cloud.checks import RULES
from inventory.cloud.instances import INSTANCE_TYPES
from inventory.cloud.loading import load_environment
from inventory.cloud.model import Environment, OffPeak
from inventory.cloud.prices import GLOBAL, Price, PriceTable, Spread, load_prices
from inventory.errors import HearthError
from inventory.units import GIB
from tests.settings import PRODUCTION, changed, environments

PRICES = Path(__file__).parents[1] / "environments" / "prices.yaml"
TABLE = load_prices(PRICES)
DEV = load_environment("dev")
CAPACITY = {
    "schema": "hearth.capacity/1",
    "site": "homelab",
    "started": "2026-11-20T10:00:00+00:00",
    "routes": {
        "chat": {
            "fault": "",
            "capacity_per_minute": 40.0,
            "upstreams": {"agx0.assistant": {"share": 0.8}, "orin0.assistant": {"share": 0.2}},
        }
    },
}


def usd_of(found: Bill, what: str) -> Range | None:
    (line,) = [line for line in found.lines if line.item.what.startswith(what)]
    return line.usd


def amount_of(environment: Environment, key: str) -> float:
    """How much of something is bought in a month."""
    bought = quantities(environment, pool_of(environment))
    return sum(item.amount.typical for item in bought if key in item.keys and item.amount)


def all_prices(region: str, spot: float = 0.4) -> PriceTable:
    """A table in which nothing lacks: a dollar each, spot instances a part of one."""
    listed = [
        _price(query.key, query.unit, GLOBAL if query.worldwide else region, 1.0)
        for query in queries()
    ]
    pooled = [_price(f"spot.{n}", "hour", region, spot) for n, k in INSTANCE_TYPES.items() if k.gpu]
    return PriceTable(prices=(*listed, *pooled))


def _price(key: str, unit: Any, region: str, usd: float) -> Price:
    spread = Spread(low=usd, typical=usd, high=usd)
    return Price(key=key, unit=unit, usd=spread, region=region, as_of=None, source="a test")


# Hours


@pytest.mark.parametrize(
    ("begins", "ends", "weekends", "expected"),
    [
        (time(20), time(7), True, 5 * 11 + 48),
        (time(20), time(7), False, 7 * 11),
        (time(0), time(6, 30), False, 7 * 6.5),
        (time(9), time(17), True, 5 * 8 + 48),
    ],
)
def test_a_weeks_off_peak_hours_are_its_nights_and_maybe_its_weekend(
    begins: time,
    ends: time,
    weekends: bool,  # noqa: FBT001 - a parameter of the test
    expected: float,
) -> None:
    schedule = OffPeak.model_construct(begins=begins, ends=ends, weekends=weekends)
    assert off_peak_hours_a_week(schedule) == expected


def test_a_month_has_730_hours_whatever_the_schedule() -> None:
    for days in (0, 3, 31):
        traffic = PRODUCTION.traffic.model_copy(update={"peak_days_a_month": days})
        for schedule in (PRODUCTION.cluster.off_peak, None):
            month = hours(schedule, traffic)
            assert month.peak + month.ordinary + month.off_peak == pytest.approx(HOURS)
            assert min(month.peak, month.ordinary, month.off_peak) >= 0


def test_a_peak_day_is_at_peak_for_as_long_as_its_busiest_hour_would_take_for_all() -> None:
    assert hours(None, PRODUCTION.traffic).peak == pytest.approx(3 * 100 / 15)


def test_requests_are_those_of_ordinary_and_of_peak_days() -> None:
    assert requests_a_month(PRODUCTION.traffic) == pytest.approx(
        3 * 40_000 + (730 / 24 - 3) * 2_000
    )


# GPU nodes


def test_without_a_rate_the_settings_numbers_are_the_nodes() -> None:
    pool = pool_of(PRODUCTION)
    assert (pool.ordinary, pool.peak, pool.off_peak) == (2, 6, 1)
    assert "the settings' own numbers" in pool.basis


def test_a_rate_in_the_settings_sizes_the_nodes() -> None:
    # 40,000 x 15 % / 60 x 70 % are 70 chats a minute at peak, 3.5 on an ordinary day.
    pool = pool_of(changed(PRODUCTION, traffic={"chats_per_minute_per_node": 16}))
    assert (pool.ordinary, pool.peak, pool.off_peak, pool.lacking) == (1, 5, 1, "")
    assert pool.basis == "16 chats a minute a node, from traffic.chats_per_minute_per_node"


def test_a_measured_rate_outweighs_the_settings(tmp_path: Path) -> None:
    path = tmp_path / "capacity.json"
    path.write_text(json.dumps(CAPACITY))
    rate = read_rate(path)
    assert rate.per_minute == pytest.approx(40 * 0.8)
    stated = changed(PRODUCTION, traffic={"chats_per_minute_per_node": 16})
    pool = pool_of(stated, rate)
    assert pool.peak == 3
    assert "capacity.json: homelab of 2026-11-20, route chat, a node like agx0" in pool.basis


def test_more_than_the_pool_may_have_is_said_and_not_billed() -> None:
    pool = pool_of(PRODUCTION, Rate(5, "a test"))
    assert pool.peak == PRODUCTION.cluster.gpu.most == 6
    assert pool.lacking.startswith("a peak day takes 14 nodes")
    assert "cluster.gpu.most is 6; raise it" in pool.lacking


@pytest.mark.parametrize(
    ("document", "what"),
    [
        ("not JSON", "is not JSON"),
        (json.dumps({"schema": "hearth.smoke/2"}), "its schema is hearth.smoke/2, this Hearth"),
        (json.dumps([]), "its schema is not named"),
        (json.dumps(CAPACITY | {"routes": {}}), "has no route chat (none at all)"),
        (json.dumps({"schema": "hearth.capacity/1"}), "is not a report of hearth.capacity/1"),
        (
            json.dumps(
                CAPACITY
                | {
                    "routes": {
                        "chat": {
                            "fault": "nobody answered",
                            "capacity_per_minute": None,
                            "upstreams": {},
                        }
                    }
                }
            ),
            "the capacity of chat is not known (nobody answered); measure again",
        ),
    ],
)
def test_a_file_without_a_rate_is_refused(tmp_path: Path, document: str, what: str) -> None:
    path = tmp_path / "capacity.json"
    path.write_text(document)
    with pytest.raises(HearthError) as caught:
        read_rate(path)
    assert what in str(caught.value)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(HearthError, match=r"none\.json: cannot be read \(No such file"):
        read_rate(tmp_path / "none.json")


# Quantities


def test_logs_go_through_nat_unless_they_have_an_endpoint() -> None:
    assert amount_of(PRODUCTION, "nat.data") == 0
    assert amount_of(PRODUCTION, "endpoint.data") == pytest.approx(2 * 730 / 24)
    without = changed(PRODUCTION, network={"interface_endpoints": []})
    assert amount_of(without, "nat.data") == pytest.approx(2 * 730 / 24)


def test_images_go_through_nat_only_without_the_gateway_to_s3() -> None:
    without = changed(PRODUCTION, network={"gateway_endpoints": []})
    assert amount_of(without, "nat.data") > amount_of(PRODUCTION, "nat.data")


def test_a_single_nat_has_the_other_zones_data_billed_on_both_sides() -> None:
    through = amount_of(DEV, "nat.data")
    assert through > 0
    assert amount_of(DEV, "transfer.zone") == pytest.approx(through * 2 / 2)


def test_more_traffic_is_more_of_everything_that_it_drives() -> None:
    busy = changed(PRODUCTION, traffic={"requests_per_day": 20_000})
    for key in ("cloudfront.requests", "cloudfront.data", "alb.capacity", "waf.requests"):
        assert amount_of(busy, key) > amount_of(PRODUCTION, key), key


def test_connections_are_what_a_balancers_units_count_for_small_answers() -> None:
    small = changed(PRODUCTION, traffic={"request_size": 100, "response_size": 100})
    per_second = requests_a_month(PRODUCTION.traffic) / (HOURS * 3600)
    assert amount_of(small, "alb.capacity") == pytest.approx(per_second / 25 * HOURS)
    large = changed(PRODUCTION, traffic={"request_size": 0, "response_size": GIB})
    assert amount_of(large, "alb.capacity") == pytest.approx(requests_a_month(large.traffic))


def test_a_buckets_classes_add_up_to_its_size() -> None:
    sizes = {
        key: amount_of(PRODUCTION, key) for key in ("s3.standard", "s3.infrequent", "s3.archive")
    }
    assert sum(sizes.values()) == pytest.approx(600)
    # 30 and 90 of 400 days for 500 GB; 30 of 365 for what never expires.
    assert sizes["s3.standard"] == pytest.approx(500 * 30 / 400 + 100 * 30 / 365)
    assert sizes["s3.archive"] == pytest.approx(500 * 310 / 400)


def test_storage_that_grows_by_itself_is_a_range() -> None:
    items = quantities(PRODUCTION, pool_of(PRODUCTION))
    (grows,) = [item for item in items if item.what == "storage, which grows"]
    assert grows.amount == Range(100, 100, 500)


def test_whatever_has_an_amount_can_be_asked_for_at_aws() -> None:
    asked = {query.key: query.unit for query in queries()}
    pooled = {f"spot.{name}" for name in INSTANCE_TYPES}
    redis = changed(PRODUCTION, cache={"engine": "redis", "version": "7.1"})
    old = changed(PRODUCTION, cluster={"extended_support": True})
    for environment in (PRODUCTION, DEV, redis, old):
        for item in quantities(environment, pool_of(environment)):
            for key in item.keys if item.amount is not None else ():
                assert key in pooled or asked[key] == item.unit, key


# Bills


def test_production_costs_what_its_prices_say() -> None:
    found = bill(PRODUCTION, TABLE)
    expected = {
        "NAT gateways": 3 * 32.85,
        "interface endpoints": 6 * 3 * 7.30,
        "control plane": 73,
        "system nodes": 3 * 730 * 0.0816,
        "base nodes": 730 * 0.8048,
        "load balancer": 16.425,
        "firewall": 5,
        "KMS keys": 5,
        "secrets": 2 * 0.40,
    }
    for what, usd in expected.items():
        told = usd_of(found, what)
        assert told is not None
        assert as_list(told) == pytest.approx([usd] * 3), what


def test_what_has_no_price_is_no_zero() -> None:
    found = bill(PRODUCTION, TABLE)
    database = [line for line in found.lines if line.item.component == "database"]
    assert [line.usd for line in database] == [None] * 3
    assert found.of_component("database") is None
    assert {line.open for line in database} == {
        "no price",
        "what changes a day tells how much",
    }


def test_a_pool_costs_between_its_cheapest_and_its_dearest_type() -> None:
    found = bill(PRODUCTION, TABLE)
    (ordinary,) = [line for line in found.lines if "ordinary hours" in line.item.what]
    assert ordinary.item.amount is not None
    assert ordinary.usd == ordinary.item.amount * Range(0.21, 0.42, 0.51)
    assert ordinary.open == "priced by 3 of 8 instance types"


def test_extended_support_costs_only_at_worst() -> None:
    old = changed(PRODUCTION, cluster={"extended_support": True})
    more = bill(old, TABLE).total - bill(PRODUCTION, TABLE).total
    assert (more.low, more.typical, more.high) == pytest.approx((0, 0, 365))


def test_a_price_of_another_unit_is_refused() -> None:
    wrong = PriceTable(prices=(_price("nat.gateway", "month", "us-east-1", 32.85),))
    with pytest.raises(HearthError, match=r"nat.gateway: its price is for one month, .* hour;"):
        bill(PRODUCTION, wrong)


def test_a_price_of_another_region_is_none() -> None:
    elsewhere = changed(PRODUCTION)
    elsewhere = elsewhere.model_copy(update={"region": "eu-central-1"})
    found = report(elsewhere, TABLE, date(2026, 11, 22))
    assert found.without_prices == ["eu-central-1"]
    priced = [line.item for line in found.bill.lines if line.usd]
    assert {item.region for item in priced} == {GLOBAL, "us-east-1"}
    # CloudFront's figures are there wherever the rest is, and alarms about them need keys.
    assert [item.what for item in priced if item.region == "us-east-1"] == [
        "KMS keys: 5 in us-east-1, for CloudFront's alarms"
    ]


def test_the_off_peak_schedule_saves_the_nodes_that_it_stops() -> None:
    saves = off_peak_saving(bill(PRODUCTION, TABLE), TABLE)
    stopped_hours = HOURS * 103 / 168
    assert saves is not None
    assert (saves.low, saves.typical, saves.high) == pytest.approx(
        (stopped_hours * 0.21, stopped_hours * 0.42, stopped_hours * 0.51)
    )


def test_what_the_schedule_saves_is_not_known_without_prices_of_nodes() -> None:
    none = PriceTable(prices=())
    assert off_peak_saving(bill(PRODUCTION, none), none) is None


def test_old_and_undated_prices_are_told_as_stale() -> None:
    stale = {price.key for price in report(PRODUCTION, TABLE, date(2026, 11, 22)).stale}
    assert stale == {"spot.g4dn.xlarge", "spot.g5.xlarge", "spot.g6.xlarge"}
    later = {price.key for price in report(PRODUCTION, TABLE, date(2027, 6, 1)).stale}
    assert {"nat.gateway", "ec2.m7g.large"} <= later


# What would be cheaper


def test_advice_saves_what_the_changed_settings_cost_less() -> None:
    found = bill(PRODUCTION, TABLE)
    advice = {each.proposal.setting: each for each in advise(found, TABLE)}
    single = advice["network.nat: per-zone to single"]
    assert single.saves.typical == pytest.approx(2 * 0.045 * 730)
    for each in advice.values():
        then = bill(each.proposal.environment, TABLE)
        assert each.saves == found.total - then.total


def test_what_saves_most_is_told_first() -> None:
    amounts = [each.saves.typical for each in advise(bill(PRODUCTION, TABLE), TABLE)]
    assert amounts == sorted(amounts, reverse=True)


def test_graviton_is_proposed_where_the_system_nodes_are_of_intel() -> None:
    intel = changed(PRODUCTION, cluster={"system": {"instance_type": "m7i.large"}})
    advice = {each.proposal.setting: each.saves for each in advise(bill(intel, TABLE), TABLE)}
    saves = advice["cluster.system.instance_type: m7i.large to m7g.large"]
    assert saves.typical == pytest.approx(3 * 730 * (0.1008 - 0.0816))


def test_a_change_to_something_without_a_price_is_no_saving() -> None:
    known = tuple(price for price in TABLE.prices if price.key != "ec2.m7g.large")
    intel = changed(PRODUCTION, cluster={"system": {"instance_type": "m7i.large"}})
    table = PriceTable(prices=known)
    assert not any("m7g" in each.proposal.setting for each in advise(bill(intel, table), table))


def test_a_base_of_several_is_proposed_to_be_spot() -> None:
    large = changed(PRODUCTION, cluster={"gpu": {"base": 2}, "off_peak": {"gpu_nodes": 2}})
    advice = {each.proposal.setting: each.saves for each in advise(bill(large, TABLE), TABLE)}
    # The other node of the base is spot then, in all hours.
    assert advice["cluster.gpu.base: 2 to 1"].typical == pytest.approx(730 * (0.8048 - 0.42))


def test_a_schedule_is_proposed_where_there_is_none() -> None:
    always = changed(PRODUCTION, cluster={"off_peak": None})
    advice = {each.proposal.setting: each.saves for each in advise(bill(always, TABLE), TABLE)}
    (saves,) = [usd for setting, usd in advice.items() if setting.startswith("cluster.off_peak")]
    assert saves.typical == pytest.approx(HOURS * 103 / 168 * 0.42)


def test_less_of_what_has_no_price_is_proposed_without_an_amount() -> None:
    advice = {each.proposal.setting: each for each in advise(bill(PRODUCTION, TABLE), TABLE)}
    shorter = advice["observability.log_days: 90 to 30"]
    assert shorter.saves.typical == 0
    assert shorter.open == ("less logs.storage, 180 to 60 GB-month",)


def test_no_change_is_proposed_that_the_checks_refuse() -> None:
    for environment in (PRODUCTION, DEV, changed(PRODUCTION, cluster={"off_peak": None})):
        for each in advise(bill(environment, TABLE), TABLE):
            assert [f for rule in RULES for f in rule(each.proposal.environment)] == []


# Random settings


tables = st.sampled_from([TABLE, all_prices("us-east-1"), PriceTable(prices=())])


def as_list(found: Range) -> list[float]:
    return [found.low, found.typical, found.high]


@given(environments(), tables)
@settings(max_examples=40, deadline=None)
def test_totals_are_sums(environment: Environment, table: PriceTable) -> None:
    found = bill(environment, table)
    lines = total(line.usd for line in found.lines if line.usd is not None)
    components = [found.of_component(component) for component in COMPONENTS]
    kinds = [found.of_kind("fixed"), found.of_kind("usage")]
    for parts in (components, kinds):
        summed = total(part for part in parts if part is not None)
        assert as_list(summed) == pytest.approx(as_list(lines))
    assert as_list(found.total) == pytest.approx(as_list(lines))
    assert found.total.low <= found.total.typical <= found.total.high
    assert len(found.lines) == len(found.unpriced) + sum(
        line.usd is not None for line in found.lines
    )


@given(environments(), tables)
@settings(max_examples=40, deadline=None)
def test_nothing_is_lost_between_settings_and_bill(
    environment: Environment, table: PriceTable
) -> None:
    found = bill(environment, table)
    assert [line.item for line in found.lines] == quantities(environment, found.pool)
    assert {line.item.component for line in found.lines} >= set(COMPONENTS) - {"gpu"}
    gpu_hours = sum(
        item.amount.typical
        for item in quantities(environment, found.pool)
        if item.component == "gpu" and item.unit == "hour" and item.amount
    )
    assert gpu_hours <= HOURS * environment.cluster.gpu.most + 1e-6
    assert gpu_hours >= HOURS * environment.cluster.gpu.base - 1e-6


@given(environments(), tables, st.sampled_from(["system", "typical", "most", "base", "replicas"]))
@settings(max_examples=100, deadline=None)
def test_more_nodes_never_cost_less(
    environment: Environment, table: PriceTable, which: str
) -> None:
    gpu, off_peak = environment.cluster.gpu, environment.cluster.off_peak
    ways: dict[str, dict[str, Any]] = {
        "system": {"cluster": {"system": {"count": environment.cluster.system.count + 1}}},
        "typical": {"cluster": {"gpu": {"typical": gpu.typical + 1, "most": gpu.most + 1}}},
        "most": {"cluster": {"gpu": {"most": gpu.most + 1}}},
        "base": {
            "cluster": {
                "gpu": {"base": gpu.base + 1, "typical": gpu.typical + 1, "most": gpu.most + 1},
                **({"off_peak": {"gpu_nodes": off_peak.gpu_nodes + 1}} if off_peak else {}),
            }
        },
        "replicas": {"cache": {"replicas": environment.cache.replicas + 1}},
    }
    if which == "replicas" and environment.cache.replicas == 5:
        return
    if which == "base" and f"ec2.{gpu.base_instance_type}" not in {p.key for p in table.prices}:
        return  # it takes a spot node's place that has a price
    larger = changed(environment, **ways[which])
    before, after = bill(environment, table).total, bill(larger, table).total
    for few, many in zip(as_list(before), as_list(after), strict=True):
        assert many >= few - 1e-6


@given(environments(), environments(), tables)
@settings(max_examples=40, deadline=None)
def test_a_comparison_turned_round_is_its_negative(
    one: Environment, other: Environment, table: PriceTable
) -> None:
    first, second = bill(one, table), bill(other, table)
    for there, back in zip(compare(first, second), compare(second, first), strict=True):
        assert there.component == back.component
        assert (there.difference is None) == (back.difference is None)
        if there.difference is not None and back.difference is not None:
            forth = as_list(there.difference)
            assert forth == pytest.approx([-usd for usd in as_list(back.difference)])


@given(environments())
@settings(max_examples=30, deadline=None)
def test_with_all_prices_only_what_cannot_be_counted_is_open(environment: Environment) -> None:
    found = bill(environment, all_prices("us-east-1"))
    assert all(line.item.amount is None and line.open for line in found.unpriced)


@given(environments())
@settings(max_examples=30, deadline=None)
def test_an_off_peak_schedule_never_costs(environment: Environment) -> None:
    table = all_prices("us-east-1")
    if environment.cluster.off_peak is not None:
        saves = off_peak_saving(bill(environment, table), table)
        assert saves is not None
        assert saves.typical >= -1e-6


def test_a_pool_of_no_nodes_costs_nothing_rather_than_something_unknown() -> None:
    none = {"base": 0, "typical": 0, "most": 1}
    idle = changed(PRODUCTION, cluster={"gpu": none, "off_peak": {"gpu_nodes": 0}})
    idle = changed(idle, traffic={"peak_days_a_month": 0})
    assert bill(idle, TABLE).of_component("gpu") == Range(0, 0, 0)


def test_a_line_without_an_amount_has_no_cost() -> None:
    item = Item("storage", "requests", ("s3.request",), "million", None, "usage", "us-east-1", "?")
    line = Line(item, (_price("s3.request", "million", "us-east-1", 1),))
    assert (line.usd, line.open) == (None, "?")
