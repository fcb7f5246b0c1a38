"""Runs a pyinfra deploy, in a process of its own (gevent and gRPC clash), and reads its report."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from hearth.processes import stream
from inventory.errors import HearthError
from inventory.model import TIERS, Site, did_you_mean

REMEDIES = {
    r"lock-frontend|lists/lock": "another installation is under way there; wait for it to end",
    r"No space left|enough free space": "its disk is full: `df -h` and `docker system prune` there",
    r"Lost: |Could not connect|SSH error|EOF error": "look at its power and its network",
    r"Authentication error": "is the key of ssh.identity_file admitted there for ssh.login_user?",
    r"host key error": "was it flashed again? then remove its line from known_hosts",
    r"password is required": "sudo asks for a password there: see `hearth bootstrap --help`",
    r"Failed to fetch|resolving": "it does not reach its package mirror: look at its network",
}
"""What to do, by what pyinfra's lines say."""

_OPERATION = re.compile(r"^--> Starting (?:serial )?operation: (?:.* \| )?(.*?)\s*$")
_OF_HOST = re.compile(r"^\s*\[(?P<host>[a-z0-9-]+)\]\s*(?P<said>.*)$")
_REFUSAL = re.compile(r"^--> .*error[^:]*: (?!No hosts remaining)(.*)$")
_BROKEN = re.compile(r"^--> An .*exception occurred")
_EXCEPTION = re.compile(r"^[\w.]*(?:Error|Exception): (.*)$")
_ANSI = re.compile(r"\x1b\[[0-9;]*m")
_TELLING = re.compile(
    r"^E: |error|fail|lost|locked|left alone|not well|denied|No space|could not|required",
    re.IGNORECASE,
)
_UNANSWERED = re.compile(r"^Error: could not (?:load|process) fact")
_SHOWN_LINES = 3
BEFORE = "connection"
"""What is under way until the first operation starts."""


@dataclass(slots=True)
class Deployed:
    """What a deploy came to.

    Attributes:
        changed: operations that changed something, over all machines.
        unchanged: operations that found everything in place.
        ready: machines on which all went well.
        failed: why the others are not ready, by machine.
        postponed: what a machine's reboot waits for, by machine.
    """

    changed: int = 0
    unchanged: int = 0
    ready: set[str] = field(default_factory=set)
    failed: dict[str, str] = field(default_factory=dict)
    postponed: dict[str, str] = field(default_factory=dict)


class _Reader:
    """Follows pyinfra's lines: which operation is under way, and what each machine says in it."""

    def __init__(self, progress: Callable[[str], None]) -> None:
        self._progress = progress
        self._operation = BEFORE
        self._said: dict[str, list[str]] = {}
        self.found = Deployed()
        self.results: dict[str, Any] | None = None
        self.refusal = ""
        self._broken = False

    @property
    def has_begun(self) -> bool:
        """Whether machines may have been changed."""
        return self._operation != BEFORE

    def __call__(self, raw: str) -> None:
        line = _ANSI.sub("", raw).rstrip()
        if line.startswith('{"plan"'):
            self.results = json.loads(line)["results"]
        elif operation := _OPERATION.match(line):
            self._operation = operation[1]
            self._said.clear()
            self._progress(operation[1])
        elif of_host := _OF_HOST.match(line):
            self._hear(of_host["host"], of_host["said"])
        elif _BROKEN.match(line):
            self._broken = True
        elif refusal := _REFUSAL.match(line) or (self._broken and _EXCEPTION.match(line)):
            self.refusal = refusal[1]

    def _hear(self, host: str, said: str) -> None:
        if said == "Connected":
            self.found.ready.add(host)
        elif said.startswith("Postponed: "):
            self.found.postponed[host] = said.removeprefix("Postponed: ")
        elif said.startswith("Lost: "):
            self.found.ready.discard(host)
            self.found.failed[host] = f"{self._operation}: {said}"
        elif said.startswith("Error: executed"):
            self._fail(host, self._said.get(host, []))
        elif _UNANSWERED.match(said):
            self._fail(host, self._said.get(host) or [said])
        elif host not in self.found.ready and _TELLING.search(said):
            self._fail(host, [said])
        else:
            self._said.setdefault(host, []).append(said)
            if said.startswith("Begins: "):
                self._progress(f"{host}: {said.removeprefix('Begins: ')}")

    def _fail(self, host: str, said: Sequence[str]) -> None:
        """Keeps the first reason: what follows comes of it."""
        lines = list(dict.fromkeys(line for line in said if line))
        telling = [line for line in lines if _TELLING.search(line)] or lines
        self.found.ready.discard(host)
        reason = "; ".join(telling[-_SHOWN_LINES:])
        self.found.failed.setdefault(host, f"{self._operation}: {reason or 'it said nothing'}")


@dataclass(frozen=True, slots=True)
class Deploy:
    """A pyinfra deploy and the machines that it is for.

    Attributes:
        name: its file's, in deploys/, and the command's that runs it.
        site_argument: the site as the person named it.
        site: the same, loaded.
        limit: hosts and tiers; all machines, where there are none.
    """

    name: str
    site_argument: str
    site: Site
    limit: Sequence[str] = ()

    def run(
        self, progress: Callable[[str], None], data: Mapping[str, str] | None = None
    ) -> Deployed:
        """Runs it.

        Args:
            progress: hears of each operation as it starts.
            data: what the deploy finds in `host.data`.

        Raises:
            HearthError: with every machine on which it failed, why, and what to do; or pyinfra
                refused to begin, and no machine has been touched.
        """
        wanted = limited(self.site, self.limit)
        reader = _Reader(progress)
        done = stream(self._command(data or {}), {"HEARTH_SITE": self.site_argument}, reader)
        found = reader.found
        for host in wanted - found.ready - found.failed.keys():
            found.failed[host] = "connection: Could not connect"
        if reader.refusal:
            touched = "ended in the middle" if reader.has_begun else "nothing was touched"
            raise HearthError(f"{self.name}: {touched}: {reader.refusal}")
        if found.failed:
            raise HearthError(self._explain(found))
        if reader.results is None:
            raise HearthError(f"{self.name}: pyinfra ended without a report:\n{done.output[-800:]}")
        operations: Iterable[dict[str, Any]] = reader.results["operations"]
        for operation in operations:
            found.changed += len(operation["success"])
            found.unchanged += len(operation["no_change"])
        return found

    def _command(self, data: Mapping[str, str]) -> list[str]:
        """Its own script: `python -m pyinfra` loads paramiko before gevent has patched it."""
        program = str(Path(sys.executable).with_name("pyinfra"))
        command = [program, "-y", "--json", "inventory/hosts.py", f"deploys/{self.name}.py"]
        for name in self.limit:
            command += ["--limit", name]
        for key, value in data.items():
            command += ["--data", f"{key}={value}"]
        return command

    def _explain(self, found: Deployed) -> str:
        """What failed where, what to do about it, and that running it again continues."""
        count = len(limited(self.site, self.limit))
        limit = "".join(f" --limit {name}" for name in self.limit)
        again = f"hearth {self.name} {self.site_argument}{limit}"
        lines = [f"{self.name}: {len(found.failed)} of {count} machines are not ready"]
        for host, reason in sorted(found.failed.items()):
            lines.append(f"    {host}  {reason}")
            remedies = (do for sign, do in REMEDIES.items() if re.search(sign, reason))
            lines += [f"        {remedy}" for remedy in islice(remedies, 1)]
        return "\n".join([*lines, f"then run `{again}` again: it continues"])


def limited(site: Site, limit: Sequence[str]) -> set[str]:
    """The hosts that the names of hosts and tiers mean; all, where there are none.

    Raises:
        HearthError: a name that is neither.
    """
    known = {*site.hosts, *TIERS}
    for name in limit:
        if name not in known:
            raise HearthError(
                f"--limit: no such host or tier ({name}); {did_you_mean(name, known)}"
            )
    return {
        name for name, host in site.hosts.items() if not limit or {name, host.tier} & set(limit)
    }
