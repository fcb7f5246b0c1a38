"""The rolling upgrade: one machine after the other; it stops at the first that is not well."""

from __future__ import annotations

import pytest

from tests.deploys.record import Run

Runs = dict[str, Run]

LISTS = "apt-get update"
UPGRADE = (
    "DEBIAN_FRONTEND=noninteractive apt-get -y -o Dpkg::Options::=--force-confdef "
    "-o Dpkg::Options::=--force-confold --with-new-pkgs upgrade"
)
REBOOT = "( sleep 1; systemctl reboot ) </dev/null >/dev/null 2>&1 &"
SECOND = "nano-r32"
NOT_WELL = {
    "not well": "container redis is not healthy (docker logs redis)",
    "refused": "E: Sub-process /usr/bin/dpkg returned an error code (1)",
    "refused without a word": "apt-get failed",
}


def upgraded(run: Run) -> list[str]:
    """The machines that were upgraded, in this order."""
    return [event.host for event in run.events if event.command == UPGRADE]


def test_a_machine_without_newer_packages_has_only_its_lists_read(runs: Runs) -> None:
    assert runs["upgrade, current"].commands("pi5") == [LISTS]


def test_lists_are_read_everywhere_before_the_first_upgrade(runs: Runs) -> None:
    commands = [event.command for event in runs["upgrade"].events]
    assert commands == [LISTS] * 3 + [UPGRADE] * 3


def test_every_machine_says_what_it_upgrades(runs: Runs) -> None:
    for host in upgraded(runs["upgrade"]):
        assert "Begins: upgrade of docker.io, openssl" in runs["upgrade"].says(host)


def test_upgrades_go_in_the_order_of_tiers(runs: Runs) -> None:
    assert upgraded(runs["upgrade"]) == ["pi5-trixie", "nano-r32", "pi5"]


def test_a_machine_that_needs_it_is_rebooted_before_the_next_is_upgraded(runs: Runs) -> None:
    run = runs["upgrade, reboot"]
    assert run.commands(SECOND) == [LISTS, UPGRADE, REBOOT]
    *_, rebooted, last = run.events
    assert (rebooted.host, rebooted.command) == (SECOND, REBOOT)
    assert (last.host, last.command) == (upgraded(run)[-1], UPGRADE)
    assert run.failed == []


@pytest.mark.parametrize("what", NOT_WELL)
def test_a_machine_that_is_not_well_afterwards_stops_the_rest(runs: Runs, what: str) -> None:
    run = runs[f"upgrade, {what}"]
    title = "upgrade of docker.io, openssl"
    first, second = upgraded(run)
    (third,) = {"pi5-trixie", "pi5"} - {first}
    assert second == SECOND
    assert f"Not well after {title}: {NOT_WELL[what]}" in run.says(second)
    assert f"Left alone: {SECOND} is not well ({title} waits)" in run.says(third)
    assert run.failed == sorted([second, third])
