"""A lab's data: backups, and back."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from hearth.commands.options import JsonOption, SiteArgument, YesOption, step_unless
from hearth.console import err, out, step
from inventory.errors import HearthError
from inventory.loading import load
from inventory.units import format_size


def backup(
    site: SiteArgument,
    *,
    to: Annotated[Path | None, typer.Option(help="write it to this file as well, as a tar")] = None,
    as_json: JsonOption = False,
) -> None:
    """Make a backup of a site's data now, and read it back; `hearth backups` lists them."""
    from hearth.backup import Backups, holds  # noqa: PLC0415 - only some commands need it

    found = Backups(load(site))
    with step_unless("backup", quiet=as_json) as progress:
        made = found.make("by hand", progress)
        progress.summary = f"{made.id}: {'; '.join(holds(made).values())}"
    if to is not None:
        with step_unless(f"export to {to}", quiet=as_json) as progress:
            found.export(made.id, to, progress)
            progress.summary = format_size(to.stat().st_size)
    if as_json:
        sys.stdout.write(made.model_dump_json() + "\n")


def backups(site: SiteArgument, *, as_json: JsonOption = False) -> None:
    """List the backups of a site's data, oldest first."""
    from hearth.backup import Backups, holds  # noqa: PLC0415 - only some commands need it

    found = Backups(load(site)).list()
    if as_json:
        sys.stdout.write(json.dumps([m.model_dump(mode="json") for m in found]) + "\n")
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("backup", "size", "holds", "why"):
        table.add_column(heading)
    for made in found:
        size = format_size(sum(made.sizes.values()))
        table.add_row(made.id, size, "; ".join(holds(made).values()), escape(made.reason))
    out.print(table)


def restore(
    site: SiteArgument,
    backup_id: Annotated[
        str | None, typer.Argument(metavar="ID", help="a backup; the newest, if left out")
    ] = None,
    *,
    file: Annotated[Path | None, typer.Option("--from", help="a file of `backup --to`")] = None,
    only: Annotated[
        list[str] | None, typer.Option(help="postgres, minio or grafana alone; repeatable")
    ] = None,
    yes: YesOption = False,
) -> None:
    """Put a backup back in place of a site's data, after a backup of what is there now.

    Exit codes: 0 all is as in the backup, 1 it failed, or something differs.
    """
    from hearth.backup import (  # noqa: PLC0415 - only some commands need it
        BEFORE_RESTORE,
        PARTS,
        Backups,
        holds,
    )

    if unknown := sorted(set(only or ()) - set(PARTS)):
        raise HearthError(f"--only: no such part ({unknown[0]}); known are {', '.join(PARTS)}")
    if file is not None and backup_id is not None:
        raise HearthError("name a backup or a file, not both")
    found = Backups(load(site))
    with step("verify") as progress:
        chosen = backup_id if file is None else found.take_in(file, progress)
        kept = found.verified(chosen, progress)
        plan = found.plan(kept, only or ())
        progress.summary = f"{kept.id} of {kept.site}, {kept.reason}"
    for part, placement in plan.items():
        out.print(f"    {placement.reference}: {holds(kept)[part]} {_IN_PLACE[part]}")
    if not yes and not typer.confirm("Go on?"):
        raise typer.Exit(1)
    with step("backup of what is there") as progress:
        progress.summary = found.make(f"{BEFORE_RESTORE} {kept.id}", progress).id
    different: list[str] = []
    for part, placement in plan.items():
        with step(f"restore {placement.reference}") as progress:
            outcome = found.put_back(kept, part, placement, progress)
            progress.summary = outcome.what
            different += [f"{outcome.service}: {what}" for what in outcome.different]
    for what in different:
        err.print(f"not as in the backup: {escape(what)}", style="red")
    raise typer.Exit(int(bool(different)))


_IN_PLACE = {
    "postgres": "in place of everything in it",
    "minio": "in place of what has their names; others stay",
    "grafana": "in place of those of the same name; others stay",
}
