"""Who may ask the gateway: keys reach the smoke suites and people, and nobody else."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import pytest

from hearth import access, status
from hearth.access import KEY_VARIABLE, access_to, key_file
from hearth.commands import judging, lab
from hearth.engine import Stack
from hearth.secrets import AUTHORITY
from inventory.errors import HearthError
from inventory.loading import load

SITE = load("sandbox")
OPEN = SITE.model_copy(update={"api_clients": ()})


class FakeStack(Stack):
    """A stack whose configuration is a file in a folder, and Pulumi a dictionary."""

    keys: dict[str, str]
    folder: Path
    asked = 0

    @property
    def config_file(self) -> Path:
        """In the folder."""
        return self.folder / "Pulumi.yaml"

    def config(self) -> dict[str, str | None]:
        """The keys, secret."""
        return {self.site.api_key(name): None for name in self.keys} | {AUTHORITY: "pem"}

    def _pulumi(self, *arguments: str, text: str | None = None) -> str:
        del text
        assert arguments[:2] == ("config", "get")
        self.asked += 1
        return self.keys[arguments[2].removeprefix("hearth:apiKey-")] + "\n"


@pytest.fixture
def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeStack:
    monkeypatch.setattr(access, "state_dir", lambda _: tmp_path)
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    made = FakeStack("my/lab.yaml", SITE)
    made.folder = tmp_path
    made.keys = {"phone": "key-1", "smoke": "key-2"}
    made.config_file.touch()
    return made


def test_the_smoke_suites_key_is_a_header_in_a_file_for_its_owner_alone(stack: FakeStack) -> None:
    stack._write_smoke_key()
    assert key_file(SITE).read_text() == "apikey: key-2\n"
    assert key_file(SITE).stat().st_mode & 0o777 == 0o600
    assert access.smoke_key(SITE) == "key-2"


def test_it_is_asked_for_again_only_where_a_setting_has_changed(stack: FakeStack) -> None:
    for _ in range(3):
        stack._write_smoke_key()
    assert stack.asked == 1
    stack.keys["smoke"] = "key-3"
    later = key_file(SITE).stat().st_mtime + 1
    os.utime(stack.config_file, (later, later))
    stack._write_smoke_key()
    assert access.smoke_key(SITE) == "key-3"


def test_it_goes_where_the_routes_are_open(stack: FakeStack) -> None:
    stack._write_smoke_key()
    stack.site = OPEN
    stack._write_smoke_key()
    assert not key_file(SITE).exists()
    assert access.smoke_key(OPEN) == ""


def test_a_key_of_the_environment_comes_first(
    stack: FakeStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack._write_smoke_key()
    monkeypatch.setenv(KEY_VARIABLE, "another")
    assert access_to(SITE).api_key == "another"


@pytest.mark.usefixtures("stack")
def test_without_any_key_nothing_is_asked() -> None:
    with pytest.raises(HearthError, match=r"smoke.header: no API key there; `hearth provision`"):
        access_to(SITE)


def test_a_client_gets_its_key(stack: FakeStack) -> None:
    assert stack.api_key("phone") == "key-1"


def test_who_is_no_client_gets_none(stack: FakeStack) -> None:
    with pytest.raises(
        HearthError,
        match=r"^my/lab.yaml: no such client \(tv\); .*known are phone, laptop, smoke$",
    ):
        stack.api_key("tv")


def test_all_clients_get_theirs_in_the_sites_order(stack: FakeStack) -> None:
    stack.keys["laptop"] = "key-3"
    assert stack.api_keys() == ["key-1", "key-3", "key-2"]


def test_capacity_asks_with_every_clients_key_or_with_the_one_that_is_given(
    stack: FakeStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack.keys["laptop"] = "key-3"
    monkeypatch.setattr("hearth.engine.Stack", lambda *_: stack)
    assert judging._client_keys("my/lab.yaml", SITE) == ["key-1", "key-3", "key-2"]
    monkeypatch.setenv(KEY_VARIABLE, "another")
    assert judging._client_keys("my/lab.yaml", SITE) == ["another"]


def test_a_client_whose_key_is_not_made_yet_is_told_how(stack: FakeStack) -> None:
    with pytest.raises(HearthError, match=r"laptop has no key yet; `hearth provision my/lab.yaml`"):
        stack.api_key("laptop")


@pytest.mark.parametrize("site", [SITE, OPEN], ids=["clients", "open"])
def test_the_command_that_up_prints_asks_with_the_key_without_showing_it(
    stack: FakeStack,
    site: object,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    stack._write_smoke_key()
    monkeypatch.setattr(status, "look", lambda _: status.SiteStatus("sandbox", ()))
    lab._summary("sandbox", site)  # type: ignore[arg-type]
    (line,) = [x for x in capsys.readouterr().out.splitlines() if x.startswith("ask")]
    command = shlex.split(line)[1:]
    assert (command[0], command[-3]) == ("curl", "https://127.0.0.1:8443/api/v1/chat")
    assert ("-H" in command) == (site is SITE)
    if site is SITE:
        header = command[command.index("-H") + 1]
        assert header.startswith("@")
        assert Path(header[1:]).read_text() == "apikey: key-2\n"
    assert "key-2" not in line
