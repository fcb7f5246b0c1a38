"""Sudo without a password is granted once, where it is missing; passwords go by stdin only."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from hearth.sudo import grant_where_needed
from inventory.errors import HearthError
from inventory.loading import load

SITE = load("homelab")
PASSWORD = 'it\'s $HOME; "really" \\n'  # noqa: S105 - what shells would change
WRONG = "something else"
GRANTED = "pi ALL=(ALL) NOPASSWD: ALL\n"
SSH = """\
echo "$*" >>"$LAB/commands"
while [ $# -gt 2 ]; do shift; done
[ -d "$LAB/$1" ] || { echo "ssh: connect to host $1 port 22: No route to host" >&2; exit 255; }
MACHINE=$LAB/$1; export MACHINE
exec sh -c "$(printf %s "$2" | sed "s|/etc/sudoers.d|$MACHINE|g")"
"""
SUDO = """\
[ -f "$MACHINE/password" ] || { [ "$1" = -n ] && exit 0; }
[ "$1" = -n ] && { echo 'sudo: a password is required' >&2; exit 1; }
IFS= read -r typed
[ "$typed" = "$(cat "$MACHINE/password")" ] || { echo 'Sorry, try again.' >&2; exit 1; }
shift 4
"$@"
"""
"""Of `-n true` and of `-k -S -p '' COMMAND`."""
VISUDO = 'grep -qx "[a-z]* ALL=(ALL) NOPASSWD: ALL" "$2"\n'


@dataclass
class Lab:
    """Machines behind an `ssh` of our own; each is a folder, also in the place of its sudoers.d.

    Attributes:
        asked: the prompts that the person saw.
        answer: what the person types.
    """

    folder: Path
    answer: str = PASSWORD
    asked: list[str] = field(default_factory=list)

    def machine(self, name: str, password: str = "") -> Path:
        """A machine whose sudo asks for the password, if there is one."""
        folder = self.folder / name
        folder.mkdir()
        if password:
            (folder / "password").write_text(password)
        return folder

    def grant(self, hosts: Iterable[str]) -> list[str]:
        """Grants sudo where it is needed; the person is there."""

        def ask(prompt: str) -> str:
            self.asked.append(prompt)
            return self.answer

        return grant_where_needed(SITE, hosts, ask)

    @property
    def commands(self) -> list[str]:
        """The command lines of ssh."""
        return (self.folder / "commands").read_text().splitlines()


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, body in {"ssh": SSH, "sudo": SUDO, "visudo": VISUDO}.items():
        (programs / name).write_text(f"#!/bin/sh\n{body}")
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    monkeypatch.setenv("LAB", str(tmp_path))
    monkeypatch.delenv("HEARTH_SUDO_PASSWORD", raising=False)
    monkeypatch.setattr("inventory.ssh.state_dir", tmp_path.joinpath)
    return Lab(tmp_path)


def test_where_nothing_is_needed_nobody_is_asked_and_nothing_changes(lab: Lab) -> None:
    machines = [lab.machine("nano"), lab.machine("pi31")]
    assert lab.grant(["nano", "pi31"]) == []
    assert lab.asked == []
    assert all(command.endswith(" sudo -n true") for command in lab.commands)
    assert [list(machine.iterdir()) for machine in machines] == [[], []]


def test_the_right_password_grants_it_where_it_is_needed_and_nowhere_else(lab: Lab) -> None:
    free, nano, pi31 = (
        lab.machine("pi51"),
        lab.machine("nano", PASSWORD),
        lab.machine("pi31", PASSWORD),
    )
    assert lab.grant(["nano", "pi51", "pi31"]) == ["nano", "pi31"]
    assert lab.asked == ["sudo password of pi on nano, pi31"]
    for machine in (nano, pi31):
        assert (machine / "hearth-pi").read_text() == GRANTED
        assert (machine / "hearth-pi").stat().st_mode & 0o777 == 0o440
        assert {path.name for path in machine.iterdir()} == {"password", "hearth-pi"}
    assert list(free.iterdir()) == []


def test_a_password_in_the_environment_is_asked_of_nobody(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = lab.machine("nano", PASSWORD)
    monkeypatch.setenv("HEARTH_SUDO_PASSWORD", PASSWORD)
    assert lab.grant(["nano"]) == ["nano"]
    assert lab.asked == []
    assert (machine / "hearth-pi").read_text() == GRANTED


def test_a_wrong_password_names_the_machines_and_changes_nothing_there(lab: Lab) -> None:
    right, nano, pi31 = (
        lab.machine("pi51", PASSWORD),
        lab.machine("nano", WRONG),
        lab.machine("pi31", WRONG),
    )
    with pytest.raises(HearthError) as raised:
        lab.grant(["pi51", "nano", "pi31"])
    assert str(raised.value) == (
        "the sudo password of pi is wrong on nano, pi31; nothing was changed there"
    )
    assert (right / "hearth-pi").exists()
    assert [path.name for machine in (nano, pi31) for path in machine.iterdir()] == ["password"] * 2


def test_a_machine_that_does_not_answer_is_left_to_the_deploy(lab: Lab) -> None:
    lab.machine("nano", PASSWORD)
    assert lab.grant(["agx0", "nano"]) == ["nano"]
    assert lab.asked == ["sudo password of pi on nano"]
    assert sum(" agx0 " in command for command in lab.commands) == 1


def test_where_no_machine_answers_nobody_is_asked(lab: Lab) -> None:
    assert lab.grant(["agx0", "nano"]) == []
    assert lab.asked == []


def test_a_password_never_stands_on_a_command_line(lab: Lab) -> None:
    lab.machine("nano", PASSWORD)
    lab.machine("pi31", WRONG)
    with pytest.raises(HearthError, match=r"wrong on pi31;"):
        lab.grant(["nano", "pi31"])
    assert len(lab.commands) == 4
    assert [command for command in lab.commands if PASSWORD in command] == []


def test_ssh_asks_nothing_itself_and_is_the_vendors_user(lab: Lab) -> None:
    lab.machine("nano")
    lab.grant(["nano"])
    config = lab.folder / "homelab" / "ssh_config"
    assert lab.commands == [f"-F {config} -o BatchMode=yes -l pi nano sudo -n true"]
    assert "Host nano\n" in config.read_text()


def test_no_machines_need_nothing(lab: Lab) -> None:
    assert lab.grant([]) == []
    assert lab.asked == []
