"""The language host: what the engine and the user get from it."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tools import language_host

HOST = Path(language_host.__file__)
CLI = shutil.which("pulumi") or shutil.which("pulumi", path=str(Path(sys.prefix, "bin")))

needs_cli = pytest.mark.skipif(CLI is None, reason="no pulumi CLI is here; `make setup` gets one")


class Project:
    """A Pulumi project with a local backend, run by the real CLI with this host."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "project"
        self.folder.mkdir()
        (self.folder / "Pulumi.yaml").write_text("name: trial\nruntime: python\n")
        programs = folder / "bin"
        programs.mkdir()
        _script(programs / "pulumi-language-python", f'exec {_host_command()} "$@"')
        # The engine wants the plugin of every installed SDK; no program here uses one.
        _script(programs / "pulumi-resource-docker", "sleep 60")
        state = folder / "state"
        state.mkdir()
        self._environment = os.environ | {
            "PATH": os.pathsep.join([str(programs), str(Path(CLI or "").parent), "/usr/bin:/bin"]),
            "PULUMI_HOME": str(folder / "home"),
            "PULUMI_BACKEND_URL": state.as_uri(),
            "PULUMI_CONFIG_PASSPHRASE": "for the test",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
        }

    def pulumi(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the CLI on stack `dev`."""
        return subprocess.run(
            ["pulumi", *arguments, "--non-interactive", "--color=never"],
            cwd=self.folder,
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    def up(self, program: str) -> subprocess.CompletedProcess[str]:
        """Write the program and deploy it."""
        (self.folder / "__main__.py").write_text(program)
        return self.pulumi("up", "--yes", "--skip-preview", "--stack=dev")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with a stack and two settings, one of them secret."""
    project = Project(tmp_path_factory.mktemp("pulumi"))
    made = project.pulumi("stack", "init", "dev")
    assert made.returncode == 0, made.stderr
    project.pulumi("config", "set", "plain", "42", "--stack=dev")
    project.pulumi("config", "set", "--secret", "hidden", "s3cret", "--stack=dev")
    return project


@needs_cli
def test_a_program_gets_its_settings_and_exports_outputs(project: Project) -> None:
    (project.folder / "beside.py").write_text("NAME = 'beside'\n")
    done = project.up(
        "import beside, pulumi\n"
        "config = pulumi.Config()\n"
        "print('told to the user')\n"
        "pulumi.export('plain', config.require_int('plain'))\n"
        "pulumi.export('hidden', config.require_secret('hidden'))\n"
        "pulumi.export('beside', beside.NAME)\n"
        "pulumi.export('stack', f'{pulumi.get_project()}/{pulumi.get_stack()}')\n"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "told to the user" in done.stdout
    outputs = project.pulumi("stack", "output", "--json", "--stack=dev")
    assert json.loads(outputs.stdout) == {
        "plain": 42,
        "hidden": "[secret]",
        "beside": "beside",
        "stack": "trial/dev",
    }


@needs_cli
def test_a_program_that_raises_shows_the_users_part_of_the_traceback(project: Project) -> None:
    done = project.up("def fire() -> None:\n    raise ValueError('it burns')\n\nfire()\n")
    assert done.returncode != 0
    assert "ValueError: it burns" in done.stdout
    assert f'File "{project.folder}/__main__.py", line 4, in <module>' in done.stdout
    assert "language_exec" not in done.stdout
    assert "non-zero exit code" not in done.stdout


@needs_cli
def test_a_program_that_exits_is_reported_with_its_code(project: Project) -> None:
    done = project.up("import sys\nsys.exit(3)\n")
    assert done.returncode != 0
    assert "Program exited with non-zero exit code: 3" in done.stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_host_tells_its_port_first_and_ends_quietly(number: signal.Signals) -> None:
    host = _start()
    assert host.stdout
    assert 0 < int(host.stdout.readline()) < 65536
    host.send_signal(number)
    output, errors = host.communicate(timeout=5)
    assert (host.returncode, output, errors) == (0, "", "")


def test_the_host_is_ready_in_a_second() -> None:
    # Others may have the computer meanwhile: the quickest of some starts tells.
    assert min(_ready_after() for _ in range(5)) < 1.0


def _ready_after() -> float:
    """Seconds from a host's start until it listens."""
    started = time.monotonic()
    host = _start()
    assert host.stdout
    host.stdout.readline()
    taken = time.monotonic() - started
    host.terminate()
    host.communicate(timeout=5)
    return taken


@pytest.mark.parametrize(
    ("code", "verdict"),
    [
        (0, {}),
        (32, {"bail": True}),
        (1, {"error": "Program exited with non-zero exit code: 1"}),
        (-9, {"error": "Program was stopped by SIGKILL"}),
    ],
)
def test_an_exit_code_becomes_a_verdict(code: int, verdict: dict[str, object]) -> None:
    assert language_host._verdict(code) == verdict


def test_installed_sdks_name_their_plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in {
        "good": '{"resource": true, "name": "good", "version": "1.2.3"}',
        "none": '{"resource": false, "name": "none"}',
        "broken": "{",
    }.items():
        folder = tmp_path / f"pulumi_{name}"
        folder.mkdir()
        (folder / "pulumi-plugin.json").write_text(text)
    monkeypatch.setattr(sys, "path", [str(tmp_path), str(tmp_path / "nowhere")])
    assert list(language_host._plugins()) == [
        {"kind": "resource", "name": "good", "version": "1.2.3"}
    ]


def _host_command() -> str:
    return shlex.join([sys.executable, "-P", str(HOST)])


def _start() -> subprocess.Popen[str]:
    return subprocess.Popen(
        shlex.split(_host_command()), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def _script(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
