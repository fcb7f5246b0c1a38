"""What the engine says while it updates a stack, for people: progress, and what it came to."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

Progress = Callable[[str], None]

_RESOURCE = re.compile(r"^ [+\-~@ ]+ (\S+:\S+) (\S+) (creat|updat|delet|replac|refresh)\w*")
_COUNT = re.compile(r"(\d+) ((?:to )?\w+)")


@dataclass(frozen=True, slots=True)
class Changes:
    """What an update did, by kind of change: `created`, `updated`, `replaced`, `deleted`."""

    counts: dict[str, int]

    @property
    def total(self) -> int:
        """Resources that an update changed."""
        return sum(count for kind, count in self.counts.items() if kind != "unchanged")

    def __str__(self) -> str:
        done = ", ".join(f"{count} {kind}" for kind, count in self.counts.items())
        return done or "nothing to do"


def show(line: str, progress: Progress) -> None:
    """Resource lines of the engine, shortened to what and which."""
    if match := _RESOURCE.match(line):
        progress(f"{match[3]}ing {match[1].rpartition(':')[2]} {match[2]}")


def counts(output: str) -> dict[str, int]:
    """The summary at the end: `+ 3 created`, `4 changes. 20 unchanged`."""
    _, _, summary = output.rpartition("Resources:")
    lines = [line for line in summary.splitlines() if line.startswith("    ")]
    found = [match for line in lines for match in _COUNT.findall(line)]
    return {kind: int(count) for count, kind in found if kind != "changes"}
