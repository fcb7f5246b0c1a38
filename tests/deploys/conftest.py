"""The doctor, and pyinfra on fake machines: each in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from inventory.paths import PROJECT
from tests.deploys.record import Run

Answer = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Visitor:
    """`tests.deploys.visitor`, running."""

    process: subprocess.Popen[str]

    def ask(self, **request: Any) -> Any:
        """Its answer to one request."""
        stdin, stdout = self.process.stdin, self.process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(json.dumps(request) + "\n")
        stdin.flush()
        line = stdout.readline()
        assert line, "the visitor died; see its traceback above"
        return json.loads(line)

    def __call__(
        self, board: str, host: str = "pi51", site: str = "homelab", **options: Any
    ) -> Answer:
        """Facts and findings of a board in a host's place.

        Args:
            board: which recorded one.
            host: the place in the site that it is given.
            site: the site's name.
            options: `changes` (fact to text), `ahead` (the clock, in seconds), `place` (of the
                host in the site), `unreachable` (a reason).
        """
        defaults: Answer = {"changes": {}, "ahead": 0, "place": {}, "unreachable": ""}
        answer: Answer = self.ask(board=board, host=host, site=site, **(defaults | options))
        return answer


@pytest.fixture(scope="session")
def visitor() -> Iterator[Visitor]:
    with subprocess.Popen(
        [sys.executable, "-m", "tests.deploys.visitor"],
        cwd=PROJECT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield Visitor(process)
        if process.stdin is not None:
            process.stdin.close()


@pytest.fixture(scope="session")
def report() -> dict[str, Any]:
    """What `tests.deploys.boards` prints."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.deploys.boards"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    loaded: dict[str, Any] = json.loads(done.stdout)
    return loaded


@pytest.fixture(scope="session")
def runs(report: dict[str, Any]) -> dict[str, Run]:
    """What the deploys did, by the state in which they found the machines."""
    return {what: Run.read(noted) for what, noted in report["runs"].items()}


@pytest.fixture(scope="session")
def bare(runs: dict[str, Run]) -> Run:
    """What the bootstrap did to machines of every board as they were flashed."""
    return runs["bare"]
