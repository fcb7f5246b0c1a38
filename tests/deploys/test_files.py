"""A file and what reads it change together: the real commands, run by a shell in a folder."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.deploys.record import PLACED, Run

OLD = "what was there before\n"
BOARD = "pi5-trixie"
READ = (
    "sshd settings",
    "Time servers",
    "Docker settings",
    "Journal's limits",
    "Kernel settings",
    "Data disk is known",
    "Docker waits for the data disk",
)
"""Operations with a file that something reads."""
PROGRAMS = ("chown", "sshd", "sysctl", "systemctl")
"""The machine's, for which functions stand here."""
FAILS = {"sysctl": "return 1", "systemctl": '[ "$1" = cat ]'}
"""Docker is there, and nothing that is told to read its settings does."""


@dataclass(frozen=True, slots=True)
class Bench:
    """A file in a folder that stands for a machine's root, and the one that is to replace it.

    Attributes:
        command: what puts the new file in place.
        path: the file's.
        new: the text that is to come.
    """

    command: str
    path: Path
    new: str

    @property
    def there(self) -> dict[str, str]:
        """What the file's folder holds, by name."""
        return {path.name: path.read_text() for path in self.path.parent.iterdir()}

    @property
    def mode(self) -> int:
        """The file's permissions."""
        return self.path.stat().st_mode & 0o777

    def run(self, **bodies: str) -> int:
        """The exit code of the command, where some programs do as these bodies say."""
        functions = dict.fromkeys(PROGRAMS, ":") | bodies
        script = "".join(f"{name}() {{ {body}; }}; " for name, body in functions.items())
        command = ["sh", "-c", script + self.command]
        return subprocess.run(command, capture_output=True, check=False).returncode


def bench(bare: Run, title: str, folder: Path, *, old: str = OLD) -> Bench:
    """The operation of that title on a bench; no file is there before, where `old` is empty."""
    *_, command = bare.commands(BOARD, title)
    steps = PLACED.fullmatch(command)
    assert steps, command
    path = folder / steps["path"].removeprefix("/")
    path.parent.mkdir(parents=True)
    text = bare.files(BOARD)[steps["path"]]
    path.with_name(f"{path.name}.hearth-new").write_text(text)
    if old:
        path.write_text(old)
        path.chmod(0o600)
    return Bench(re.sub("/(etc|run)/", rf"{folder}/\1/", command), path, text)


@pytest.mark.parametrize("title", READ)
def test_a_new_file_is_read_and_stays(bare: Run, tmp_path: Path, title: str) -> None:
    replaced = bench(bare, title, tmp_path)
    assert replaced.run() == 0
    assert replaced.there == {replaced.path.name: replaced.new}
    assert replaced.mode == 0o644


@pytest.mark.parametrize("title", READ)
def test_a_follow_up_that_fails_brings_the_old_file_back(
    bare: Run, tmp_path: Path, title: str
) -> None:
    replaced = bench(bare, title, tmp_path)
    assert replaced.run(**FAILS) == 1
    assert replaced.there == {replaced.path.name: OLD}
    assert replaced.mode == 0o600


@pytest.mark.parametrize("title", READ)
def test_where_there_was_no_file_a_follow_up_that_fails_leaves_none(
    bare: Run, tmp_path: Path, title: str
) -> None:
    replaced = bench(bare, title, tmp_path, old="")
    assert replaced.run(**FAILS) == 1
    assert replaced.there == {}


def test_a_follow_up_finds_the_new_file_in_its_place(bare: Run, tmp_path: Path) -> None:
    replaced = bench(bare, "Time servers", tmp_path)
    assert replaced.run(systemctl=f"cp {replaced.path} {tmp_path}/read") == 0
    assert (tmp_path / "read").read_text() == replaced.new


@pytest.mark.parametrize(
    "refusal", [{"sshd": "return 255"}, {"chown": "return 1"}], ids=["unsound", "not root's"]
)
def test_a_file_that_is_refused_replaces_nothing_and_nobody_reads_it(
    bare: Run, tmp_path: Path, refusal: dict[str, str]
) -> None:
    replaced = bench(bare, "sshd settings", tmp_path)
    assert replaced.run(**refusal, systemctl=f"touch {tmp_path}/read") == 1
    assert replaced.there == {replaced.path.name: OLD}
    assert replaced.mode == 0o600
    assert not (tmp_path / "read").exists()


def test_settings_of_an_engine_that_is_not_there_yet_stay(bare: Run, tmp_path: Path) -> None:
    replaced = bench(bare, "Docker settings", tmp_path, old="")
    assert replaced.run(systemctl="return 5") == 0
    assert replaced.there == {"daemon.json": replaced.new}


def test_a_file_that_does_not_get_into_its_place_is_a_failure(bare: Run, tmp_path: Path) -> None:
    replaced = bench(bare, "Time servers", tmp_path)
    assert replaced.run(mv="return 1") == 1


def test_an_old_file_that_cannot_be_kept_is_not_replaced(bare: Run, tmp_path: Path) -> None:
    replaced = bench(bare, "Time servers", tmp_path)
    full_disk = f"printf half >{replaced.path}.hearth-old; return 1"
    assert replaced.run(**FAILS, cp=full_disk) == 1
    assert replaced.there[replaced.path.name] == OLD
