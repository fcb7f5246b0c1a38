"""What the commands have in common: the program, its groups and panels, arguments and options."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from hearth.console import Step, step
from inventory.errors import HearthError

SiteArgument = Annotated[
    str, typer.Argument(metavar="SITE", help="a site's name, or the path of its .yaml file")
]
StackArgument = Annotated[
    str,
    typer.Argument(
        metavar="SITE", help="the name of a site or of an environment on AWS, or its .yaml file"
    ),
]
EnvironmentArgument = Annotated[
    str,
    typer.Argument(metavar="ENVIRONMENT", help="an environment's name, or its .yaml file"),
]
OfflineOption = Annotated[
    bool, typer.Option("--offline", help="an environment: make believe, without an account")
]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="do not ask")]
JsonFileOption = Annotated[
    Path | None, typer.Option("--json", help="write the smoke report here as JSON")
]
JUnitFileOption = Annotated[
    Path | None, typer.Option("--junit", help="write the smoke report here as JUnit XML")
]
HtmlFileOption = Annotated[
    Path | None, typer.Option("--html", help="write the smoke report here as a page")
]
CompareOption = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="compare with this report (JSON), not with the last run"),
]
LimitOption = Annotated[list[str] | None, typer.Option(help="only this host or tier; repeatable")]
JsonOption = Annotated[bool, typer.Option("--json", help="print JSON for scripts")]


def no_site_is(given: bool, option: str, site: str) -> None:  # noqa: FBT001 - an option's value
    """Raises HearthError where an option of environments was given for a site."""
    if given:
        raise HearthError(f"{option}: {site} is no environment on AWS; leave the option out")


@contextmanager
def step_unless(title: str, *, quiet: bool) -> Iterator[Step]:
    """A step; where standard output is for scripts, one that says nothing there."""
    if quiet:
        yield Step(title, None, shown_at=math.inf)
        return
    with step(title) as progress:
        yield progress
