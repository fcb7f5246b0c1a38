"""What the tools printed becomes a tally; goals that are missed are told; figures are kept."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from inventory.errors import HearthError
from tests.bench_bootstrap import Tally, Times, Tool, figures, missed, of_ansible, of_pyinfra
from tests.figures import Figure, record

PYINFRA = """\
--> Connecting to hosts...
    [pi51] Connected
    [agx0]  Connected
--> Starting operation: Docker | Docker runs
    [pi51] Success
--> Results:
    Operation                    Hosts   Success   Error   No Change
    Docker | Docker runs         2       1         -       1
    Grand total                  14      3         2       9
"""
ANSIBLE = """\
TASK [Greeting] ****************************************************************
ok: [pi51]
changed: [agx0]

PLAY RECAP *********************************************************************
agx0                       : ok=20   changed=3    unreachable=0    failed=1    skipped=3    rescued=0    ignored=0
nano                       : ok=0    changed=0    unreachable=1    failed=0    skipped=0    rescued=0    ignored=0
pi51                       : ok=21   changed=1    unreachable=0    failed=0    skipped=3    rescued=0    ignored=0
"""  # noqa: E501 - as it is printed
REPEATED = Figure("bootstrap 7 machines repeated", 4.0, "s", "ansible-core 2.19.14", 9.0)


def test_pyinfra_is_tallied_by_its_connections_and_its_grand_total() -> None:
    assert of_pyinfra(PYINFRA) == Tally(machines=2, changed=3, failed=2)


def test_a_dash_of_pyinfra_is_none() -> None:
    assert of_pyinfra(PYINFRA.replace("3         2 ", "-         - ")) == Tally(2, 0, 0)


def test_pyinfra_without_its_grand_total_has_done_nothing() -> None:
    assert of_pyinfra(PYINFRA.partition("--> Results")[0]) == Tally(0, 0, 0)


def test_ansible_is_tallied_by_its_recap() -> None:
    assert of_ansible(ANSIBLE) == Tally(machines=2, changed=4, failed=1)


def test_ansible_without_its_recap_has_done_nothing() -> None:
    assert of_ansible(ANSIBLE.partition("PLAY RECAP")[0]) == Tally(0, 0, 0)


def tool(tally: Tally) -> Tool:
    return Tool("a tool", ["true"], {}, lambda _: tally)


@pytest.mark.parametrize(
    ("tally", "repeated"),
    [(Tally(7, 126, 0), False), (Tally(7, 0, 0), True)],
    ids=["a first run that changes", "a repeated run that does not"],
)
def test_a_run_that_did_its_work_has_a_time(tally: Tally, repeated: bool) -> None:  # noqa: FBT001
    assert tool(tally).seconds(7, repeated=repeated) > 0


@pytest.mark.parametrize(
    ("tally", "repeated", "said"),
    [
        (Tally(7, 0, 0), False, "the first run .* reached 7 of 7 machines, 0 changes, 0 failures"),
        (Tally(7, 1, 0), True, "a repeated run .* 1 changes"),
        (Tally(6, 0, 0), True, "reached 6 of 7"),
        (Tally(7, 126, 1), False, "1 failures"),
    ],
)
def test_a_run_that_did_not_do_its_work_has_none(
    tally: Tally,
    repeated: bool,  # noqa: FBT001
    said: str,
) -> None:
    with pytest.raises(HearthError, match=said):
        tool(tally).seconds(7, repeated=repeated)


def test_figures_compare_the_first_runs_and_the_medians_of_the_repeated_ones() -> None:
    mine, other = Times(40.0, [5.0, 4.0, 9.0]), Times(100.0, [50.0, 40.0, 60.0])
    bare, repeated = figures(mine, other, "ansible-core 2.19.14", 7)
    assert bare == Figure("bootstrap 7 machines bare", 40.0, "s", "ansible-core 2.19.14", 2.5)
    assert repeated == replace(REPEATED, value=5.0, ratio=10.0)


def test_goals_that_are_met_are_not_mentioned() -> None:
    assert missed(REPEATED) == []


def test_each_goal_that_is_missed_is_told_with_its_figure() -> None:
    assert missed(replace(REPEATED, value=6.0, ratio=7.9)) == [
        "bootstrap 7 machines repeated: 6.0 s; it has to take less than 6 s",
        "bootstrap 7 machines repeated: 7.9 times faster than ansible-core 2.19.14; "
        "it has to be 8 times faster at least",
    ]


def test_figures_of_the_same_name_are_replaced_and_others_stay(tmp_path: Path) -> None:
    report = tmp_path / "build" / "bench.json"
    other = Figure("check 10 hosts", 0.1, "s", None, None)
    record([other, REPEATED], report)
    newer = replace(REPEATED, value=3.0)
    record([newer], report)
    assert json.loads(report.read_text()) == [asdict(other), asdict(newer)]
