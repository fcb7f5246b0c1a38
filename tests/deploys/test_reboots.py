"""Reboots: one machine after the other, and none after one that is not well again."""

from __future__ import annotations

import pytest

from tests.deploys.record import Run

Runs = dict[str, Run]

SECOND = "nano-r32"
REASON = "reboot for libc6, linux-image"
GONE = "it has not come back within 300 s; look at its power and its screen"
NOT_WELL = {
    "lost": GONE,
    "not rebooted": GONE,
    "unit": "unit chrony.service failed (systemctl status chrony.service)",
    "service": "docker does not run (systemctl status docker)",
    "container": "container redis is not healthy (docker logs redis)",
}

GIVEN = {"lost": 300, "not rebooted": 300, "unit": 20, "service": 20, "container": 180}
"""Seconds: services start by themselves or not at all, containers load models."""


def rebooted(run: Run) -> list[str]:
    """The machines that were rebooted, in this order."""
    return [event.host for event in run.events if "systemctl reboot" in event.command]


def test_a_machine_that_needs_no_reboot_gets_none(runs: Runs) -> None:
    assert rebooted(runs["ready"]) == []


def test_every_machine_that_needs_one_is_rebooted_once_and_for_its_reasons(runs: Runs) -> None:
    run = runs["reboots"]
    assert sorted(rebooted(run)) == ["agx-r36", "nano-r32", "pi3", "pi4", "pi5", "pi5-trixie"]
    assert [host for host in rebooted(run) if f"Begins: {REASON}" not in run.says(host)] == []


def test_reboots_go_in_the_order_of_tiers(runs: Runs) -> None:
    assert rebooted(runs["reboots"]) == ["pi5-trixie", "agx-r36", "nano-r32", "pi5", "pi4", "pi3"]


@pytest.mark.parametrize("what", NOT_WELL)
def test_a_machine_that_is_not_well_again_says_what_is_missing(runs: Runs, what: str) -> None:
    run = runs[f"reboots, {what}"]
    assert f"Not well after {REASON}: {NOT_WELL[what]}" in run.says(SECOND)


@pytest.mark.parametrize("what", NOT_WELL)
def test_after_it_the_rest_is_left_alone(runs: Runs, what: str) -> None:
    run = runs[f"reboots, {what}"]
    first, second = rebooted(run)
    (third,) = {"pi5-trixie", "pi5"} - {first}
    assert second == SECOND
    assert f"Left alone: {SECOND} is not well ({REASON} waits)" in run.says(third)
    assert run.failed == sorted([second, third])


@pytest.mark.parametrize(("what", "seconds"), GIVEN.items())
def test_each_trouble_is_given_its_time_and_no_more(runs: Runs, what: str, seconds: int) -> None:
    assert seconds <= runs[f"reboots, {what}"].seconds <= seconds + 10


@pytest.mark.parametrize("what", ["away", "slow"])
def test_a_machine_that_takes_its_time_is_waited_for(runs: Runs, what: str) -> None:
    run = runs[f"reboots, {what}"]
    assert rebooted(run)[1] == SECOND
    assert len(rebooted(run)) == 3
    assert run.failed == []


@pytest.mark.parametrize("what", ["reboots, cut", "reboot, cut"])
def test_a_machine_that_is_met_on_its_way_down_is_waited_for(runs: Runs, what: str) -> None:
    assert SECOND in rebooted(runs[what])
    assert runs[what].failed == []


def test_a_reboot_that_is_postponed_is_said_and_not_done(runs: Runs) -> None:
    assert runs["postponed"].commands("pi5") == []
    assert "Postponed: reboot for libc6, linux-image" in runs["postponed"].says("pi5")


def test_a_reboot_does_not_wait_for_its_own_connection(runs: Runs) -> None:
    assert runs["reboots"].commands("pi5") == [
        "( sleep 1; systemctl reboot ) </dev/null >/dev/null 2>&1 &"
    ]
