"""A site as its file tells it: checked, examined, drawn, rendered."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from hearth.commands.options import JsonOption, SiteArgument, StackArgument
from hearth.console import err, out, step
from inventory.cloud.loading import is_environment, load_environment
from inventory.errors import HearthError
from inventory.fixai_checks import notices
from inventory.loading import SITE, load
from inventory.units import format_size

if TYPE_CHECKING:
    from hearth.doctor import Diagnosis
    from inventory.hardware import Board
    from inventory.model import Site


def check(
    site: Annotated[
        str,
        typer.Argument(
            metavar="SITE|ENVIRONMENT", help="a site's or an environment's name, or a .yaml file"
        ),
    ],
    *,
    as_json: JsonOption = False,
) -> None:
    """Say everything that is wrong with a site or an environment, or what it comes to."""
    from inventory.cloud.loading import ENVIRONMENT, kind_of  # noqa: PLC0415 - few need it

    if kind_of(site) is ENVIRONMENT:
        _check_environment(site, as_json=as_json)
        return
    loaded = load(site)
    budgets = [_budget(loaded, name) for name in loaded.hosts]
    planned = [p.reference for p in loaded.placements() if not p.provisioned]
    cannot = notices(loaded)
    if as_json:
        found = {"site": loaded.name, "hosts": budgets, "planned": planned, "notices": cannot}
        sys.stdout.write(json.dumps(found) + "\n")
        return
    table = Table(title=f"{loaded.name}: sound", title_justify="left", box=None, pad_edge=False)
    for heading in ("host", "address", "board", "memory", "of it GPU", "services"):
        table.add_column(heading)
    for budget in budgets:
        used, of = format_size(budget["memory_bytes"]), format_size(budget["budget_bytes"])
        gpu = format_size(budget["gpu_memory_bytes"]) if budget["gpu_budget_bytes"] else "-"
        services = ", ".join(budget["services"])
        table.add_row(
            budget["host"], budget["address"], budget["board"], f"{used} of {of}", gpu, services
        )
    out.print(table)
    if planned:
        out.print(f"\nplanned, not provisioned yet: {', '.join(planned)}")
    for notice in cannot:
        out.print(f"\nnotice: {escape(notice)}")
    if by_tag := len(loaded.unpinned):
        out.print(f"\n{by_tag} images are named by their tags: `hearth pin {site}` tells digests")


def _check_environment(argument: str, *, as_json: bool) -> None:
    from inventory.cloud.summary import summary  # noqa: PLC0415

    environment = load_environment(argument)
    if as_json:
        sys.stdout.write(environment.model_dump_json() + "\n")
        return
    table = Table(
        title=f"{environment.name}: sound",
        title_justify="left",
        box=None,
        show_header=False,
        pad_edge=False,
    )
    for subject, what in summary(environment).items():
        table.add_row(subject, escape(what))
    out.print(table)


def _budget(site: Site, host_name: str) -> dict[str, Any]:
    host, placements = site.hosts[host_name], site.on_host(host_name)
    return {
        "host": host_name,
        "address": str(host.address),
        "board": host.hardware.title,
        "memory_bytes": sum(p.memory_bytes + p.gpu_memory_bytes for p in placements),
        "budget_bytes": host.hardware.budget_bytes,
        "gpu_memory_bytes": sum(p.gpu_memory_bytes for p in placements),
        "gpu_budget_bytes": _gpu_budget(host.hardware),
        "services": [p.name for p in placements],
    }


def _gpu_budget(board: Board) -> int | None:
    """Memory that the GPU can have: its own, or all that services share with it."""
    if board.gpu is None:
        return None
    return board.gpu.memory_bytes or board.budget_bytes


def doctor(site: SiteArgument, *, as_json: JsonOption = False) -> None:
    """Say what would stop a bootstrap or a service, and what to do; changes no machine."""
    from hearth.doctor import examine  # noqa: PLC0415 - only this command needs it

    load(site)
    if as_json:
        diagnosis = examine(site)
        sys.stdout.write(json.dumps(diagnosis.document) + "\n")
    else:
        diagnosis = examined(site)
        diagnosis.show(out)
    raise typer.Exit(diagnosis.exit_code)


def examined(site_argument: str) -> Diagnosis:
    """What the doctor finds on a site's machines."""
    from hearth.doctor import examine  # noqa: PLC0415 - only some commands need it

    with step("doctor") as progress:
        diagnosis = examine(site_argument)
        progress.summary = diagnosis.summary
    return diagnosis


def pin(site: SiteArgument) -> None:
    """Print the site's images with the digests of today, to be put into its file.

    A tag may come to mean other contents; with its digest an image stays what was tried.
    """
    from hearth.pin import pinned  # noqa: PLC0415 - only this command needs it

    loaded = load(site)
    if loaded.registry is not None:
        raise HearthError(f"{loaded.name} pulls from a registry of its own: nothing to pin")
    with step("pin", on=err) as progress:
        images = pinned(loaded, progress)
        progress.summary = f"{len(images)} images"
    sys.stdout.write("images:\n" + "".join(f"  {k}: {v}\n" for k, v in sorted(images.items())))


def schema(
    *,
    environment: Annotated[
        bool, typer.Option("--environment", help="of environments on AWS, not of sites")
    ] = False,
) -> None:
    """Print the JSON Schema of site files, for editors."""
    from inventory.cloud.loading import ENVIRONMENT  # noqa: PLC0415 - few need it

    found = ENVIRONMENT.schema() if environment else SITE.schema()
    sys.stdout.write(json.dumps(found, indent=2) + "\n")


def draw(site: StackArgument) -> None:
    """Print a picture of a site, of FixAI's connections, or of an environment on AWS (SVG)."""
    if is_environment(site):
        from hearth.commands.cloud import cloud_stack  # noqa: PLC0415 - as below
        from hearth.draw_environment import svg as picture  # noqa: PLC0415

        with TemporaryDirectory(prefix="hearth-") as folder:  # as before its first update
            stack = cloud_stack(site, offline=True, quiet=True, home=Path(folder))
            sys.stdout.write(picture(stack.graph()))
        return
    loaded = load(site)
    if loaded.fixai is not None:
        from hearth.draw_fixai import svg  # noqa: PLC0415 - only this command needs it
    else:
        from hearth.draw import svg  # noqa: PLC0415
    sys.stdout.write(svg(loaded))


def render(
    site: SiteArgument,
    folder: Annotated[Path, typer.Option("--out", help="where to write")] = Path("build/render"),
) -> None:
    """Write the configuration files that a site comes to, to look at; secrets are left blank."""
    from hearth.render import render_site  # noqa: PLC0415 - imports every renderer

    for path in render_site(load(site), folder):
        out.print(str(path))


def key(
    site: SiteArgument,
    client: Annotated[str, typer.Argument(help="one of the site's `api_clients`")],
) -> None:
    """Print the API key of a client, which it sends as the header `apikey`."""
    from hearth.engine import Stack  # noqa: PLC0415 - imports the toolchain

    sys.stdout.write(Stack(site, load(site)).api_key(client) + "\n")
