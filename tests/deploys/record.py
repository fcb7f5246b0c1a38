"""What a run of pyinfra did: noted in one process, judged in another."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

NEW = ".hearth-new"
"""Ends the name of a file of ours that is not in its place yet."""
INSTALL = " install --no-install-recommends "
_THERE, _OLD = rf"(?P=path){re.escape(NEW)}", r"(?P=path)\.hearth-old"
PLACED = re.compile(
    rf"\{{ chown root:root (?P<path>\S+){re.escape(NEW)} && chmod (?P<mode>\d+) {_THERE}"
    rf"(?: && (?P<check>.+?))??(?: && \{{ \[ ! -e (?P=path) \] \|\| cp -p (?P=path) {_OLD}; \}})?"
    rf" && mv {_THERE} (?P=path); \}} \|\| \{{ rm -f {_THERE} {_OLD}; exit 1; \}}"
    rf"(?:; \{{ (?P<then>.+); \}} \|\| "
    rf"\{{ mv {_OLD} (?P=path) 2>/dev/null \|\| rm -f (?P=path); exit 1; \}}; rm -f {_OLD})?"
)
"""How a file that was put beside its place gets there, and what reads it then."""
INSTALLED = re.compile(r"install -m (?P<mode>\d+) \S+ \S+ \S+ \S+ (?P<new>\S+) (?P<path>\S+)\.new ")
"""How a user's gets there."""


@dataclass(frozen=True)
class Event:
    """One thing that was done.

    Attributes:
        host: to which machine, by name.
        operation: as pyinfra names it: `deploy | operation`.
        command: what was run; or `put <path>`; or `here: <what the operator's computer ran>`.
        text: of the file that was put.
        root: whether it was done as root.
    """

    host: str
    operation: str
    command: str
    text: str = ""
    root: bool = True

    @property
    def title(self) -> str:
        """The operation's own name."""
        return self.operation.rpartition(" | ")[2]


@dataclass(frozen=True)
class Put:
    """A file that was put in its place."""

    path: str
    text: str
    mode: str


@dataclass
class Run:
    """What came of a run of pyinfra.

    Attributes:
        events: what was done, in this order over all machines.
        asked: what facts asked, by machine.
        unprivileged: what they asked, and of whom, without being root.
        foreseen: operations of which it said beforehand that they would change something.
        said: pyinfra's lines.
        error: with what it ended early; empty where it did not.
        failed: the machines that it gave up.
        seconds: how long it waited.
    """

    events: list[Event] = field(default_factory=list)
    asked: dict[str, list[str]] = field(default_factory=dict)
    unprivileged: list[str] = field(default_factory=list)
    foreseen: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    error: str = ""
    failed: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @classmethod
    def read(cls, noted: dict[str, Any]) -> Run:
        """The run of which `noted` is the JSON."""
        return cls(**noted | {"events": [Event(**event) for event in noted["events"]]})

    def note(self) -> dict[str, Any]:
        """The run as JSON."""
        return dataclasses.asdict(self)

    def of(self, host: str) -> list[Event]:
        """What was done to a machine."""
        return [event for event in self.events if event.host == host]

    def commands(self, host: str, title: str = "") -> list[str]:
        """What was run on a machine; by one operation, if it is given."""
        return [event.command for event in self.of(host) if title in {"", event.title}]

    def follow_up(self, host: str, title: str) -> str:
        """What has the file of an operation read, once it is in its place."""
        *_, placed = self.commands(host, title)
        steps = PLACED.fullmatch(placed)
        assert steps, placed
        return steps["then"] or ""

    def titles(self, host: str) -> list[str]:
        """The operations that did something to a machine."""
        return list(dict.fromkeys(event.title for event in self.of(host)))

    def puts(self, host: str) -> Iterator[Put]:
        """The files that were put in their places on a machine."""
        commands = "\n".join(self.commands(host))
        users = {steps["new"]: steps for steps in INSTALLED.finditer(commands)}
        for event in self.of(host):
            new = event.command.removeprefix("put ")
            if new in users:
                yield Put(users[new]["path"], event.text, users[new]["mode"])
            elif event.text:
                mode = re.search(rf"chmod (\d+) {re.escape(new)}\b", commands)
                yield Put(new.removesuffix(NEW), event.text, mode[1] if mode else "")

    def files(self, host: str) -> dict[str, str]:
        """Their texts, by path."""
        return {put.path: put.text for put in self.puts(host)}

    def packages(self, host: str) -> list[str]:
        """What apt was asked to install on a machine."""
        wanted = (command.partition(INSTALL)[2] for command in self.commands(host))
        return " ".join(wanted).replace("'", "").split()

    def says(self, host: str) -> list[str]:
        """What pyinfra said about a machine."""
        named = (line.partition("] ") for line in self.said if line.startswith(f"[{host}]"))
        return [line.strip() for _, _, line in named]
