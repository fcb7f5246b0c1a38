"""A drill passes where the lab copes, and fails with the right reason where it does not."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from inventory.errors import HearthError
from inventory.loading import load
from smoke.access import Access
from smoke.bench import open_bench
from smoke.drills import alert
from smoke.drills import drill as drilling
from smoke.drills.alert import AlertDrill
from smoke.drills.catalogue import drills_of
from smoke.drills.drill import Drill, Promise, run
from smoke.drills.faults import Fault
from smoke.drills.judge import judge
from smoke.drills.run import run_all
from tests.smoke.gateway import Behaviour, serving

if TYPE_CHECKING:
    from collections.abc import Callable

    from smoke.verdict import Check

MAIN, OTHER, EDGE = "agx0.assistant", "orin0.assistant", "nano.assistant"
SITE = Path(__file__).with_name("drilled.yaml")


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seconds in place of minutes."""
    monkeypatch.setattr(drilling, "CALM_S", 0.5)


def drilled(
    behaviour: Behaviour,
    strike: Callable[[Behaviour], None],
    heal: Callable[[Behaviour], None],
    promise: Promise,
) -> dict[str, Check]:
    """The checks of a drill on a gateway that is changed by the fault and by its end."""

    async def struck() -> None:
        strike(behaviour)

    async def healed() -> None:
        heal(behaviour)

    async def all_of_it(url: str) -> list[Check]:
        site = load(str(SITE))
        drill = Drill("test", Fault("something breaks", struck, healed), promise, "", "chat")
        access = Access(url, Path("/dev/null"))
        async with open_bench(site, access, lambda _: None) as bench:
            return judge(site, drill, await run(bench, drill))

    with serving(behaviour) as url:
        checks = asyncio.run(all_of_it(url))
    return {check.name.removeprefix("test: ").split(",")[0]: check for check in checks}


def verdicts(checks: dict[str, Check]) -> dict[str, str]:
    """By claim."""
    return {name: check.verdict for name, check in checks.items()}


SHORT = Promise(affected_s=0.3, restored_s=1.5, outage_s=1.0)
FAILED, WELL, BACK = "requests that failed", "requests are well again", "split restored"
BY_UPSTREAM = "answered by an upstream meanwhile"


def kill_main(behaviour: Behaviour) -> None:
    """The main node is gone."""
    behaviour.dead = frozenset({MAIN})


def revive(behaviour: Behaviour) -> None:
    """All are there."""
    behaviour.dead = frozenset()


def nothing(_: Behaviour) -> None:
    """No change."""


def test_a_lab_that_leaves_a_dead_node_out_passes() -> None:
    checks = drilled(Behaviour(instead=OTHER), kill_main, revive, SHORT)
    assert verdicts(checks) == {FAILED: "pass", WELL: "pass", BY_UPSTREAM: "pass", BACK: "pass"}
    assert checks[FAILED].samples > 50


def test_without_health_checks_requests_go_on_failing() -> None:
    checks = drilled(Behaviour(), kill_main, revive, SHORT)
    assert verdicts(checks) == {FAILED: "fail", WELL: "fail", BY_UPSTREAM: "fail", BACK: "pass"}
    assert "refused of" in checks[FAILED].detail


def test_a_fallback_that_answers_in_an_upstreams_place_is_told() -> None:
    checks = drilled(Behaviour(instead=EDGE), kill_main, revive, SHORT)
    assert verdicts(checks) == {FAILED: "pass", WELL: "pass", BY_UPSTREAM: "fail", BACK: "pass"}
    assert EDGE in checks[BY_UPSTREAM].detail


def test_a_node_that_is_not_taken_back_is_told() -> None:
    checks = drilled(Behaviour(instead=OTHER), kill_main, nothing, SHORT)
    assert verdicts(checks) == {FAILED: "pass", WELL: "pass", BY_UPSTREAM: "pass", BACK: "fail"}
    assert checks[BACK].figure == "not at all"


def test_answers_that_come_too_late_count_as_suffering() -> None:
    def slow(behaviour: Behaviour) -> None:
        behaviour.delay_s = 0.5

    def fast(behaviour: Behaviour) -> None:
        behaviour.delay_s = 0.0

    checks = drilled(Behaviour(), slow, fast, SHORT)
    assert verdicts(checks) == {FAILED: "pass", WELL: "fail", BY_UPSTREAM: "pass", BACK: "pass"}
    felt = Promise(affected_s=None, restored_s=1.5, outage_s=1.0)
    assert verdicts(drilled(Behaviour(), slow, fast, felt)) == {FAILED: "pass", BACK: "pass"}


@pytest.mark.parametrize(("instead", "verdict"), [(EDGE, "pass"), (OTHER, "fail"), ("", "fail")])
def test_the_fallback_has_to_answer_while_no_upstream_does(instead: str, verdict: str) -> None:
    def kill_both(behaviour: Behaviour) -> None:
        behaviour.dead = frozenset({MAIN, OTHER} - {instead})

    promise = Promise(affected_s=0.3, restored_s=1.5, outage_s=1.0, falls_back=EDGE)
    checks = drilled(Behaviour(instead=instead), kill_both, revive, promise)
    assert checks[f"answered by {EDGE} meanwhile"].verdict == verdict
    assert checks[BACK].verdict == "pass"


def test_a_lab_that_was_not_well_before_shows_nothing() -> None:
    checks = drilled(Behaviour(dead=frozenset({MAIN})), kill_main, revive, SHORT)
    assert verdicts(checks) == {"could be held": "inconclusive"}
    assert "before the fault" in checks["could be held"].detail


def test_a_fault_that_does_not_strike_shows_nothing() -> None:
    async def refuses() -> None:
        raise HearthError("agx0: ssh: exit 255")

    async def all_of_it(url: str) -> list[Check]:
        drill = Drill("test", Fault("it breaks", refuses, refuses), SHORT, "", "chat")
        access = Access(url, Path("/dev/null"))
        async with open_bench(load(str(SITE)), access, lambda _: None) as bench:
            return await run_all(bench, [drill])

    with serving(Behaviour()) as url:
        (check,) = asyncio.run(all_of_it(url))
    assert (check.verdict, check.detail) == ("inconclusive", "agx0: ssh: exit 255")


class NoPower:
    """Never used."""

    async def off(self, host: str) -> None:
        """Nothing."""

    async def on(self, host: str) -> None:
        """Nothing."""


def test_drills_follow_from_what_the_site_places() -> None:
    access = Access("", Path("/dev/null"))
    found = drills_of(load("homelab"), access, NoPower())
    assert list(found) == [
        *("node-killed", "node-cut-off", "model-killed", "node-slow", "redis-killed"),
        *("postgres-killed", "gateway-restarted", "ai-lost", "alert-raised"),
    ]
    assert all(drill.cost for drill in found.values())
    lost = found["ai-lost"]
    assert isinstance(lost, Drill)
    assert lost.promise.falls_back == EDGE
    assert found["ai-lost"].fault.what == "agx0 and orin0 lose power"
    minimal = load(str(Path(__file__).parents[1] / "sites" / "valid" / "minimal.yaml"))
    assert "ai-lost" not in drills_of(minimal, access, NoPower())


@pytest.mark.parametrize(
    ("raised", "cleared", "verdicts"),
    [
        (200.0, 30.0, ["pass", "pass"]),
        (None, 1.0, ["fail", "inconclusive"]),
        (200.0, None, ["pass", "fail"]),
    ],
)
def test_an_alert_has_to_come_and_to_go(
    raised: float | None, cleared: float | None, verdicts: list[str]
) -> None:
    drill = drills_of(load("homelab"), Access("", Path("/dev/null")), NoPower())["alert-raised"]
    assert isinstance(drill, AlertDrill)
    assert drill.about == "pi31.node-exporter"
    assert [check.verdict for check in alert.judge(drill, raised, cleared)] == verdicts
