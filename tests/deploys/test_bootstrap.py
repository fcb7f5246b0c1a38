"""Every board becomes ready, a ready one is left alone, and what was changed by hand is undone."""

from __future__ import annotations

from typing import Any

import pytest

from inventory.loading import load
from inventory.paths import PROJECT
from tests.deploys.record import Run

Runs = dict[str, Run]

EXPECTED = PROJECT / "tests" / "deploys" / "expected"
BOARDS = sorted(load(str(PROJECT / "tests" / "sites" / "valid" / "boards.yaml")).hosts)
ACCOUNT = "User hearth and its key"
OUR_KEY = (PROJECT / "tests" / "deploys" / "keys" / "id_ed25519.pub").read_text()
KEYS, NEW_KEY = "~hearth/.ssh/authorized_keys", "/run/hearth-key-of-hearth"
ADMITS = (
    "install -d -m 700 -o hearth -g hearth ~hearth/.ssh && "
    f"install -m 600 -o hearth -g hearth {NEW_KEY} {KEYS}.new && "
    f"mv {KEYS}.new {KEYS} && rm -f {NEW_KEY}"
)
IN_SANDBOX = ["nano-r32", "pi3", "pi5"]
READ_BY = [
    ("agx-r36", "Docker's version is pinned", ""),
    ("pi3", "Kernel settings", "sysctl -qp /etc/sysctl.d/90-hearth.conf"),
    ("pi4", "sshd settings", "systemctl reload ssh"),
    ("pi4", "Time servers", "systemctl try-restart chrony"),
    ("pi4-trixie", "Journal's limits", "systemctl restart systemd-journald"),
    ("pi4-trixie", "Greeting", ""),
    (
        "orin-nano-r35",
        "Metrics' unit",
        "systemctl daemon-reload && systemctl start hearth-metrics.service",
    ),
    (
        "orin-nano-r36",
        "Metrics' timer",
        "systemctl daemon-reload && systemctl try-restart hearth-metrics.timer",
    ),
    (
        "pi5",
        "Docker settings",
        "systemctl try-restart docker || ! systemctl cat docker >/dev/null 2>&1",
    ),
    ("pi5-trixie", "Docker waits for the data disk", "systemctl daemon-reload"),
]
"""Machines on which a file is out of date, the operation that replaces it, what reads it then."""


def place(run: Run, host: str, subject: str) -> int:
    """Where in a machine's operations one stands."""
    return run.titles(host).index(subject)


@pytest.mark.parametrize("path", sorted(EXPECTED.glob("*.txt")), ids=lambda path: path.stem)
def test_what_happens_to_a_board_is_written_down(path: Any, report: dict[str, Any]) -> None:
    assert report["stories"].get(path.name) == path.read_text(), (
        "if this is meant: `python -m tests.deploys.boards --write`, and read the difference"
    )


def test_every_board_is_written_down(report: dict[str, Any]) -> None:
    assert set(report["stories"]) == {path.name for path in EXPECTED.glob("*.txt")}


@pytest.mark.parametrize("what", ["bare", "ready", "sandbox", "sandbox, ready", "stale", "touched"])
def test_nothing_fails(runs: Runs, what: str) -> None:
    assert (runs[what].error, runs[what].failed) == ("", [])


@pytest.mark.parametrize("board", BOARDS)
def test_a_second_run_finds_nothing_to_do(runs: Runs, board: str) -> None:
    assert runs["bare"].commands(board)
    assert runs["ready"].commands(board) == []
    assert runs["ready"].asked[board]


@pytest.mark.parametrize("machine", IN_SANDBOX)
def test_a_second_run_in_the_sandbox_finds_nothing_to_do(runs: Runs, machine: str) -> None:
    assert runs["sandbox"].commands(machine)
    assert runs["sandbox, ready"].commands(machine) == []


def test_a_dry_run_does_nothing_and_foresees_what_will_be_done(runs: Runs, bare: Run) -> None:
    assert runs["bare, dry"].events == []
    done = {event.operation for event in bare.events}
    foreseen = set(runs["bare, dry"].foreseen)
    # Their packages may have started them by then.
    assert foreseen - done <= {"Docker | Docker runs", "Time | Time is kept"}
    assert {operation.rpartition(" | ")[2] for operation in done - foreseen} == {
        # They follow from what others change.
        "Docker's package list",
        "Reboot",
    }


def test_a_dry_run_on_ready_machines_foresees_nothing(runs: Runs) -> None:
    assert runs["ready, dry"].foreseen == []


def test_everything_is_done_as_root(runs: Runs) -> None:
    events = [event for run in runs.values() for event in run.events]
    assert [event for event in events if not event.root] == []


def test_everything_is_asked_as_root(runs: Runs) -> None:
    # Others do not see containers, nor all files.
    assert [question for run in runs.values() for question in run.unprivileged] == []


def test_no_machine_needs_python(bare: Run) -> None:
    commands = [event.command for event in bare.events]
    questions = [question for asked in bare.asked.values() for question in asked]
    assert [line for line in commands + questions if "python" in line.lower()] == []


@pytest.mark.parametrize("board", BOARDS)
def test_settings_are_there_before_the_packages_that_read_them(bare: Run, board: str) -> None:
    installed = place(bare, board, "Packages are installed")
    assert place(bare, board, "apt's settings") < installed
    assert place(bare, board, "Docker settings") < installed


@pytest.mark.parametrize("board", BOARDS)
def test_the_administrator_is_there_before_anything_else(bare: Run, board: str) -> None:
    assert bare.titles(board)[:2] == [ACCOUNT, "sudo for hearth"]


@pytest.mark.parametrize("board", BOARDS)
def test_the_administrator_has_one_key_sudo_and_docker(bare: Run, board: str) -> None:
    assert bare.commands(board, ACCOUNT) == [
        "groupadd --system docker",
        "useradd --create-home --shell /bin/bash --groups docker hearth",
        f"put {NEW_KEY}",
        ADMITS,
    ]
    assert bare.files(board)[KEYS] == OUR_KEY
    assert bare.files(board)["/etc/sudoers.d/hearth"] == "hearth ALL=(ALL) NOPASSWD: ALL\n"


def test_a_strangers_key_is_taken_away(runs: Runs) -> None:
    assert runs["touched"].commands("nano-r32") == [f"put {NEW_KEY}", ADMITS]
    assert runs["touched"].files("nano-r32") == {KEYS: OUR_KEY}


def test_a_key_that_others_can_reach_is_put_right(runs: Runs) -> None:
    assert runs["touched"].commands("agx-r35") == [f"put {NEW_KEY}", ADMITS]


@pytest.mark.parametrize("board", ["pi5-trixie", "pi4-trixie"])
def test_an_account_with_another_shell_or_without_docker_is_put_right(
    runs: Runs, board: str
) -> None:
    assert runs["touched"].commands(board) == [
        "usermod --shell /bin/bash --append --groups docker hearth"
    ]


def test_a_group_that_dockers_package_has_made_is_not_made_again(runs: Runs) -> None:
    first, *_ = runs["touched"].commands("orin-nano-r35")
    assert first == "useradd --create-home --shell /bin/bash --groups docker hearth"


def test_a_file_is_replaced_whole_and_only_if_it_is_sound(bare: Run) -> None:
    new = "/etc/sudoers.d/hearth.hearth-new"
    assert bare.commands("pi5", "sudo for hearth") == [
        "mkdir -p /etc/sudoers.d",
        f"put {new}",
        f"{{ chown root:root {new} && chmod 440 {new} && visudo -qcf {new} && "
        f"mv {new} /etc/sudoers.d/hearth; }} || "
        f"{{ rm -f {new} /etc/sudoers.d/hearth.hearth-old; exit 1; }}",
    ]


@pytest.mark.parametrize("board", BOARDS)
def test_no_file_is_anybodys_to_write(bare: Run, board: str) -> None:
    special = {
        "/etc/sudoers.d/hearth": "440",
        KEYS: "600",
        "/etc/nftables.conf": "755",
        "/usr/local/sbin/hearth-firewall": "755",
        "/usr/local/sbin/hearth-metrics": "755",
    }
    modes = {put.path: put.mode for put in bare.puts(board)}
    assert modes == {path: special.get(path, "644") for path in modes}


def test_permissions_and_owners_are_put_right(runs: Runs) -> None:
    assert runs["touched"].titles("pi3") == ["sudo for hearth"]
    assert runs["touched"].titles("agx-r36") == ["Greeting"]


def test_a_file_that_changed_touches_nothing_but_what_reads_it(runs: Runs) -> None:
    assert {host: runs["stale"].titles(host) for host in sorted(runs["stale"].asked)} == {
        "agx-r35": ["Firewall rules"],
        "agx-r36": ["Docker's version is pinned", "Docker's package list"],
        "nano-r32": ["Firewall rules"],
        "orin-nano-r35": ["Metrics' script", "Metrics' unit"],
        "orin-nano-r36": ["Metrics' timer"],
        "pi3": ["Kernel settings"],
        "pi4": ["sshd settings", "Time servers"],
        "pi4-trixie": ["Journal's limits", "Greeting"],
        "pi5": ["Docker settings"],
        "pi5-trixie": ["Docker waits for the data disk"],
    }


@pytest.mark.parametrize(("board", "title", "reads"), READ_BY)
def test_what_reads_a_file_runs_with_its_replacement(
    runs: Runs, board: str, title: str, reads: str
) -> None:
    assert runs["stale"].follow_up(board, title) == reads


def test_the_greeting_says_what_the_machine_is_and_runs(bare: Run) -> None:
    greeting = bare.files("pi5")["/etc/motd"]
    assert "pi5: Raspberry Pi 5 (8 GB), gateway of boards, 10.20.0.20\n" in greeting
    assert "runs: nginx :80 :443 :3000, engine :8000 :8405, redis :6379\n" in greeting
    assert "runs: network-tools :53\n" in bare.files("pi3")["/etc/motd"]
    assert "runs: nothing yet\n" in bare.files("pi4-trixie")["/etc/motd"]


@pytest.mark.parametrize("board", BOARDS)
def test_every_board_tells_about_itself_by_its_name_in_the_site(bare: Run, board: str) -> None:
    unit = bare.files(board)["/etc/systemd/system/hearth-metrics.service"].splitlines()
    assert f"ExecStart=/usr/local/sbin/hearth-metrics {board}" in unit
    assert "StateDirectory=hearth/metrics" in unit
    assert bare.commands(board, "Metrics are written") == [
        "systemctl enable hearth-metrics.timer",
        "systemctl start hearth-metrics.timer",
    ]


@pytest.mark.parametrize("board", BOARDS)
def test_the_first_metrics_are_written_once_docker_runs(bare: Run, board: str) -> None:
    assert place(bare, board, "Packages are installed") < place(bare, board, "Metrics' unit")


def test_logs_never_fill_a_card(bare: Run) -> None:
    limits = bare.files("pi3")["/etc/systemd/journald.conf.d/hearth.conf"].splitlines()
    assert {"SystemMaxUse=200M", "SystemKeepFree=500M"} <= set(limits)
    assert bare.follow_up("pi3", "Journal's limits") == "systemctl restart systemd-journald"
