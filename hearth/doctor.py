"""Shows what is in the way of a site; pyinfra looks, in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from rich.console import Console
from rich.markup import escape

from hearth.findings import findings_table
from inventory.errors import HearthError
from inventory.loading import site_path
from inventory.paths import PROJECT
from inventory.units import format_size

LIMIT_SECONDS = 300
_LEVELS = ("error", "warning", "note")


@dataclass(frozen=True)
class Diagnosis:
    """What the doctor found.

    Attributes:
        document: `site`, `hosts` (every host's facts by its name) and `findings`.
    """

    document: dict[str, Any]

    @cached_property
    def findings(self) -> list[dict[str, str]]:
        """Each with `host`, `subject`, `level`, `what` and `remedy`."""
        return list(self.document["findings"])

    @property
    def exit_code(self) -> int:
        """1 where something would stop a bootstrap or a service, else 0."""
        return int(self._count("error") > 0)

    def blocks(self, absent: Collection[str]) -> bool:
        """Whether something is in the way, other than that some machines are out of reach."""
        return any(f["level"] == "error" and f["host"] not in absent for f in self.findings)

    @property
    def summary(self) -> str:
        """`7 machines, 1 error, 0 warnings, 2 notes`."""
        counts = [_counted(self._count(level), level) for level in _LEVELS]
        return ", ".join([_counted(len(self.document["hosts"]), "machine"), *counts])

    def show(self, console: Console) -> None:
        """Prints a table of findings, and a line for each machine that is ready."""
        if self.findings:
            console.print(findings_table(self.findings, "host"))
            console.print()
        stopped = {found["host"] for found in self.findings if found["level"] == "error"}
        for name, facts in self.document["hosts"].items():
            if name not in stopped:
                console.print(f"[green]{name} ready[/green]: {escape(_described(facts))}")

    def _count(self, level: str) -> int:
        return sum(found["level"] == level for found in self.findings)


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _described(facts: dict[str, Any]) -> str:
    """`debian-12 arm64, 8 GiB, Docker 20.10`, as far as it could be read."""
    machine, memory, docker = facts["machine"], facts["memory"], facts["docker"]
    parts = []
    if machine:
        parts.append(f"{machine['os']} {machine['architecture']}")
    if memory:
        parts.append(format_size(memory["total_bytes"]))
    if docker and docker["server"]:
        parts.append(f"Docker {'.'.join(docker['server'].split('.')[:2])}")
    else:
        parts.append("no Docker yet")
    return ", ".join(parts)


def examine(site_argument: str) -> Diagnosis:
    """Asks every machine of the site, all at once; changes nothing on them.

    Raises:
        HearthError: The machines could not even be asked.
    """
    # The program runs elsewhere: a relative path would name another file there.
    command = [sys.executable, "-m", "deploys.doctor", str(site_path(site_argument).resolve())]
    try:
        ended = subprocess.run(
            command,
            cwd=PROJECT,
            capture_output=True,
            text=True,
            check=False,
            timeout=LIMIT_SECONDS,
        )
        return Diagnosis(json.loads(ended.stdout))
    except subprocess.TimeoutExpired:
        said = f"no end after {LIMIT_SECONDS} s"
    except json.JSONDecodeError:
        said = "\n".join(ended.stderr.strip().splitlines()[-3:]) or f"exit code {ended.returncode}"
    raise HearthError(
        f"doctor of {site_argument} failed: {said}\n"
        f"run `{sys.executable} -m deploys.doctor {site_argument}` in {PROJECT} to see all of it"
    )
