"""Files are put whole, read back, taken away; scripts run; a preview knows what would change."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from pathlib import Path
from typing import Any, TypeVar

import pytest
from google.protobuf import struct_pb2  # type: ignore[import-untyped]
from pulumi.provider.experimental.property_value import PropertyValue
from pulumi.provider.experimental.provider import (
    ConfigureRequest,
    CreateRequest,
    DeleteRequest,
    DiffRequest,
    DiffResponse,
    ReadRequest,
    ReadResponse,
    UpdateRequest,
)
from pulumi.runtime.rpc import UNKNOWN

from provider.machine import ScriptError
from provider.server import HostProvider

FILES = "urn:pulumi:lab::hearth::hearth:homelab:Nginx$hearth:host:Files::pi51.nginx"
SCRIPT = "urn:pulumi:lab::hearth::hearth:homelab:Machine$hearth:host:Script::pi51-limits"
Answer = TypeVar("Answer")
FAKE_SSH = """#!/bin/sh
# The machine is this one; the last argument is what root would run.
[ -e "{down}" ] && { echo "ssh: connect to host pi51 port 22: No route to host" >&2; exit 255; }
echo "$@" >>"{said}"
exec sh
"""


class Machine:
    """A provider whose only machine is a folder."""

    def __init__(self, folder: Path) -> None:
        self.root = folder
        self.folder = folder / "etc" / "nginx"
        self.down = folder / "down"
        self.said = folder / "said"
        self.provider = HostProvider()
        asyncio.run(
            self.provider.configure(
                ConfigureRequest({}, {"sshConfig": PropertyValue("lab/ssh_config")}, True, False)
            )
        )

    def inputs(self, files: Mapping[str, str], reload: str = "") -> dict[str, PropertyValue]:
        """What a program declares; every text is a secret."""
        texts = {path: PropertyValue(text, is_secret=True) for path, text in files.items()}
        return {
            "host": PropertyValue("pi51"),
            "folder": PropertyValue(str(self.folder)),
            "files": PropertyValue(texts),
            "reload": PropertyValue(reload),
        }

    def create(self, files: Mapping[str, str], **more: Any) -> dict[str, PropertyValue]:
        """The state after the files were made; in a preview, what it would be."""
        inputs = self.inputs(files, more.pop("reload", ""))
        return run(
            self.provider.create(CreateRequest(FILES, inputs, 0, more.pop("preview", False)))
        ).properties

    def update(self, files: Mapping[str, str], reload: str = "") -> None:
        """Puts other files in their place."""
        news = self.inputs(files, reload)
        run(self.provider.update(UpdateRequest(FILES, "pi51.nginx", {}, news, 0, [], False)))

    def diff(self, old: dict[str, PropertyValue], new: dict[str, PropertyValue]) -> DiffResponse:
        """What would change."""
        return run(self.provider.diff(DiffRequest(FILES, "pi51.nginx", old, new, [])))

    def read(self, state: dict[str, PropertyValue]) -> ReadResponse:
        """What a refresh finds."""
        return run(self.provider.read(ReadRequest(FILES, "pi51.nginx", state, state)))

    @property
    def there(self) -> dict[str, str]:
        """The folder's files by their paths."""
        found = (path for path in self.folder.rglob("*") if path.is_file())
        return {str(path.relative_to(self.folder)): path.read_text() for path in found}


def run(call: Coroutine[Any, Any, Answer]) -> Answer:
    return asyncio.run(call)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine(tmp_path)
    programs = tmp_path / "bin"
    programs.mkdir()
    text = FAKE_SSH.replace("{down}", str(made.down)).replace("{said}", str(made.said))
    (programs / "ssh").write_text(text)
    (programs / "ssh").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    return made


def test_files_are_put_as_they_are(machine: Machine) -> None:
    text = "it's $HOME `and` \\n\n'quoted' \"too\"\n"
    machine.create({"nginx.conf": text, "dashboards/lab.json": "{}\n"})
    assert machine.there == {"nginx.conf": text, "dashboards/lab.json": "{}\n"}


def test_a_text_without_its_last_newline_gets_it(machine: Machine) -> None:
    state = machine.create({"password": "secret"})
    assert machine.there == {"password": "secret\n"}
    assert (
        machine.diff(machine.read(state).properties, machine.inputs({"password": "secret"})).changes
        is False
    )


def test_files_are_for_root_on_the_machine_and_for_all_in_the_folder(machine: Machine) -> None:
    machine.create({"tls.key": "x", "deep/tls.key": "x"})
    assert machine.folder.parent.stat().st_mode & 0o777 == 0o700
    assert machine.folder.stat().st_mode & 0o777 == 0o755
    assert (machine.folder / "tls.key").stat().st_mode & 0o777 == 0o644
    assert (machine.folder / "deep").stat().st_mode & 0o777 == 0o755


def test_no_content_stands_on_a_command_line(machine: Machine) -> None:
    machine.create({"tls.key": "the-private-key"})
    assert "the-private-key" not in machine.said.read_text()
    assert "pi51 sudo -n sh" in machine.said.read_text()


def test_a_file_that_is_no_longer_wanted_goes(machine: Machine) -> None:
    machine.create({"old.conf": "a", "kept.conf": "b"})
    machine.update({"kept.conf": "b"})
    assert machine.there == {"kept.conf": "b\n"}


def test_the_folder_stays_the_same_one(machine: Machine) -> None:
    machine.create({"nginx.conf": "a"})
    before = machine.folder.stat().st_ino
    machine.update({"nginx.conf": "b"})
    assert machine.folder.stat().st_ino == before


def test_what_reads_the_files_is_told_after_they_are_there(machine: Machine) -> None:
    copy = machine.root / "read"
    machine.create({"nginx.conf": "new"}, reload=f"cp {machine.folder}/nginx.conf {copy}")
    assert copy.read_text() == "new\n"


def test_files_that_are_refused_are_what_they_were(machine: Machine) -> None:
    machine.create({"nginx.conf": "sound"})
    with pytest.raises(ScriptError, match=r"(?s)no such directive.*the files before them are back"):
        machine.update(
            {"nginx.conf": "broken", "more.conf": "x"}, "echo no such directive >&2; false"
        )
    assert machine.there == {"nginx.conf": "sound\n"}
    assert not list(machine.folder.parent.glob("nginx.*"))


def test_nothing_is_left_beside_the_folder(machine: Machine) -> None:
    machine.create({"nginx.conf": "a"})
    machine.update({"nginx.conf": "b"})
    assert [path.name for path in machine.folder.parent.iterdir()] == ["nginx"]


def test_a_preview_touches_nothing_and_knows_the_digest(machine: Machine) -> None:
    seen = machine.create({"nginx.conf": "a"}, preview=True)
    assert machine.there == {}
    made = machine.create({"nginx.conf": "a"})
    assert seen["digest"] == made["digest"]


def test_a_digest_changes_with_a_text_and_not_with_what_reads_it(machine: Machine) -> None:
    digests = [
        machine.create({"a": "1"})["digest"],
        machine.create({"a": "1"}, reload="true")["digest"],
        machine.create({"a": "2"})["digest"],
        machine.create({"b": "1"})["digest"],
    ]
    assert digests[0] == digests[1]
    assert len({str(digest.value) for digest in digests}) == 3


def test_a_digest_of_what_is_not_known_yet_is_not_known(machine: Machine) -> None:
    inputs = machine.inputs({})
    sent = struct_pb2.Struct()
    sent.update({"a": UNKNOWN})
    inputs["files"] = PropertyValue(PropertyValue.unmarshal_map(sent))
    found = run(machine.provider.create(CreateRequest(FILES, inputs, 0, True))).properties
    answered = {key: PropertyValue.marshal(value).string_value for key, value in found.items()}
    assert answered["digest"] == answered["digests"] == UNKNOWN


def test_secrets_stay_secret(machine: Machine) -> None:
    state = machine.create({"tls.key": "x"})
    assert state["files"].contains_secret()
    assert machine.read(state).properties["files"].contains_secret()


def test_the_same_files_are_no_change(machine: Machine) -> None:
    state = machine.create({"a": "1", "b": "2"})
    read = machine.read(state).properties
    assert machine.diff(read, machine.inputs({"a": "1", "b": "2"})).changes is False


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (lambda folder: (folder / "a").write_text("by hand"), 'files["a"]'),
        (lambda folder: (folder / "a").unlink(), 'files["a"]'),
        (lambda folder: (folder / "stranger").write_text("x"), 'files["stranger"]'),
    ],
    ids=["changed", "missing", "added"],
)
def test_what_is_done_by_hand_is_noticed(machine: Machine, spoil: Any, named: str) -> None:
    state = machine.create({"a": "1", "b": "2"})
    spoil(machine.folder)
    found = machine.diff(machine.read(state).properties, machine.inputs({"a": "1", "b": "2"}))
    assert set(found.detailed_diff) == {named}


def test_a_folder_that_is_gone_is_made_again(machine: Machine) -> None:
    state = machine.create({"a": "1"})
    run(machine.provider.delete(DeleteRequest(FILES, "pi51.nginx", state, 0)))
    assert not machine.folder.exists()
    assert not machine.read(state).resource_id


def test_a_changed_text_names_its_file_alone(machine: Machine) -> None:
    state = machine.create({"a": "1", "b": "2"})
    found = machine.diff(state, machine.inputs({"a": "1", "b": "3"}))
    assert set(found.detailed_diff) == {'files["b"]'}
    assert found.replaces == []


@pytest.mark.parametrize("moved", ["host", "folder"])
def test_another_place_is_another_resource(machine: Machine, moved: str) -> None:
    state = machine.create({"a": "1"})
    found = machine.diff(state, {**machine.inputs({"a": "1"}), moved: PropertyValue("/other")})
    assert found.replaces == [moved]


def test_a_machine_that_is_away_is_an_error_with_its_name(machine: Machine) -> None:
    machine.down.touch()
    with pytest.raises(ScriptError, match=r"pi51: .*No route to host"):
        machine.create({"a": "1"})


def test_a_script_runs_when_it_is_new_and_when_a_trigger_changes(machine: Machine) -> None:
    ran = machine.root / "ran"

    def inputs(trigger: str) -> dict[str, PropertyValue]:
        return {
            "host": PropertyValue("pi51"),
            "script": PropertyValue(f"echo {trigger} >>{ran}\n"),
            "triggers": PropertyValue([PropertyValue(trigger)]),
        }

    request = CreateRequest(SCRIPT, inputs("one"), 0, False)
    state = run(machine.provider.create(request)).properties
    same = DiffRequest(SCRIPT, "s", state, inputs("one"), [])
    assert run(machine.provider.diff(same)).changes is False
    other = run(machine.provider.diff(DiffRequest(SCRIPT, "s", state, inputs("two"), [])))
    assert set(other.diffs) == {"script", "triggers"}
    run(machine.provider.update(UpdateRequest(SCRIPT, "s", state, inputs("two"), 0, [], False)))
    assert ran.read_text() == "one\ntwo\n"


def test_a_script_for_changes_alone_runs_for_a_changed_trigger_alone(machine: Machine) -> None:
    ran = machine.root / "ran"

    def inputs(trigger: str, word: str) -> dict[str, PropertyValue]:
        return {
            "host": PropertyValue("pi51"),
            "script": PropertyValue(f"echo {word} >>{ran}\n"),
            "triggers": PropertyValue([PropertyValue(trigger)]),
            "whenNew": PropertyValue(False),
        }

    def update(old: dict[str, PropertyValue], new: dict[str, PropertyValue]) -> None:
        request = UpdateRequest(SCRIPT, "s", old, new, 0, [], False)
        run(machine.provider.update(request))

    first = inputs("postgres:17.1", "a")
    state = run(machine.provider.create(CreateRequest(SCRIPT, first, 0, False))).properties
    assert not ran.exists()
    assert run(machine.provider.diff(DiffRequest(SCRIPT, "s", state, first, []))).changes is False
    update(state, inputs("postgres:17.1", "b"))  # another text is no change of what it guards
    assert not ran.exists()
    update(state, inputs("postgres:17.2", "b"))
    assert ran.read_text() == "b\n"


def test_a_script_for_changes_alone_that_fails_stops_what_waits_for_it(machine: Machine) -> None:
    def inputs(trigger: str) -> dict[str, PropertyValue]:
        return {
            "host": PropertyValue("pi51"),
            "script": PropertyValue("echo 'no room' >&2; exit 1"),
            "triggers": PropertyValue([PropertyValue(trigger)]),
            "whenNew": PropertyValue(False),
        }

    state = run(machine.provider.create(CreateRequest(SCRIPT, inputs("a"), 0, False))).properties
    with pytest.raises(ScriptError, match="pi51: no room"):
        run(machine.provider.update(UpdateRequest(SCRIPT, "s", state, inputs("b"), 0, [], False)))


def test_a_script_that_fails_says_its_last_words(machine: Machine) -> None:
    inputs = {
        "host": PropertyValue("pi51"),
        "script": PropertyValue("echo first; echo 'psql: refused' >&2; exit 3"),
        "triggers": PropertyValue([]),
    }
    with pytest.raises(ScriptError, match="pi51: psql: refused"):
        run(machine.provider.create(CreateRequest(SCRIPT, inputs, 0, False)))
