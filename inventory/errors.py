"""Errors that a person reads.

HearthError            where: what is wrong; what to do
└── SiteErrors         everything that is wrong with one site file, at once
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class HearthError(Exception):
    """A failure whose message says where, what, and what to do; printed without a traceback."""


@dataclass(frozen=True, slots=True, order=True)
class SiteError:
    """One thing that is wrong with a site.

    Attributes:
        file: the file's name, as the user knows it.
        line: counted from 1.
        where: path of the value, such as `hosts.orin0.services`.
        what: what is wrong and what to do, `the fault (the value); the remedy`.
    """

    file: str
    line: int
    where: str
    what: str

    def __str__(self) -> str:
        where = f" {self.where}" if self.where else ""
        return f"{self.file}:{self.line}{where}: {self.what}"


class SiteErrors(HearthError):  # noqa: N818 - it is many of them
    """Everything that is wrong with one site, one error a line."""

    def __init__(self, errors: Sequence[SiteError]) -> None:
        self.errors = tuple(sorted(set(errors)))
        super().__init__("\n".join(str(error) for error in self.errors))
