"""Seven bare machines become ready ones, whatever happens meanwhile."""

from __future__ import annotations

import json
import re
import shlex
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Self

import pytest

from inventory.loading import load
from tests.e2e import faults
from tests.e2e.conftest import SITE_FILE, Lab, Ran, run

pytestmark = pytest.mark.e2e

SUDO_PASSWORD = "correct horse battery staple"  # noqa: S105 - of a machine made for this
SUDOERS = "/etc/sudoers.d/debian"


@pytest.fixture(scope="module")
def bare() -> Iterator[Lab]:
    """Seven machines as they come from their vendors."""
    lab = Lab(load(str(SITE_FILE)))
    lab.hearth("down", str(SITE_FILE), timeout=120)
    ran = lab.hearth("sandbox", "up", str(SITE_FILE))
    assert ran.code == 0, ran.output
    yield lab
    lab.hearth("down", str(SITE_FILE), timeout=120)


def bootstrap(lab: Lab, *options: str, site: Path = SITE_FILE) -> Ran:
    """The command that a person would run."""
    return lab.hearth("bootstrap", str(site), *options)


def reasons(output: str) -> dict[str, str]:
    """Why machines are not ready, by machine, as the report says."""
    lines = output.partition("machines are not ready\n")[2].splitlines()
    found = (re.match(r" {4}(\S+)  (.*)", line) for line in lines)
    return {match[1]: match[2] for match in found if match}


def test_the_doctor_finds_nothing_in_the_way_of_bare_machines(bare: Lab) -> None:
    ran = bare.hearth("doctor", str(SITE_FILE), "--json")
    assert ran.code == 0, ran.output
    findings = json.loads(ran.output)["findings"]
    assert not [finding for finding in findings if finding["level"] == "error"]
    absent = {f["host"] for f in findings if f["subject"] == "docker" and f["level"] == "note"}
    assert absent == set(bare.site.hosts)


def test_a_wrong_sudo_password_is_said_before_anything_is_touched(bare: Lab) -> None:
    set_password = f"echo 'debian:{SUDO_PASSWORD}' | sudo chpasswd"
    faults.on(bare, "agx0", f"{set_password} && sudo rm {SUDOERS}")
    none = bootstrap(bare)
    assert none.code == 1
    assert "sudo password of debian on agx0 is needed" in none.output
    wrong = bare.hearth("bootstrap", str(SITE_FILE), env={"HEARTH_SUDO_PASSWORD": "guess"})
    assert wrong.code == 1
    assert "sudo password of debian is wrong on agx0" in wrong.output
    for host in ("agx0", "pi51"):
        assert "hearth" not in faults.on(bare, host, "ls /home")


def test_every_fault_is_reported_by_its_machine_and_the_others_are_finished(bare: Lab) -> None:
    with ExitStack() as harm:
        harm.enter_context(faults.held_lock(bare, "nano"))
        harm.enter_context(faults.full_disk(bare, "pi31"))
        at = faults.unpacking(bare, "pi41", "docker.io")
        harm.enter_context(faults.unplugged(bare, "pi41", at))
        at = faults.unpacking(bare, "orin0", "docker.io")
        harm.enter_context(faults.killed(bare, "orin0", at))
        ran = bare.hearth("bootstrap", str(SITE_FILE), env={"HEARTH_SUDO_PASSWORD": SUDO_PASSWORD})
    assert ran.code == 1, ran.output
    why = reasons(ran.output)
    assert set(why) == {"nano", "pi31", "pi41", "orin0"}, ran.output
    assert "dpkg frontend lock" in why["nano"]
    assert "enough free space" in why["pi31"]
    assert "Lost: no answer" in why["pi41"]
    assert "Lost: " in why["orin0"]
    assert "another installation is under way" in ran.output
    assert "its disk is full" in ran.output
    for host in ("pi51", "pi52", "agx0"):
        assert faults.on(bare, host, "systemctl is-active docker") == "active"


def test_the_next_run_completes_what_was_cut_off(bare: Lab) -> None:
    ran = bootstrap(bare)
    assert ran.code == 0, ran.output
    for host in bare.site.hosts:
        assert bare.ssh(host, "docker info --format '{{.LiveRestoreEnabled}}'") == "true"
        assert bare.ssh(host, "sudo dpkg --audit") == ""


def test_a_second_run_changes_nothing(bare: Lab) -> None:
    ran = bootstrap(bare)
    assert ran.code == 0, ran.output
    assert "7 machines, 0 changes" in ran.output


def test_by_hand_with_dry_diff_and_limit(bare: Lab) -> None:
    bare.ssh(
        "pi31", "echo 'Storage=volatile' | sudo tee -a /etc/systemd/journald.conf.d/hearth.conf"
    )
    program = str(Path(sys.executable).with_name("pyinfra"))
    options = ("--dry", "--diff", "--limit", "utility")
    command = [program, *options, "inventory/hosts.py", "deploys/bootstrap.py"]
    ran = run(command, timeout=60, env={"HEARTH_SITE": str(SITE_FILE)})
    assert ran.code == 0, ran.output
    assert "- Storage=volatile" in re.sub(r"\x1b\[\d+m", "", ran.output)
    assert "[pi51]" not in ran.output
    assert "volatile" in bare.ssh("pi31", "cat /etc/systemd/journald.conf.d/hearth.conf")
    ran = bootstrap(bare, "--limit", "pi31")
    assert "1 machines, 1 changes" in ran.output


def test_greeting_says_which_machine_it_is_and_what_runs_there(bare: Lab) -> None:
    greeting = bare.ssh("pi52", "cat /etc/motd")
    assert "pi52: Raspberry Pi 5 (8 GB), data of e2e, 192.168.1.247" in greeting
    assert "postgres :5432" in greeting


def test_ssh_admits_keys_only_and_an_audit_finds_no_failure(bare: Lab) -> None:
    inside = ["nsenter", f"--net=/run/netns/hearth.{bare.site.name}"]
    address = str(bare.site.hosts["pi51"].address)
    options = ("PreferredAuthentications=password,keyboard-interactive", "BatchMode=yes",
               "StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null")  # fmt: skip
    flags = [flag for option in options for flag in ("-o", option)]
    ran = run([*inside, "ssh", *flags, f"debian@{address}", "true"], timeout=30)
    assert "Permission denied (publickey)" in ran.output
    audit = str(Path(sys.executable).with_name("ssh-audit"))
    ran = run([*inside, audit, "--skip-rate-test", "--level", "fail", address], timeout=60)
    assert "[fail]" not in ran.output, ran.output
    assert ran.code in {0, 2}, ran.output  # 2: warnings, as of key exchanges without quantum


def test_rules_that_would_lock_the_person_out_are_taken_back(bare: Lab, tmp_path: Path) -> None:
    before = bare.ssh("pi31", "cat /etc/nftables.conf")
    elsewhere = tmp_path / "e2e.yaml"
    elsewhere.write_text(
        f"extends: {SITE_FILE.with_suffix('')}\nname: e2e\n"
        "network:\n  management: [10.20.30.0/24]\n"
    )
    ran = bootstrap(bare, "--limit", "pi31", site=elsewhere)
    assert ran.code == 1
    assert "Locked out" in reasons(ran.output)["pi31"]
    deadline = time.monotonic() + 90
    while run(_ssh(bare, "pi31", "true"), timeout=30).code:
        assert time.monotonic() < deadline, "the old rules did not come back"
    assert bare.ssh("pi31", "cat /etc/nftables.conf") == before
    assert "192.168.1.0/24" in bare.ssh("pi31", "sudo nft list table inet hearth")


def test_who_opens_connections_like_mad_is_shut_out_and_nobody_else(bare: Lab) -> None:
    target = str(bare.site.hosts["pi41"].address)
    dial = f"s = socket.socket(); s.settimeout(3); print(s.connect_ex(('{target}', 22)))"
    flood = f"import socket\nfor _ in range(400): {dial}\n{dial}".replace(
        "settimeout(3)", "setblocking(False)", 1
    )
    namespace = str(faults.namespace_of(bare, "nano"))
    ran = run(["nsenter", f"--net={namespace}", sys.executable, "-c", flood], timeout=60)
    assert ran.output.split()[-1] != "0", ran.output
    assert bare.ssh("pi41", "echo in") == "in"


def test_reboots_are_done_one_after_the_other_and_can_be_postponed(bare: Lab) -> None:
    hosts = ("pi52", "agx0", "pi51")  # in the order of tiers: data, ai, gateway
    boots = {}
    for host in hosts:
        bare.ssh(host, "echo a-package | sudo tee /run/reboot-required.pkgs")
        boots[host] = bare.ssh(host, "cat /proc/sys/kernel/random/boot_id")
    ran = bootstrap(bare, "--no-reboot")
    assert ran.code == 0, ran.output
    assert ran.output.count("postponed, reboot for a-package") == 3
    with Watch(bare, hosts) as watch:
        ran = bootstrap(bare)
    assert ran.code == 0, ran.output
    assert "7 machines, 3 changes" in ran.output
    for host in hosts:
        assert bare.ssh(host, "cat /proc/sys/kernel/random/boot_id") != boots[host]
    assert watch.most_away == 1
    assert watch.order == list(hosts)


class Watch:
    """Looks all the time which machines' ssh does not answer."""

    def __init__(self, lab: Lab, hosts: tuple[str, ...]) -> None:
        self._lab, self._hosts = lab, hosts
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self.most_away = 0
        self.order: list[str] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.is_set():
            away = [host for host in self._hosts if not self._answers(host)]
            self.most_away = max(self.most_away, len(away))
            self.order += [host for host in away if host not in self.order]
            self._over.wait(0.2)  # the firewall shuts out who looks too often

    def _answers(self, host: str) -> bool:
        address = str(self._lab.site.hosts[host].address)
        inside = f"--net=/run/netns/hearth.{self._lab.site.name}"
        return run(["nsenter", inside, "nc", "-zw1", address, "22"], timeout=10).code == 0


def test_an_upgrade_rolls_and_stops_at_the_first_machine_that_is_not_well(bare: Lab) -> None:
    # In the order of tiers: pi52, agx0, pi51. What comes to agx0 breaks its Docker engine.
    for host, script in (("pi52", "true"), ("agx0", "systemctl stop docker.socket docker"),
                         ("pi51", "true")):  # fmt: skip
        _offer_upgrade(bare, host, script)
    ran = bare.hearth("upgrade", str(SITE_FILE))
    assert ran.code == 1, ran.output
    why = reasons(ran.output)
    assert "docker does not run" in why["agx0"], ran.output
    versions = {
        h: bare.ssh(h, "dpkg-query -Wf '${Version}' probe") for h in ("pi52", "agx0", "pi51")
    }
    assert versions == {"pi52": "2", "agx0": "2", "pi51": "1"}
    assert "agx0 is not well" in why["pi51"]
    bare.ssh("agx0", "sudo systemctl start docker")
    ran = bare.hearth("upgrade", str(SITE_FILE))
    assert ran.code == 0, ran.output
    assert bare.ssh("pi51", "dpkg-query -Wf '${Version}' probe") == "2"


def _offer_upgrade(lab: Lab, host: str, script: str) -> None:
    """Version 1 of a package is there, version 2 in a repository; it runs a script."""
    program = shlex.quote((Path(__file__).parent / "offer-upgrade.sh").read_text())
    lab.ssh(host, f"sudo sh -c {program} offer-upgrade {shlex.quote(script)}")


def _ssh(lab: Lab, host: str, command: str) -> list[str]:
    """A new connection as the administrator."""
    config = str(SITE_FILE.parents[3] / ".hearth" / lab.site.name / "ssh_config")
    return ["ssh", "-F", config, "-o", "ConnectTimeout=5", host, command]
