"""What watches the lab sees all of it, and its rules and dashboards have something to show."""

from __future__ import annotations

import json
import shlex
import time
from typing import Any
from urllib.parse import quote

import pytest

from components.homelab.monitoring.dashboards import queries
from components.homelab.monitoring.rules import rule_tests
from components.homelab.monitoring.scrape import targets
from tests.e2e.conftest import Lab, Ran, chat

pytestmark = pytest.mark.e2e

Up = tuple[Lab, Ran, dict[str, Any]]
SECONDS = 90
SETTLED_SECONDS = 150
"""Within which what a machine is shows as drift: it writes and Prometheus asks, the check looks and
Prometheus asks again; 30, 15, 30 and 15 seconds, and some for a busy computer."""


def prometheus(it: Lab, path: str) -> Any:
    """What Prometheus answers on a path of its API."""
    url = shlex.quote(f"http://127.0.0.1:9090/api/v1/{path}")
    answer = json.loads(it.ssh("pi51", f"docker exec prometheus wget -qO- {url}"))
    assert answer["status"] == "success"
    return answer["data"]


def values(it: Lab, metric: str, label: str) -> dict[str, float]:
    """A metric's values now, by one of its labels."""
    result = prometheus(it, f"query?query={quote(metric)}")["result"]
    return {series["metric"][label]: float(series["value"][1]) for series in result}


def becomes(it: Lab, metric: str, label: str, wanted: dict[str, float]) -> None:
    """Returns once a metric's values are these; fails where they are not in time."""
    deadline = time.monotonic() + SETTLED_SECONDS
    while (found := values(it, metric, label)) != wanted and time.monotonic() < deadline:
        time.sleep(2)
    assert found == wanted


def test_every_service_with_figures_is_asked_and_answers(lab: Up) -> None:
    it = lab[0]
    wanted = {target.placement.reference for target in targets(it.site)}
    assert len(wanted) > 20
    deadline = time.monotonic() + SECONDS
    while True:
        found = {
            target["labels"]["service"]: (target["health"], target["lastError"])
            for target in prometheus(it, "targets?state=active")["activeTargets"]
        }
        if set(found.values()) == {("up", "")} or time.monotonic() > deadline:
            break
        time.sleep(2)
    assert found == dict.fromkeys(wanted, ("up", ""))


def test_every_rule_is_well(lab: Up) -> None:
    groups = prometheus(lab[0], "rules")["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    assert len(rules) > 100
    assert {
        (rule["name"], rule.get("lastError")) for rule in rules if rule["health"] == "err"
    } == set()


def test_every_alert_fires_when_it_must_and_only_then(lab: Up) -> None:
    it = lab[0]
    text = rule_tests(it.site)
    put = "cp /settings/rules.yml /tmp/rules.yml && cat >/tmp/tests.yml"
    command = f"{put} && promtool test rules /tmp/tests.yml"
    found = it.ssh(
        "pi51",
        f"docker exec -i prometheus sh -c {shlex.quote(command)} <<'end'\n{text}\nend",
        timeout=300,
    )
    assert "SUCCESS" in found


def test_every_question_of_the_dashboards_is_answered(lab: Up) -> None:
    it = lab[0]
    for _ in range(3):
        chat(it, "hello")
    asked = queries(it.site)
    assert len(asked) > 60
    script = "\n".join(
        f"wget -qO- 'http://127.0.0.1:9090/api/v1/query?query={quote(expr, safe='')}'; echo"
        for _, _, expr in asked
    )
    lines = it.ssh("pi51", f"docker exec -i prometheus sh -s <<'end'\n{script}\nend").splitlines()
    assert len(lines) == len(asked)
    answers = [json.loads(line) for line in lines]
    assert {answer["status"] for answer in answers} == {"success"}
    empty = {
        (dashboard, panel)
        for (dashboard, panel, _), answer in zip(asked, answers, strict=True)
        if not answer["data"]["result"]
    }
    assert {panel for _, panel in empty} <= NOTHING_TO_SHOW.keys()


NOTHING_TO_SHOW = {
    "Fullest disk": "a sandboxed machine's root is an overlay, which node exporter leaves out",
    "Oldest backup": "the first is made minutes after the start",
    "Restarts": "nothing has restarted",
    "Temperature": "this computer's sensors are not the machines'",
    "Temperatures": "the same",
    "Too little power": "only a Raspberry Pi tells",
}
"""Panels without data in a sandbox, each with the reason."""


def test_every_container_with_a_health_check_is_known_to_be_well(lab: Up) -> None:
    it = lab[0]
    checked = {
        p.reference: 1.0
        for p in it.site.placements()
        if p.provisioned and p.kind.container and p.kind.container.health_check
    }
    assert len(checked) > 20
    becomes(it, "hearth_container_healthy", "service", checked)


def test_settings_changed_by_hand_are_seen_and_so_is_their_return(lab: Up) -> None:
    it = lab[0]
    as_they_should_be = dict.fromkeys(it.site.hosts, 0.0)
    becomes(it, "hearth_drift_unknown", "host", as_they_should_be)
    becomes(it, "hearth_drift", "host", as_they_should_be)

    # Loki reads it when it starts, and not before.
    file, kept = "/etc/hearth/services/loki/loki.yaml", "/root/loki.yaml"
    it.ssh("pi41", f"sudo cp -p {file} {kept} && echo '# by hand' | sudo tee -a {file}")
    try:
        becomes(it, "hearth_drift", "host", as_they_should_be | {"pi41": 1.0})
        page = json.loads(
            it.ssh("pi31", "docker exec drift-check python3 -c " + shlex.quote(ASK_FOR_THE_PAGE))
        )
        differences = {"pi41.loki": "has other settings"}
        assert page["machines"]["pi41"] == {"known": True, "differences": differences}
    finally:
        it.ssh("pi41", f"sudo mv {kept} {file}")
    becomes(it, "hearth_drift", "host", as_they_should_be)


ASK_FOR_THE_PAGE = (
    "import urllib.request as u; print(u.urlopen('http://127.0.0.1:8300').read().decode())"
)


def test_the_gateways_certificate_is_watched_as_it_is_served(lab: Up) -> None:
    found = values(lab[0], "hearth_certificate_expiry_timestamp_seconds", "service")
    assert found.keys() == {"pi51.nginx"}
    assert found["pi51.nginx"] > time.time() + 30 * 24 * 3600


def test_the_log_lines_of_every_machine_are_kept(lab: Up) -> None:
    it = lab[0]
    url = "http://loki:3100/loki/api/v1/label/host_name/values"
    found = json.loads(it.ssh("pi41", f"docker exec alertmanager wget -qO- {url}"))
    assert set(found["data"]) == set(it.site.hosts)
