"""Who hears of an alert, and which alerts are hidden by worse ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from components.homelab.monitoring.alerting import alertmanager_config
from components.homelab.monitoring.rules import alerts
from tests.components.monitoring.lab import accepted, lab, read, tool

URL = "http://192.168.1.5:8080/alerts"


def document(url: str | None = None) -> dict[str, Any]:
    """The file, read back."""
    loaded = read(alertmanager_config(lab(), url))
    assert isinstance(loaded, dict)
    return loaded


def test_without_a_webhook_nothing_is_sent_and_the_file_says_so() -> None:
    assert document()["receivers"] == [{"name": "nowhere"}]
    assert "No webhook is set" in alertmanager_config(lab())


def test_a_webhook_hears_of_the_end_of_an_alert_too() -> None:
    (receiver,) = document(URL)["receivers"]
    assert receiver["webhook_configs"] == [{"url": URL, "send_resolved": True}]
    assert "No webhook" not in alertmanager_config(lab(), URL)


def test_every_route_leads_to_the_receiver() -> None:
    route = document(URL)["route"]
    assert {route["receiver"], *(r["receiver"] for r in route["routes"])} == {"webhook"}


def test_critical_alerts_come_sooner_and_more_often() -> None:
    route = document()["route"]
    (critical,) = route["routes"]
    assert critical["matchers"] == ['severity="critical"']
    assert (route["group_wait"], critical["group_wait"]) == ("1m", "10s")
    assert (route["repeat_interval"], critical["repeat_interval"]) == ("12h", "1h")


def test_a_machine_that_is_down_hides_everything_else_of_it() -> None:
    first, *_ = document()["inhibit_rules"]
    assert first["source_matchers"] == ['alertname="NodeDown"']
    assert first["target_matchers"] == ['alertname!="NodeDown"']
    assert first["equal"] == ["host"]


def test_a_critical_alert_hides_the_warning_of_the_same_and_no_other() -> None:
    _, second, _ = document()["inhibit_rules"]
    assert second["source_matchers"] == ['severity="critical"']
    assert second["target_matchers"] == ['severity="warning"']
    assert {"subject", "host", "service", "route", "mountpoint"} == set(second["equal"])


def test_alerts_that_the_file_names_exist() -> None:
    names = {alert.name for alert in alerts(lab())}
    assert {"NodeDown", "NoUpstreamLeft", "UpstreamDown"} <= names


@pytest.mark.parametrize("url", [None, URL])
def test_amtool_accepts_the_file(url: str | None, tmp_path: Path) -> None:
    amtool = tool("amtool")
    (tmp_path / "alertmanager.yml").write_text(alertmanager_config(lab(), url))
    accepted([amtool, "check-config", "alertmanager.yml"], tmp_path)


@pytest.mark.parametrize("severity", ["critical", "warning"])
def test_amtool_routes_both_severities_to_the_receiver(severity: str, tmp_path: Path) -> None:
    amtool = tool("amtool")
    (tmp_path / "alertmanager.yml").write_text(alertmanager_config(lab(), URL))
    accepted(
        [
            *(amtool, "config", "routes", "test", "--config.file=alertmanager.yml"),
            *("--verify.receivers=webhook", f"severity={severity}", "host=ai1"),
        ],
        tmp_path,
    )
