"""What pyinfra prints becomes counts, or the machines that failed with their reasons and mends."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from hearth.deploys import Deploy, Deployed, limited
from inventory.errors import HearthError
from inventory.loading import load

SITE = load("homelab")
HOSTS = list(SITE.hosts)
LOCKED_OUT = (
    "Locked out: the new firewall rules refuse a new ssh connection from here; the old ones come "
    "back within 60 s. Is this machine's address in network.management?"
)
HELD = (
    "E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 811 (unattended-upgr)"
)
FULL = "E: You don't have enough free space in /var/cache/apt/archives/."
GREENLET = """\
Traceback (most recent call last):
  File "src/gevent/greenlet.py", line 900, in gevent._gevent_cgreenlet.Greenlet.run
  File "/x/paramiko/proxy.py", line 108, in close
    os.kill(self.process.pid, signal.SIGTERM)
ProcessLookupError: [Errno 3] No such process
2026-07-01T10:00:00Z <Greenlet at 0x7f0e: _watch(Host(pi51), <paramiko.Transport>)> failed with \
ProcessLookupError
"""


def said(host: str, text: str) -> str:
    """A line about a machine; on a terminal pyinfra colours its name."""
    return f"    [\x1b[1m{host}\x1b[0m]  {text}\n"


def connected(*hosts: str) -> str:
    """How a run begins that reaches these machines."""
    lines = (said(host, "\x1b[32mConnected\x1b[0m") for host in hosts)
    return f"--> Connecting to hosts...\n{''.join(lines)}--> Preparing operation files...\n"


def operation(title: str, *lines: str, kind: str = "") -> str:
    """An operation, and what machines say in it."""
    return f"--> Starting {kind}operation: {title} \n{''.join(lines)}"


def failure(host: str, *lines: str) -> str:
    """A machine's operation that fails, with what it says."""
    printed = (said(host, line) for line in (*lines, "Error: executed 0 commands"))
    return "".join(printed)


def report(*operations: dict[str, object], failed: Sequence[str] = ()) -> str:
    """The line that `--json` is for."""
    results = {"operations": operations, "totals": {}, "failed_hosts": failed}
    return json.dumps({"plan": [], "results": results}) + "\n"


def counted(
    name: str, success: Sequence[str] = (), no_change: Sequence[str] = ()
) -> dict[str, object]:
    """An operation in the report."""
    return {"name": name, "success": success, "error": [], "no_change": no_change}


@dataclass(frozen=True, slots=True)
class Pyinfra:
    """A program in pyinfra's place, that prints what it is told to and notes how it was called."""

    folder: Path

    def prints(self, *parts: str) -> None:
        """What it will print."""
        (self.folder / "output").write_text("".join(parts))

    @property
    def called(self) -> bool:
        """Whether it has been run."""
        return (self.folder / "arguments").exists()

    @property
    def arguments(self) -> list[str]:
        """Of its command line."""
        return (self.folder / "arguments").read_text().splitlines()

    @property
    def site(self) -> str:
        """The site that its environment names."""
        return (self.folder / "site").read_text().strip()


@pytest.fixture
def pyinfra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pyinfra:
    program = tmp_path / "pyinfra"
    program.write_text(
        f'#!/bin/sh\nprintf "%s\\n" "$@" >{tmp_path}/arguments\n'
        f'echo "$HEARTH_SITE" >{tmp_path}/site\ncat {tmp_path}/output\n'
    )
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    return Pyinfra(tmp_path)


def deploy(*limit: str, progress: Callable[[str], None] = lambda _: None) -> Deployed:
    """Runs the bootstrap of the home lab."""
    return Deploy("bootstrap", "homelab", SITE, limit).run(progress)


def complaint(*limit: str) -> str:
    """What a bootstrap that fails says."""
    with pytest.raises(HearthError) as raised:
        deploy(*limit)
    return str(raised.value)


def test_what_was_done_is_counted_over_all_machines(pyinfra: Pyinfra) -> None:
    pyinfra.prints(
        connected(*HOSTS),
        report(
            counted("Docker runs", success=HOSTS[:2], no_change=HOSTS[2:]),
            counted("Greeting", no_change=HOSTS),
            counted("Swap settings", success=["nano"]),
        ),
    )
    assert deploy() == Deployed(changed=3, unchanged=12, ready=set(HOSTS))


def test_operations_are_told_as_they_start_and_so_is_each_machines_turn(pyinfra: Pyinfra) -> None:
    pyinfra.prints(
        connected(*HOSTS),
        operation("Packages | Packages are installed", said("nano", "No changes")),
        operation(
            "Reboots | Reboot",
            said("agx0", "Begins: reboot for libc6"),
            said("agx0", "Connected"),
            said("agx0", "Success"),
            kind="serial ",
        ),
        report(),
    )
    told: list[str] = []
    deploy(progress=told.append)
    assert told == ["Packages are installed", "Reboot", "agx0: reboot for libc6"]


def test_each_machine_that_failed_has_its_own_reason_and_remedy(pyinfra: Pyinfra) -> None:
    pyinfra.prints(
        "--> Connecting to hosts...\n",
        said("pi52", "EOF error ()"),
        connected("pi51", "agx0", "orin0", "pi41", "pi31"),
        operation(
            "Packages | Packages are installed",
            said("pi41", "Success"),
            failure("pi51", HELD),
            failure("pi31", "Reading package lists...", FULL),
            said("orin0", "Lost: no answer for 15 s"),
            failure("orin0", "Command socket/SSH error: OSError: Socket is closed"),
        ),
        operation(
            "Firewall | Firewall rules",
            said("pi41", "Success"),
            failure("agx0", LOCKED_OUT),
        ),
        report(counted("Firewall rules", success=["pi41"]), failed=["agx0", "orin0"]),
    )
    assert complaint().splitlines() == [
        "bootstrap: 6 of 7 machines are not ready",
        f"    agx0  Firewall rules: {LOCKED_OUT}",
        "    nano  connection: Could not connect",
        "        look at its power and its network",
        "    orin0  Packages are installed: Lost: no answer for 15 s",
        "        look at its power and its network",
        f"    pi31  Packages are installed: {FULL}",
        "        its disk is full: `df -h` and `docker system prune` there",
        f"    pi51  Packages are installed: {HELD}",
        "        another installation is under way there; wait for it to end",
        "    pi52  connection: EOF error ()",
        "        look at its power and its network",
        "then run `hearth bootstrap homelab` again: it continues",
    ]


@pytest.mark.parametrize(
    ("line", "remedy"),
    [
        (
            "Authentication error (username=pi, key=/home/me/.ssh/id_ed25519)",
            "is the key of ssh.identity_file admitted there for ssh.login_user?",
        ),
        (
            "SSH host key error (Host key for 192.168.1.154 does not match.)",
            "was it flashed again? then remove its line from known_hosts",
        ),
        ("SSH error (No existing session)", "look at its power and its network"),
    ],
)
def test_a_connection_that_is_refused_says_what_to_do(
    pyinfra: Pyinfra, line: str, remedy: str
) -> None:
    pyinfra.prints(said("agx0", line), "--> pyinfra error: No hosts remaining!\n")
    assert complaint("agx0").splitlines()[1:3] == [
        f"    agx0  connection: {line}",
        f"        {remedy}",
    ]


@pytest.mark.parametrize("why", ["timed out", "[Errno None] Unable to connect to port 22 on nano"])
def test_a_machine_that_was_not_reached_says_why(pyinfra: Pyinfra, why: str) -> None:
    pyinfra.prints(connected("pi31"), said("nano", f"Could not connect ({why})"), report())
    assert f"    nano  connection: Could not connect ({why})\n" in complaint("nano", "pi31")


@pytest.mark.parametrize(
    ("line", "remedy"),
    [
        ("E: Failed to fetch http://deb.debian.org/debian/pool/d.deb", "its package mirror"),
        ("Err:1 Temporary failure resolving 'deb.debian.org'", "its package mirror"),
        ("sudo: a password is required", "sudo asks for a password there"),
        ("sh: 1: echo: echo: I/O error: No space left on device", "its disk is full"),
        ("E: Could not get lock /var/lib/apt/lists/lock", "another installation is under way"),
    ],
)
def test_a_command_that_fails_says_what_to_do(pyinfra: Pyinfra, line: str, remedy: str) -> None:
    pyinfra.prints(connected("nano"), operation("Packages | Package lists", failure("nano", line)))
    _, reason, mend, _ = complaint("nano").splitlines()
    assert reason == f"    nano  Package lists: {line}"
    assert remedy in mend


def test_a_reason_without_a_remedy_stands_alone(pyinfra: Pyinfra) -> None:
    pyinfra.prints(connected("nano"), operation("Docker | Docker runs", failure("nano", "exit 3")))
    assert complaint("nano").splitlines() == [
        "bootstrap: 1 of 1 machines are not ready",
        "    nano  Docker runs: exit 3",
        "then run `hearth bootstrap homelab --limit nano` again: it continues",
    ]


def test_the_first_reason_is_kept(pyinfra: Pyinfra) -> None:
    pyinfra.prints(
        connected("nano"),
        operation("Packages | Package lists", failure("nano", FULL)),
        operation("Docker | Docker runs", failure("nano", "E: something else")),
    )
    assert f"    nano  Package lists: {FULL}\n" in complaint("nano")
    assert "something else" not in complaint("nano")


def test_a_loss_is_the_reason_of_what_failed_just_before_it_was_noticed(pyinfra: Pyinfra) -> None:
    lost = "Lost: the connection has ended"
    pyinfra.prints(
        connected("nano"),
        operation("Docker | Docker runs", failure("nano", "Socket is closed"), said("nano", lost)),
    )
    assert f"    nano  Docker runs: {lost}\n" in complaint("nano")


def test_of_many_lines_the_last_telling_ones_are_the_reason(pyinfra: Pyinfra) -> None:
    lines = [
        "Reading package lists...",
        "E: one",
        "E: two",
        "E: two",
        "E: three",
        "E: four",
        "Done",
    ]
    pyinfra.prints(connected("nano"), operation("Packages | Lists", failure("nano", *lines)))
    assert "    nano  Lists: E: two; E: three; E: four\n" in complaint("nano")


def test_what_a_machine_said_in_an_earlier_operation_is_no_reason(pyinfra: Pyinfra) -> None:
    pyinfra.prints(
        connected("nano"),
        operation("Packages | Lists", said("nano", "E: of no consequence")),
        operation("Docker | Docker runs", failure("nano")),
    )
    assert "    nano  Docker runs: it said nothing\n" in complaint("nano")


def test_a_machine_that_only_speaks_of_errors_is_ready(pyinfra: Pyinfra) -> None:
    pyinfra.prints(
        connected(*HOSTS),
        operation(
            "Packages | Packages are installed",
            said("nano", "Setting up libgpg-error0 (1.46-1) ..."),
            said("nano", "Error (ignored): could not load fact: deploys.facts.health.HealthFact"),
            said("nano", "Success"),
        ),
        report(counted("Packages are installed", success=["nano"])),
    )
    assert deploy().ready == set(HOSTS)


def test_a_machine_that_does_not_answer_a_question_is_not_ready(pyinfra: Pyinfra) -> None:
    fact = "Error: could not load fact: deploys.facts.packages.Upgradable"
    pyinfra.prints(
        connected(*HOSTS),
        said("nano", "sudo: a password is required"),
        said("nano", fact),
        operation("Upgrade | Package lists", said("pi51", "Success")),
        report(counted("Package lists", success=HOSTS[:-2]), failed=["nano"]),
    )
    assert "    nano  " in complaint()


def test_where_no_machine_is_left_each_has_its_reason(pyinfra: Pyinfra) -> None:
    pyinfra.prints(
        connected("nano", "pi31"),
        operation("Packages | Lists", failure("nano", FULL), failure("pi31", HELD)),
        "--> pyinfra error in /work/deploys/bootstrap.py line 30: No hosts remaining!\n",
    )
    first, *_ = lines = complaint("nano", "pi31").splitlines()
    assert first == "bootstrap: 2 of 2 machines are not ready"
    assert {f"    nano  Lists: {FULL}", f"    pi31  Lists: {HELD}"} < set(lines)


def test_reboots_that_wait_are_told_with_what_they_are_for(pyinfra: Pyinfra) -> None:
    pyinfra.prints(
        connected(*HOSTS),
        operation(
            "Reboots | Reboot waits",
            said("agx0", "Postponed: reboot for libc6"),
            said("agx0", "No changes"),
        ),
        report(counted("Reboot waits", no_change=HOSTS)),
    )
    done = deploy()
    assert done.postponed == {"agx0": "reboot for libc6"}
    assert done.ready == set(HOSTS)


def test_the_machines_after_one_that_is_not_well_are_named_too(pyinfra: Pyinfra) -> None:
    unwell = "Not well after reboot for libc6: docker does not run (systemctl status docker)"
    pyinfra.prints(
        connected("agx0", "nano"),
        operation(
            "Reboots | Reboot",
            said("agx0", "Begins: reboot for libc6"),
            said("agx0", "Connected"),
            failure("agx0", unwell),
            failure("nano", "Left alone: agx0 is not well (reboot for libc6 waits)"),
            kind="serial ",
        ),
        report(),
    )
    assert complaint("agx0", "nano").splitlines()[1:3] == [
        f"    agx0  Reboot: {unwell}",
        "    nano  Reboot: Left alone: agx0 is not well (reboot for libc6 waits)",
    ]


def test_a_refusal_says_that_nothing_was_touched(pyinfra: Pyinfra) -> None:
    why = "pi51: runs debian-13, the site says debian-12; correct hosts.pi51.os, or flash the board"
    error = "\x1b[31m\x1b[1mpyinfra error in /work/deploys/admission.py line 30\x1b[0m"
    pyinfra.prints(connected(*HOSTS), f"--> {error}: {why}\n")
    assert complaint() == f"bootstrap: nothing was touched: {why}"


def test_a_deploy_that_breaks_is_a_refusal_with_the_exceptions_message(pyinfra: Pyinfra) -> None:
    pyinfra.prints(
        connected(*HOSTS),
        "--> \x1b[31mAn exception occurred in: deploys/bootstrap.py\x1b[0m:\n\n",
        "Traceback (most recent call last):\n",
        '  File "/work/deploys/bootstrap.py", line 27, in <module>\n',
        "    planned = site.hosts[host.name]\n",
        "inventory.errors.HearthError: homelab.yaml: hosts.pi51: no such board (pi9)\n\n",
        "--> Disconnecting from hosts...\n",
    )
    assert complaint() == (
        "bootstrap: nothing was touched: homelab.yaml: hosts.pi51: no such board (pi9)"
    )


def test_what_breaks_after_operations_have_started_is_no_refusal(pyinfra: Pyinfra) -> None:
    pyinfra.prints(
        connected(*HOSTS),
        operation("Docker | Docker runs", *(said(host, "Success") for host in HOSTS)),
        "--> An internal exception occurred:\n\n",
        '  File "/work/deploys/kernel.py", line 53, in _memory_cgroups\n',
        "AttributeError: 'NoneType' object has no attribute 'text'\n",
    )
    assert "nothing was touched" not in complaint()


def test_trouble_in_the_background_is_no_refusal(pyinfra: Pyinfra) -> None:
    pyinfra.prints(connected(*HOSTS), GREENLET, report(counted("Greeting", no_change=HOSTS)))
    assert deploy() == Deployed(unchanged=7, ready=set(HOSTS))


def test_a_run_without_a_report_is_a_failure_with_its_last_words(pyinfra: Pyinfra) -> None:
    pyinfra.prints("x\n" * 1000, connected(*HOSTS), "Killed\n")
    first, *last = complaint().splitlines()
    assert first == "bootstrap: pyinfra ended without a report:"
    assert last[-1] == "Killed"
    assert len("\n".join(last)) <= 800


def test_a_run_for_all_machines_names_none(pyinfra: Pyinfra) -> None:
    pyinfra.prints(connected(*HOSTS), report())
    deploy()
    assert pyinfra.arguments == ["-y", "--json", "inventory/hosts.py", "deploys/bootstrap.py"]
    assert pyinfra.site == "homelab"


def test_hosts_tiers_and_data_are_handed_on(pyinfra: Pyinfra) -> None:
    pyinfra.prints(connected("pi31", "agx0", "orin0"), report())
    Deploy("upgrade", "sites/homelab.yaml", SITE, ["pi31", "ai"]).run(
        lambda _: None, {"reboot": "no"}
    )
    assert pyinfra.arguments == [
        *["-y", "--json", "inventory/hosts.py", "deploys/upgrade.py"],
        *["--limit", "pi31", "--limit", "ai", "--data", "reboot=no"],
    ]
    assert pyinfra.site == "sites/homelab.yaml"


def test_nothing_secret_stands_on_the_command_line(
    pyinfra: Pyinfra, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEARTH_SUDO_PASSWORD", "correct horse")
    pyinfra.prints(connected(*HOSTS), report())
    deploy()
    line = " ".join(pyinfra.arguments)
    secrets = ("correct horse", "password", str(SITE.ssh.identity_path), "--key", "--ssh")
    assert [secret for secret in secrets if secret in line] == []


def test_machines_outside_the_limit_are_not_missed(pyinfra: Pyinfra) -> None:
    pyinfra.prints(connected("nano"), report(counted("Greeting", success=["nano"])))
    assert deploy("nano") == Deployed(changed=1, ready={"nano"})


def test_the_command_that_continues_is_for_the_same_machines(pyinfra: Pyinfra) -> None:
    pyinfra.prints(connected("nano"), operation("Docker | Docker runs", failure("nano")))
    assert complaint("nano").splitlines()[-1] == (
        "then run `hearth bootstrap homelab --limit nano` again: it continues"
    )


def test_an_unknown_limit_is_refused_before_anything_runs(pyinfra: Pyinfra) -> None:
    assert complaint("nanno").startswith(
        "--limit: no such host or tier (nanno); did you mean nano? known are "
    )
    assert not pyinfra.called


def test_a_limit_is_of_hosts_and_tiers() -> None:
    tier = {name for name, host in SITE.hosts.items() if host.tier == "ai"}
    assert len(tier) > 1
    assert limited(SITE, []) == set(HOSTS)
    assert limited(SITE, ["nano"]) == {"nano"}
    assert limited(SITE, ["ai"]) == tier
    assert limited(SITE, ["ai", "nano"]) == tier | {"nano"}


def test_a_tier_without_machines_means_none() -> None:
    site = SITE.model_copy(update={"hosts": {"nano": SITE.hosts["nano"]}})
    assert limited(site, ["ai"]) == set()
