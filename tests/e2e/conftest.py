"""One lab for all end-to-end tests: booted, bootstrapped and provisioned by the command itself."""

from __future__ import annotations

import json
import os
import shutil
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hearth.access import gateway_url, smoke_key
from inventory.loading import load
from inventory.model import Site
from inventory.paths import PROJECT
from tests.sandboxed import why_not

SITE_FILE = PROJECT / "tests" / "sites" / "valid" / "e2e.yaml"
HEARTH = str(Path(sys.executable).with_name("hearth"))
UP_SECONDS = 900
PAUSE_SECONDS = 0.25
"""Between chats: the gateway lets five a second through."""


@dataclass(frozen=True, slots=True)
class Ran:
    """A command that has ended."""

    code: int
    output: str


@dataclass(frozen=True, slots=True)
class Lab:
    """The lab under test, by the commands that a person would use."""

    site: Site

    def hearth(
        self, *arguments: str, timeout: float = UP_SECONDS, env: dict[str, str] | None = None
    ) -> Ran:
        """Runs `hearth`."""
        return run([HEARTH, *arguments], timeout=timeout, env=env)

    def ssh(self, host: str, command: str, timeout: float = 60) -> str:
        """What a command printed on a machine, run as the administrator."""
        config = PROJECT / ".hearth" / self.site.name / "ssh_config"
        ran = run(["ssh", "-F", str(config), host, command], timeout=timeout)
        assert ran.code == 0, ran.output
        return ran.output.strip()

    def containers(self, host: str, *flags: str) -> set[str]:
        """Names of the containers on a machine."""
        return set(self.ssh(host, f"docker ps {' '.join(flags)} --format '{{{{.Names}}}}'").split())

    def expected(self) -> dict[str, set[str]]:
        """The containers that the site asks for, by machine."""
        return {
            name: {p.name for p in self.site.on_host(name) if p.provisioned}
            for name in self.site.hosts
        }


@dataclass(frozen=True, slots=True)
class Answer:
    """What the gateway answered.

    Attributes:
        status: of HTTP.
        headers: by name in lower case.
        lines: of the body, each parsed.
    """

    status: int
    headers: dict[str, str]
    lines: list[dict[str, Any]]


def chat(it: Lab, text: str, **more: Any) -> Answer:
    """Asks the lab's model something, through the gateway's forwarded port."""
    body = {
        "model": it.site.routes["chat"].model,
        "messages": [{"role": "user", "content": text}],
        "options": {"num_predict": 4},
        **more,
    }
    return ask(it, "chat", body)


def ask(it: Lab, route: str, body: dict[str, Any], *, key: str | None = None) -> Answer:
    """Asks a route of the gateway.

    Args:
        it: the lab.
        route: its name.
        body: of the request.
        key: the API key; the smoke suites', if left out; none, if empty.
    """
    time.sleep(PAUSE_SECONDS)
    key = smoke_key(it.site) if key is None else key
    request = urllib.request.Request(  # noqa: S310 - https, to the lab
        f"{gateway_url(it.site)}{it.site.routes[route].path}",
        json.dumps(body).encode(),
        headers={"apikey": key} if key else {},
    )
    trust = ssl.create_default_context(cafile=PROJECT / ".hearth" / it.site.name / "ca.crt")
    try:
        with urllib.request.urlopen(request, timeout=60, context=trust) as response:  # noqa: S310
            read, status = response.read(), response.status
            headers = {name.lower(): value for name, value in response.headers.items()}
    except urllib.error.HTTPError as error:
        return Answer(error.code, {n.lower(): value for n, value in error.headers.items()}, [])
    return Answer(status, headers, [json.loads(line) for line in read.splitlines()])


def run(
    command: list[str], *, timeout: float, env: dict[str, str] | None = None, cwd: Path = PROJECT
) -> Ran:
    """Runs a command to its end; its errors are part of its output."""
    done = subprocess.run(
        command,
        cwd=cwd,
        env=os.environ | (env or {}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout,
        check=False,
    )
    return Ran(done.returncode, done.stdout)


def have(program: str) -> None:
    """Installs a program from the Debian package of its name where it is missing."""
    if shutil.which(program) is None:
        for command in (["apt-get", "update", "-qq"], ["apt-get", "install", "-qq", "-y", program]):
            ran = run(command, timeout=300)
            assert ran.code == 0, ran.output


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skips what this machine cannot run, with the reason."""
    if reason := why_not(SITE_FILE, "make test"):
        for item in items:
            item.add_marker(pytest.mark.skip(reason=reason))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Nobody should take a run without the lab for one with it."""
    if reason := why_not(SITE_FILE, "make test"):
        terminalreporter.write_sep("!", "END-TO-END TESTS DID NOT RUN")
        terminalreporter.write_line(reason)


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Lab, Ran, dict[str, object]]]:
    """The lab, brought up from nothing, with what that printed and the smoke report."""
    it = Lab(load(str(SITE_FILE)))
    it.hearth("down", str(SITE_FILE), timeout=120)
    report = tmp_path_factory.mktemp("report") / "smoke.json"
    first = it.hearth("up", str(SITE_FILE), "--json", str(report))
    try:
        yield it, first, json.loads(report.read_text()) if report.is_file() else {}
    finally:
        it.hearth("down", str(SITE_FILE), timeout=120)
