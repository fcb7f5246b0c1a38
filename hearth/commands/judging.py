"""A site under load: suites, drills, capacity."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from hearth.commands.options import (
    CompareOption,
    HtmlFileOption,
    JsonFileOption,
    JsonOption,
    JUnitFileOption,
    SiteArgument,
)
from hearth.console import err, out, step
from inventory.loading import load

if TYPE_CHECKING:
    from hearth.reports import ReportFiles
    from inventory.model import Site
    from smoke.drills.catalogue import AnyDrill
    from smoke.report import Report


def smoke(  # noqa: PLR0913 - one for each option
    site: SiteArgument,
    *,
    suite: Annotated[list[str] | None, typer.Option(help="only this suite; repeatable")] = None,
    drill: Annotated[
        list[str] | None, typer.Option(help="break this under load, `all` for each; repeatable")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="do not ask before a drill")] = False,
    json_file: JsonFileOption = None,
    junit_file: JUnitFileOption = None,
    html_file: HtmlFileOption = None,
    compare: CompareOption = None,
) -> None:
    """Put a running site under load and hold it to its service levels.

    With --drill and no --suite only the drills are run: something is broken while chats go on, and
    what the site promises for that has to hold.

    Exit codes: 0 all that was judged passed, 1 some failed, 2 some could not be judged.
    """
    loaded, files = load(site), report_files(json_file, junit_file, html_file, compare)
    suites = [] if drill and suite is None else suite
    report = run_smoke(loaded, suites, files, _drills(loaded, drill or [], yes=yes))
    out.print(f"\nreport   {escape(last_page(loaded))}", soft_wrap=True)
    raise typer.Exit(report.exit_code)


def capacity(  # noqa: PLR0913 - one for each option
    site: SiteArgument,
    *,
    route: Annotated[list[str] | None, typer.Option(help="only this route; repeatable")] = None,
    rate: Annotated[
        float | None,
        typer.Option(help="requests a minute to plan for; what is promised, if left out", min=0.1),
    ] = None,
    tokens: Annotated[int, typer.Option(help="of each answer", min=1)] = 16,
    most_seconds: Annotated[float, typer.Option(help="for each route", min=60)] = 180,
    as_json: JsonOption = False,
) -> None:
    """Find what rate a site's routes hold, what gives way first, how many nodes a rate takes.

    Loads each route to its knee, in the name of every client in turn, fits a queueing model, and
    tests what it predicts. For some minutes the site has little left for others.

    Exit codes: 0 the prediction held, 1 it did not, 2 it could not be measured.
    """
    from hearth.access import access_to  # noqa: PLC0415
    from smoke.capacity.run import Question, run  # noqa: PLC0415 - only this command needs it
    from smoke.capacity.steps import Pace  # noqa: PLC0415
    from smoke.capacity.terminal import show  # noqa: PLC0415

    loaded = load(site)
    question = Question(route, tokens, Pace(most_s=most_seconds), rate)
    with step("capacity", on=err if as_json else out) as progress:
        keys = _client_keys(site, loaded)
        report = run(loaded, access_to(loaded), keys, question, progress)
        progress.summary = f"{len(report.routes)} routes, {len(report.checks)} checks"
    if as_json:
        sys.stdout.write(report.to_json() + "\n")
    else:
        show(report, out)
    raise typer.Exit(report.exit_code)


def _client_keys(site_argument: str, site: Site) -> list[str]:
    """The keys of all clients, or the one that the person gives; none where routes are open."""
    from hearth.access import KEY_VARIABLE  # noqa: PLC0415
    from hearth.engine import Stack  # noqa: PLC0415 - imports the toolchain

    given = os.environ.get(KEY_VARIABLE)
    return [given] if given else Stack(site_argument, site).api_keys()


def _drills(site: Site, names: Sequence[str], *, yes: bool) -> list[AnyDrill]:
    """The drills of these names, once the person knows what they cost."""
    from hearth.access import access_to  # noqa: PLC0415
    from hearth.power import power_of  # noqa: PLC0415
    from smoke.drills.catalogue import choose, drills_of  # noqa: PLC0415

    if not names:
        return []
    chosen = choose(drills_of(site, access_to(site), power_of(site)), names)
    if site.sandbox is None:
        for drill in chosen:
            out.print(f"{drill.name}: {drill.cost}")
        if not yes and not typer.confirm(f"This harms {site.name}. Go on?"):
            raise typer.Exit(1)
    return chosen


def report_files(
    json: Path | None, junit: Path | None, html: Path | None, compare: Path | None
) -> ReportFiles:
    """What was asked for; a report to compare with is read now, as a wrong one costs no run."""
    from hearth.reports import ReportFiles  # noqa: PLC0415 - only some commands need it
    from smoke.history import read  # noqa: PLC0415

    return ReportFiles(json, junit, html, None if compare is None else read(compare))


def run_smoke(
    site: Site,
    suites: list[str] | None,
    files: ReportFiles,
    drills: Sequence[AnyDrill] = (),
) -> Report:
    """Runs suites and drills, tells what they found, and keeps the report."""
    from hearth.access import access_to  # noqa: PLC0415
    from hearth.reports import deliver  # noqa: PLC0415
    from smoke.run import run  # noqa: PLC0415

    with step("smoke") as progress:
        report = run(site, access_to(site), suites, progress, drills)
        progress.summary = f"{len(report.checks)} checks, {report.verdict}"
    deliver(report, files, out)
    return report


def last_page(site: Site) -> str:
    """The path of the page of a site's last run."""
    from hearth.reports import last_page  # noqa: PLC0415

    return last_page(site.name)
