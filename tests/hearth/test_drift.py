"""A quick look tells what a machine has that its stack does not know, and what it lacks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hearth import remote
from hearth.drift import CONTAINER, Known, differences, drifted, known
from inventory.services import SETTINGS_ON_HOST
from provider.tokens import FILES

NGINX, REDIS = f"{SETTINGS_ON_HOST}/nginx/nginx.conf", f"{SETTINGS_ON_HOST}/redis/redis.conf"
ONE, TWO, THREE = "1" * 64, "2" * 64, "3" * 64
MACHINE = Known(containers={ONE: "nginx", TWO: "redis"}, files={NGINX: ONE, REDIS: TWO})
FAKE_SSH = """#!/bin/sh
printf '%s\\n' "$*" >> {folder}/asked
case " $* " in
    *" pi51 "*) printf '{one}\\n--\\n{one}  {nginx}\\n' ;;
    *" pi52 "*) printf -- '--\\n' ;;
    *" slow "*) exec sleep 60 ;;
    *) echo "No route to host" >&2; exit 255 ;;
esac
"""


def urn(kind: str, name: str) -> str:
    """As the engine writes it, below its parents' types."""
    return f"urn:pulumi:lab::hearth::hearth:homelab:Machine$hearth:homelab:Nginx${kind}::{name}"


def container(name: str, number: str) -> dict[str, Any]:
    """A container in a stack's export."""
    return {"urn": urn(CONTAINER, name), "type": CONTAINER, "id": number, "outputs": {}}


def settings(name: str, digests: dict[str, str]) -> dict[str, Any]:
    """A service's settings in a stack's export."""
    host, _, service = name.partition(".")
    outputs = {"host": host, "folder": f"{SETTINGS_ON_HOST}/{service}", "digests": digests}
    return {"urn": urn(FILES, name), "type": FILES, "id": name, "outputs": outputs}


RESOURCES = [
    {"urn": "urn:pulumi:lab::hearth::pulumi:pulumi:Stack::lab", "type": "pulumi:pulumi:Stack"},
    container("pi51.nginx", ONE),
    settings("pi51.nginx", {"nginx.conf": ONE}),
    container("pi52.redis", TWO),
]


def answer(*running: str, **sums: str) -> str:
    """What a machine says: the numbers of its containers, then `digest  path` lines."""
    paths = {"nginx": NGINX, "redis": REDIS}
    lines = [f"{digest}  {paths.get(name, name)}" for name, digest in sums.items()]
    return "".join(f"{line}\n" for line in (*running, "--", *lines))


def test_a_stack_knows_containers_by_number_and_settings_by_path() -> None:
    assert known(RESOURCES) == {
        "pi51": Known({ONE: "nginx"}, {NGINX: ONE}),
        "pi52": Known({TWO: "redis"}),
    }


def test_a_stack_without_resources_knows_no_machine() -> None:
    assert known(RESOURCES[:1]) == {}


def test_a_machine_as_its_stack_left_it_has_no_differences() -> None:
    assert differences(MACHINE, answer(ONE, TWO, nginx=ONE, redis=TWO)) == []


def test_a_container_of_somebody_else_is_no_difference() -> None:
    assert differences(MACHINE, answer(ONE, THREE, TWO, nginx=ONE, redis=TWO)) == []


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (answer(ONE, nginx=ONE, redis=TWO), "redis does not run"),
        (answer(ONE, THREE, nginx=ONE, redis=TWO), "redis does not run"),
        (answer(ONE, TWO, nginx=ONE, redis=THREE), f"{REDIS} differs"),
        (answer(ONE, TWO, nginx=ONE, redis=TWO, **{"/etc/hearth/new": ONE}), "/etc/hearth/new"),
        (answer(ONE, TWO, nginx=ONE), f"{REDIS} differs"),
        (None, "does not answer"),
    ],
    ids=["stopped", "replaced", "file changed", "file added", "file missing", "no answer"],
)
def test_a_difference_is_told_and_nothing_else(said: str | None, told: str) -> None:
    (line,) = differences(MACHINE, said)
    assert line.startswith(told)


def test_containers_come_before_files_and_files_by_their_paths() -> None:
    assert differences(MACHINE, answer()) == [
        "nginx does not run",
        "redis does not run",
        f"{NGINX} differs",
        f"{REDIS} differs",
    ]


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The commands that ssh was called with, once it was."""
    program = tmp_path / "ssh"
    values = {"folder": str(tmp_path), "one": ONE, "nginx": NGINX}
    program.write_text(FAKE_SSH.format(**values))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return tmp_path / "asked"


def test_every_machine_is_asked_once_without_a_question_to_anybody(asked: Path) -> None:
    assert drifted(Path("lab/ssh_config"), RESOURCES) == ["pi52: redis does not run"]
    commands = asked.read_text().splitlines()
    assert len(commands) == 2
    assert all(line.startswith("-F lab/ssh_config -o BatchMode=yes ") for line in commands)


@pytest.mark.usefixtures("asked")
def test_a_machine_that_cannot_be_reached_is_told_with_the_others() -> None:
    found = drifted(Path("ssh_config"), [*RESOURCES, container("nano.ollama", ONE)])
    assert found == ["pi52: redis does not run", "nano: does not answer"]


@pytest.mark.usefixtures("asked")
def test_a_machine_that_takes_too_long_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "SECONDS", 0.2)
    assert drifted(Path("ssh_config"), [container("slow.redis", ONE)]) == ["slow: does not answer"]


@pytest.mark.usefixtures("asked")
def test_a_lab_without_machines_has_not_drifted() -> None:
    assert drifted(Path("ssh_config"), []) == []
