"""Every alert can fire, can be quiet, says where and what to do, and reads what is there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.homelab.monitoring.alerts.hosts import TEMPERATURES
from components.homelab.monitoring.metrics import METRICS, names_in, sources
from components.homelab.monitoring.rule import Alert, Group
from components.homelab.monitoring.rules import (
    alerts,
    groups,
    recordings,
    rule_config,
    rule_tests,
)
from inventory.hardware import BOARDS
from inventory.loading import load
from inventory.model import Site
from tests.components.monitoring.lab import (
    PLAIN,
    accepted,
    lab,
    read,
    tool,
    unwatched,
)

SITES = {
    "haproxy": lab(),
    "kong": lab(engine="kong"),
    "homelab": load("homelab"),
    "sandbox": load("sandbox"),
}


@pytest.fixture(params=SITES)
def site(request: pytest.FixtureRequest) -> Site:
    return SITES[request.param]


def find(name: str, site: Site) -> Alert:
    """An alert by its name."""
    (found,) = [alert for alert in alerts(site) if alert.name == name]
    return found


def test_every_alert_has_a_case_in_which_it_fires_and_one_in_which_it_does_not(site: Site) -> None:
    document = read(rule_tests(site))
    raised: dict[str, set[bool]] = {}
    for test in document["tests"]:
        (asked,) = test["alert_rule_test"]
        raised.setdefault(asked["alertname"], set()).add(bool(asked["exp_alerts"]))
    assert raised == {alert.name: {True, False} for alert in alerts(site)}


def test_an_alert_without_a_quiet_case_cannot_be_made() -> None:
    some = next(iter(alerts(lab())))
    with pytest.raises(TypeError, match="quiet"):
        Alert(  # type: ignore[call-arg]
            some.name,
            subject=some.subject,
            severity=some.severity,
            expr=some.expr,
            hold=some.hold,
            summary=some.summary,
            description=some.description,
            fires=some.fires,
        )


def test_names_are_unique(site: Site) -> None:
    names = [alert.name for alert in alerts(site)]
    assert sorted(set(names)) == sorted(names)
    series = [(r.name, *sorted(r.labels.items())) for r in recordings(site)]
    assert len(set(series)) == len(series)


def test_every_metric_is_declared_and_its_source_is_part_of_the_site(site: Site) -> None:
    recorded = {recording.name for recording in recordings(site)}
    exprs = [*(a.expr for a in alerts(site)), *(r.expr for r in recordings(site))]
    read = {name for expr in exprs for name in names_in(expr)} - recorded
    assert read <= METRICS.keys()
    assert {METRICS[name].source for name in read} <= sources(site)


def test_a_case_shows_series_that_the_rule_could_read(site: Site) -> None:
    """Cases with a misspelt series would be quiet for a wrong reason."""
    for alert in alerts(site):
        for case in (alert.fires, *alert.quiet):
            shown = {series.text.partition("{")[0] for series in case.samples}
            assert shown <= METRICS.keys(), alert.name


def test_every_alert_says_where_it_is(site: Site) -> None:
    for alert in alerts(site):
        carried = {**alert.fires.labels, **alert.all_labels}
        assert {"host", "tier"} & carried.keys(), alert.name
        assert carried["severity"] in {"critical", "warning"}


def test_every_annotation_is_filled_in(site: Site) -> None:
    for test in read(rule_tests(site))["tests"]:
        for raised in test["alert_rule_test"][0]["exp_alerts"]:
            for text in raised["exp_annotations"].values():
                assert "{{" not in text, test["name"]
                assert text.strip(), test["name"]


def test_every_alert_leads_to_its_runbook(site: Site) -> None:
    for alert in alerts(site):
        assert re.fullmatch(r"docs/reference/alerts\.md#[a-z0-9]+", alert.runbook)


def test_a_critical_alert_has_the_subject_of_its_warning() -> None:
    subjects: dict[str, set[str]] = {}
    for alert in alerts(lab()):
        subjects.setdefault(alert.subject, set()).add(alert.severity)
    both = {"disk", "memory", "temperature", "backup", "service-level-errors", "restarts"}
    assert {subject for subject, kinds in subjects.items() if len(kinds) == 2} >= both


def test_every_board_has_its_temperatures() -> None:
    assert TEMPERATURES.keys() == BOARDS.keys()
    assert all(stands.warning < stands.critical < 100 for stands in TEMPERATURES.values())


def test_every_machine_has_the_limits_of_its_board() -> None:
    limits = {
        (r.name.rpartition(":")[2], r.labels["host"]): r.expr
        for r in recordings(lab())
        if r.name.startswith("hearth:temperature_limit")
    }
    assert limits["warning", "ai1"] == "vector(85)"
    assert limits["critical", "data3"] == "vector(82)"
    assert len(limits) == 2 * 6


def test_a_route_burns_by_its_own_promise() -> None:
    site = load("homelab")
    budgets = {
        r.labels["route"]: r.expr
        for r in recordings(site)
        if r.name == "hearth:route_errors:budget"
    }
    assert budgets["chat"] == "vector(0.01)"
    burn = find("RouteErrorsBurn1h", site)
    assert burn.severity == "critical"
    assert "ratio_rate5m" in burn.expr
    assert "ratio_rate1h" in burn.expr
    assert "14.4 *" in burn.expr


def test_late_answers_are_counted_at_the_promised_time_however_it_is_written() -> None:
    (slow,) = [
        r.expr
        for r in recordings(lab())
        if r.name == "hearth:route_slow:ratio_rate5m" and r.labels["route"] == "chat1"
    ]
    bound = re.search(r'le=~"([^"]+)"', slow)
    assert bound
    pattern = re.compile(bound[1].replace("\\\\", "\\"))
    assert pattern.fullmatch("3")
    assert pattern.fullmatch("3.0")
    assert not pattern.fullmatch("30")


@pytest.mark.parametrize(("engine", "metric"), [("haproxy", "haproxy_"), ("kong", "kong_")])
def test_a_sites_rules_read_its_own_engine(engine: str, metric: str) -> None:
    read = {name for r in recordings(lab(engine=engine)) for name in names_in(r.expr)}
    engines = {name.partition("_")[0] + "_" for name in read if name.startswith(("hap", "kong"))}
    assert engines == {metric}


def test_nobody_is_told_of_what_nobody_measures() -> None:
    assert list(alerts(unwatched())) == []


def rules_of(site: Site) -> list[dict[str, Any]]:
    """Every rule as it is written."""
    document = read(rule_config(site))
    return [rule for group in document["groups"] for rule in group["rules"]]


def test_a_new_machine_brings_its_limits_and_changes_no_other_rule() -> None:
    before, after = rules_of(lab()), rules_of(lab(PLAIN))
    new = [rule for rule in after if rule not in before]
    assert [rule for rule in after if rule not in new] == before
    assert {rule["labels"]["host"] for rule in new} == {"data6"}
    assert rule_tests(lab()) == rule_tests(lab(PLAIN))


def test_the_text_is_the_same_every_time() -> None:
    assert rule_config(lab()) == rule_config(lab())
    assert "&id" not in rule_config(lab()) + rule_tests(lab())


def parts(group: Group) -> Iterator[tuple[str, tuple[Alert, ...]]]:
    """A group's alerts, one by one where their cases last for hours."""
    if group.interval is None:
        yield group.name, group.alerts
    else:
        yield from ((alert.name, (alert,)) for alert in group.alerts)


def slices(site: Site) -> Iterator[tuple[str, list[Group]]]:
    """The rules in parts that are tested fast: alerts, and what they read."""
    every = groups(site)
    for group in every:
        for name, some in parts(group):
            asked = {word for alert in some for word in names_in(alert.expr)}
            # All routes are measured alike, and the cases take place on the first.
            base = [
                replace(other, recordings=tuple(r for r in other.recordings if r.name in asked))
                for other in every
                if other.name != group.name and asked & {r.name for r in other.recordings}
            ][:1]
            if some:
                yield name, [*base, replace(group, alerts=some)]


def with_text(folder: Path, parts: list[Group]) -> None:
    """Writes a part of the rules, with its cases, for promtool."""
    rules = {"groups": [part.document() for part in parts]}
    cases = {
        "rule_files": ["rules.yml"],
        "evaluation_interval": "1m",
        "group_eval_order": [part.name for part in parts],
        "tests": [test for part in parts for alert in part.alerts for test in alert.tests()],
    }
    (folder / "rules.yml").write_text(yaml.safe_dump(rules))
    (folder / "tests.yml").write_text(yaml.safe_dump(cases))


WITH_KONG = ("upstreams", "RouteErrorsBurn1h", "RouteErrorsBurn6h")


@pytest.mark.parametrize(
    ("engine", "name"),
    [
        *(("haproxy", name) for name, _ in slices(SITES["haproxy"])),
        *(("kong", name) for name in WITH_KONG),
    ],
)
def test_prometheus_itself_raises_what_the_cases_say(
    engine: str, name: str, tmp_path: Path
) -> None:
    promtool = tool("promtool")
    with_text(tmp_path, dict(slices(SITES[engine]))[name])
    accepted([promtool, "test", "rules", "tests.yml"], tmp_path)


def test_the_cases_notice_a_rule_that_never_fires(tmp_path: Path) -> None:
    promtool = tool("promtool")
    (group,) = dict(slices(lab()))["memory"]
    deaf = tuple(replace(alert, expr=f"({alert.expr}) > 1e9") for alert in group.alerts)
    with_text(tmp_path, [replace(group, alerts=deaf)])
    with pytest.raises(AssertionError, match="MemoryLow fires"):
        accepted([promtool, "test", "rules", "tests.yml"], tmp_path)


def test_the_cases_notice_a_rule_that_always_fires(tmp_path: Path) -> None:
    promtool = tool("promtool")
    (group,) = dict(slices(lab()))["memory"]
    loud = tuple(replace(alert, expr=alert.expr.replace("< 0.", "< 9.")) for alert in group.alerts)
    with_text(tmp_path, [replace(group, alerts=loud)])
    with pytest.raises(AssertionError, match="MemoryLow is quiet"):
        accepted([promtool, "test", "rules", "tests.yml"], tmp_path)


def test_promtool_accepts_the_whole_file(site: Site, tmp_path: Path) -> None:
    promtool = tool("promtool")
    (tmp_path / "rules.yml").write_text(rule_config(site))
    accepted([promtool, "check", "rules", "rules.yml"], tmp_path)
