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


def prometheus(it: Lab, path: str) -> Any:
    """What Prometheus answers on a path of its API."""
    url = shlex.quote(f"http://127.0.0.1:9090/api/v1/{path}")
    answer = json.loads(it.ssh("pi51", f"docker exec prometheus wget -qO- {url}"))
    assert answer["status"] == "success"
    return answer["data"]


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
    "Settings that differ": "the drift check is planned",
    "Temperature": "this computer's sensors are not the machines'",
    "Temperatures": "the same",
    "Too little power": "only a Raspberry Pi tells",
}
"""Panels without data in a sandbox, each with the reason."""


def test_the_log_lines_of_every_machine_are_kept(lab: Up) -> None:
    it = lab[0]
    url = "http://loki:3100/loki/api/v1/label/host_name/values"
    found = json.loads(it.ssh("pi41", f"docker exec alertmanager wget -qO- {url}"))
    assert set(found["data"]) == set(it.site.hosts)
