"""The state of many files, read by one command."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from pyinfra.api import FactBase


@dataclass(frozen=True, slots=True)
class FileState:
    """A regular file.

    Attributes:
        sha256: of its content.
        mode: permissions, octal.
        owner: `user:group`.
    """

    sha256: str
    mode: str
    owner: str


class FileStates(FactBase[dict[str, FileState]]):
    """The state of each of the paths that is a file, by path."""

    def command(self, names: Sequence[str]) -> str:
        quoted = " ".join(map(shlex.quote, names))
        return f"sha256sum {quoted} 2>/dev/null; stat -c '%a %U:%G %n' {quoted} 2>/dev/null; true"

    default = dict

    def process(self, output: list[str]) -> dict[str, FileState]:
        digests, modes = {}, {}
        for line in output:
            first, second, *path = line.split(maxsplit=2)
            if path:
                modes[path[0]] = (first, second)
            else:
                digests[second] = first
        return {path: FileState(digests[path], *modes[path]) for path in digests}
