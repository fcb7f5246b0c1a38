"""`hearth`: check a site, boot it, make it ready, put its services in place, put it under load."""

from __future__ import annotations

import json
import math
import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from rich.markup import escape
from rich.table import Table
from typer.core import TyperGroup

from hearth.console import Step, err, out, step
from hearth.extras import missing_extra
from inventory.cloud.loading import is_environment, load_environment
from inventory.errors import HearthError
from inventory.loading import load, schema
from inventory.paths import state_dir
from inventory.ssh import write_ssh_config
from inventory.units import format_size

if TYPE_CHECKING:
    import boto3

    from hearth.audit.leftovers import Leftovers
    from hearth.audit.run import Audit
    from hearth.cloud import CloudStack, Place
    from hearth.doctor import Diagnosis
    from hearth.plan import Plan
    from hearth.reports import ReportFiles
    from inventory.cloud.model import Environment
    from inventory.hardware import Board
    from inventory.model import Site
    from smoke.drills.alert import AlertDrill
    from smoke.drills.drill import Drill
    from smoke.report import Report

LAB, SITE, CLOUD, STEP = "The whole lab", "A site", "An environment on AWS", "A step alone"


class DefaultCommand(TyperGroup):
    """A group whose first command is meant where none is named: `cost dev` is `cost show dev`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Puts the first command's name before arguments that name none."""
        if args and args[0] not in {*self.commands, *self.get_help_option_names(ctx)}:
            args = [next(iter(self.commands)), *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="A home AI lab as code: one typed description of a site, everything else derived from it.",
)
sandbox_app = typer.Typer(
    no_args_is_help=True, help="A whole lab on this machine, booted for real."
)
app.add_typer(sandbox_app, name="sandbox", rich_help_panel=STEP)
cost_app = typer.Typer(
    cls=DefaultCommand,
    no_args_is_help=True,
    subcommand_metavar="ENVIRONMENT | refresh",
    help="What an environment on AWS costs a month; `show` may be left out.",
)
app.add_typer(cost_app, name="cost", rich_help_panel=CLOUD)
backend_app = typer.Typer(no_args_is_help=True, help="Where a team keeps the state of a stack.")
app.add_typer(backend_app, name="backend", rich_help_panel=STEP)

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


@app.command(rich_help_panel=LAB)
def up(  # noqa: PLR0913 - one for each option
    site: StackArgument,
    *,
    json_file: JsonFileOption = None,
    junit_file: JUnitFileOption = None,
    html_file: HtmlFileOption = None,
    compare: CompareOption = None,
    offline: OfflineOption = False,
    yes: YesOption = False,
) -> None:
    """From nothing to a lab under load: boot (sandbox) or doctor, bootstrap, provision, smoke.

    An environment on AWS: show the plan, ask, and carry it out. With --offline it is made up, so
    that later plans show what a change of its settings would do.

    Exit codes: as of `hearth smoke`; 1 also where a step failed, 2 where nothing can be booted.
    """
    if is_environment(site):
        _cloud_up(site, offline=offline, yes=yes)
        return
    _no_site_is(offline, "--offline", site)
    loaded, files = load(site), _report_files(json_file, junit_file, html_file, compare)
    out.print(f"[green]ok[/green]  check: {loaded.name} is sound, {len(loaded.hosts)} machines")
    toolchain_step()
    if loaded.sandbox is not None and not _can_boot(loaded):
        _preview_only(site, loaded)
        raise typer.Exit(2)
    if loaded.sandbox is not None:
        _boot(loaded)
    absent = _absent(loaded)
    if loaded.sandbox is None and (diagnosis := _examine(site)).blocks(absent):
        diagnosis.show(out)
        raise typer.Exit(1)
    present = [name for name in loaded.hosts if name not in absent]
    _bootstrap(site, loaded, present if absent else ())
    _provision(site, loaded, absent)
    _pull_models(loaded, absent)
    if loaded.gateway in absent:
        raise _out_of_reach(site, absent)
    report = _smoke(loaded, None, files)
    _summary(site, loaded)
    if absent:
        raise _out_of_reach(site, absent)
    raise typer.Exit(report.exit_code)


def _absent(site: Site) -> list[str]:
    """The machines that are out of reach, which the person is told of at once."""
    from hearth.remote import absent  # noqa: PLC0415 - only some commands need it

    found = absent(write_ssh_config(site), site.hosts)
    if len(found) == len(site.hosts):
        raise HearthError(f"no machine of {site.name} answers: look at their network and at yours")
    for name in found:
        out.print(f"[red]{name} is out of reach[/red]: nothing is done there")
    return found


def _out_of_reach(site_argument: str, absent: Sequence[str]) -> HearthError:
    """The end of a run that could not do all of it."""
    names = ", ".join(absent)
    return HearthError(
        f"{names}: out of reach, the other machines are done; look at power and network, "
        f"then run `hearth up {site_argument}` again: it completes what is missing"
    )


@app.command(rich_help_panel=STEP)
def preview(
    site: StackArgument,
    *,
    online: Annotated[
        bool, typer.Option("--online", help="an environment: against its account, asked now")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Show what `up` would change, without changing anything.

    An environment on AWS is planned without an account, against what `up --offline` made up;
    with --online against what its account has.

    Exit codes: 0 there is a plan, 1 there is none, or it would lose what is protected.
    """
    if is_environment(site):
        _cloud_preview(site, online=online, as_json=as_json)
        return
    _no_site_is(online, "--online", site)
    from hearth.engine import Stack  # noqa: PLC0415 - imports the toolchain

    stack = Stack(site, load(site))
    with step("pulumi preview", on=err if as_json else out) as progress:
        stack.prepare()
        changes = stack.preview(progress)
        progress.summary = str(changes)
    if as_json:
        sys.stdout.write(json.dumps({"site": site, "counts": changes.counts}) + "\n")


def _no_site_is(given: bool, option: str, site: str) -> None:  # noqa: FBT001 - an option's value
    if given:
        raise HearthError(f"{option}: {site} is no environment on AWS; leave the option out")


def _cloud_stack(
    argument: str, *, offline: bool, quiet: bool = False, home: Path | None = None
) -> CloudStack:
    """An environment's stack, ready: with its toolchain and, online, its account.

    Args:
        argument: the environment's name or file.
        offline: whether AWS is a stand-in.
        quiet: whether standard output is for something else.
        home: where what is made up is kept; the checkout's folder, if left out.
    """
    from hearth.cloud import CloudStack, offline_place, online_place  # noqa: PLC0415

    environment = load_environment(argument)
    place: Place
    with step("toolchain", on=err if quiet else out) as progress:
        from tools import toolchain  # noqa: PLC0415 - only some commands need it

        toolchain.ensure(progress, docker=False)
        place = offline_place(home) if offline else online_place(argument, environment)
        progress.summary = f"state in {place.backend}"
    stack = CloudStack(argument, environment, place)
    stack.prepare()
    return stack


def _cloud_preview(argument: str, *, online: bool, as_json: bool) -> None:
    stack = _cloud_stack(argument, offline=not online, quiet=as_json)
    plan = _cloud_plan(stack, quiet=as_json)
    if as_json:
        sys.stdout.write(json.dumps(plan.document) + "\n")
    if plan.refused:
        raise HearthError(stack.refusal(plan.refused))


def _cloud_plan(stack: CloudStack, *, quiet: bool = False) -> Plan:
    """The plan, shown unless it is for scripts."""
    with step("pulumi preview", on=err if quiet else out) as progress:
        plan = stack.preview()
        progress.summary = str(plan)
    if not quiet:
        plan.show(out)
        if plan.offline:
            out.print("Offline: AWS was not asked, what the plan compares with is made up.")
    return plan


def _cloud_up(argument: str, *, offline: bool, yes: bool) -> None:
    stack = _cloud_stack(argument, offline=offline)
    plan = _cloud_plan(stack)
    if plan.refused:
        raise HearthError(stack.refusal(plan.refused))
    if not plan.counts:
        return
    ask = f"This changes {stack.environment.name} in AWS, and what it costs. Go on?"
    if not offline and not yes and not typer.confirm(ask):
        raise typer.Exit(1)
    with step("pulumi up") as progress:
        progress.summary = str(stack.up(progress))


def _cloud_down(argument: str, *, offline: bool, yes: bool) -> None:
    stack = _cloud_stack(argument, offline=offline)
    ask = f"This deletes everything of {stack.environment.name} in AWS, with its data. Go on?"
    if not offline and not yes and not typer.confirm(ask):
        raise typer.Exit(1)
    with step("pulumi destroy") as progress:
        progress.summary = str(stack.destroy(progress))
        if offline:
            stack.remove()


@app.command(rich_help_panel=LAB)
def down(
    site: StackArgument,
    *,
    yes: YesOption = False,
    offline: OfflineOption = False,
) -> None:
    """Stop a site: a sandbox goes without a trace, real boards lose their containers.

    An environment on AWS: delete all of it, unless something in it is protected.
    """
    if is_environment(site):
        _cloud_down(site, offline=offline, yes=yes)
        return
    _no_site_is(offline, "--offline", site)
    from hearth.engine import Stack  # noqa: PLC0415 - imports the toolchain

    loaded = load(site)
    stack = Stack(site, loaded)
    if loaded.sandbox is None:
        cost = f"This removes every container of {loaded.name}; data volumes stay. Go on?"
        if not yes and not typer.confirm(cost):
            raise typer.Exit(1)
        with step("pulumi destroy") as progress:
            progress.summary = str(stack.destroy(progress))
        return
    sandbox_down(site)
    stack.remove()


@app.command(rich_help_panel=LAB)
def status(site: SiteArgument, *, as_json: JsonOption = False) -> None:
    """Show every service: machine, port, real or simulated, health; exit code 1 if one is not well.

    Exit codes: 0 all are healthy, 1 some are not.
    """
    from hearth.status import look  # noqa: PLC0415 - only some commands need it

    found = look(load(site))
    if as_json:
        sys.stdout.write(json.dumps(found.document) + "\n")
    else:
        found.show(out)
    raise typer.Exit(found.exit_code)


@app.command(rich_help_panel=LAB)
def backup(
    site: SiteArgument,
    *,
    to: Annotated[Path | None, typer.Option(help="write it to this file as well, as a tar")] = None,
    as_json: JsonOption = False,
) -> None:
    """Make a backup of a site's data now, and read it back; `hearth backups` lists them."""
    from hearth.backup import Backups, holds  # noqa: PLC0415 - only some commands need it

    found = Backups(load(site))
    with _step_unless("backup", quiet=as_json) as progress:
        made = found.make("by hand", progress)
        progress.summary = f"{made.id}: {'; '.join(holds(made).values())}"
    if to is not None:
        with _step_unless(f"export to {to}", quiet=as_json) as progress:
            found.export(made.id, to, progress)
            progress.summary = format_size(to.stat().st_size)
    if as_json:
        sys.stdout.write(made.model_dump_json() + "\n")


@app.command(rich_help_panel=LAB)
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


@app.command(rich_help_panel=LAB)
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
"""What a restore overwrites."""


@contextmanager
def _step_unless(title: str, *, quiet: bool) -> Iterator[Step]:
    """A step; where standard output is for scripts, one that says nothing there."""
    if quiet:
        yield Step(title, None, shown_at=math.inf)
        return
    with step(title) as progress:
        yield progress


@app.command(rich_help_panel=SITE)
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
    if as_json:
        sys.stdout.write(json.dumps({"site": loaded.name, "hosts": budgets, "planned": planned}))
        sys.stdout.write("\n")
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


@app.command(rich_help_panel=SITE)
def doctor(site: SiteArgument, *, as_json: JsonOption = False) -> None:
    """Say what would stop a bootstrap or a service, and what to do; changes no machine."""
    from hearth.doctor import examine  # noqa: PLC0415 - only this command needs it

    load(site)
    if as_json:
        diagnosis = examine(site)
        sys.stdout.write(json.dumps(diagnosis.document) + "\n")
    else:
        diagnosis = _examine(site)
        diagnosis.show(out)
    raise typer.Exit(diagnosis.exit_code)


def _examine(site_argument: str) -> Diagnosis:
    from hearth.doctor import examine  # noqa: PLC0415 - only some commands need it

    with step("doctor") as progress:
        diagnosis = examine(site_argument)
        progress.summary = diagnosis.summary
    return diagnosis


@app.command(rich_help_panel=SITE)
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


@app.command(name="schema", rich_help_panel=SITE)
def print_schema(
    *,
    environment: Annotated[
        bool, typer.Option("--environment", help="of environments on AWS, not of sites")
    ] = False,
) -> None:
    """Print the JSON Schema of site files, for editors."""
    from inventory.cloud.loading import ENVIRONMENT  # noqa: PLC0415 - few need it

    found = ENVIRONMENT.schema() if environment else schema()
    sys.stdout.write(json.dumps(found, indent=2) + "\n")


@cost_app.command("show")
def cost(
    environment: Annotated[
        str, typer.Argument(metavar="ENVIRONMENT", help="its name, or the path of its .yaml file")
    ],
    *,
    compare: Annotated[
        str | None, typer.Option(metavar="OTHER", help="put this environment's cost beside it")
    ] = None,
    capacity: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="size the GPU nodes by this `hearth capacity --json`"),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Say what an environment on AWS costs a month, what has no price, what would be cheaper.

    Exit codes: 0 it is told, 1 it cannot be.
    """
    from datetime import UTC, datetime  # noqa: PLC0415 - only this command needs it

    from hearth.cost.report import report  # noqa: PLC0415
    from hearth.cost.sizing import read_rate  # noqa: PLC0415
    from hearth.cost.terminal import show  # noqa: PLC0415
    from inventory.cloud.prices import load_prices  # noqa: PLC0415

    loaded = load_environment(environment)
    other = None if compare is None else load_environment(compare)
    measured = None if capacity is None else read_rate(capacity)
    found = report(loaded, load_prices(), datetime.now(UTC).date(), measured, other)
    if as_json:
        sys.stdout.write(found.to_json() + "\n")
    else:
        show(found, out)


@cost_app.command("refresh")
def cost_refresh(
    *,
    region: Annotated[
        list[str] | None, typer.Option(help="those of the table, if left out; repeatable")
    ] = None,
) -> None:
    """Ask AWS for today's prices, and write them to the price table.

    Takes credentials of any account: its price list and the history of spot prices are read.

    Exit codes: 0 every price is of today, 1 some are as they were, or AWS could not be asked.
    """
    from hearth.cost.refresh import refresh  # noqa: PLC0415 - only this command needs it

    with step("prices") as progress:
        found = refresh(region or [], progress)
        progress.summary = f"{found.found} of today, {len(found.missing)} as they were"
    for what in found.missing:
        out.print(f"    {escape(what)}", soft_wrap=True)
    raise typer.Exit(int(bool(found.missing)))


@app.command(rich_help_panel=SITE)
def draw(site: StackArgument) -> None:
    """Print a picture of a site, or of what an environment on AWS declares (SVG)."""
    if is_environment(site):
        from hearth.draw_environment import svg as picture  # noqa: PLC0415 - as below

        with _nothing_yet(site) as stack:
            sys.stdout.write(picture(stack.graph()))
        return
    from hearth.draw import svg  # noqa: PLC0415 - only this command needs it

    sys.stdout.write(svg(load(site)))


@contextmanager
def _nothing_yet(argument: str) -> Iterator[CloudStack]:
    """An environment's stack as it is before its first update, offline, in a passing folder."""
    from tempfile import TemporaryDirectory  # noqa: PLC0415 - only this needs it

    with TemporaryDirectory(prefix="hearth-") as folder:
        yield _cloud_stack(argument, offline=True, quiet=True, home=Path(folder))


@app.command(rich_help_panel=SITE)
def render(
    site: SiteArgument,
    folder: Annotated[Path, typer.Option("--out", help="where to write")] = Path("build/render"),
) -> None:
    """Write the configuration files that a site comes to, to look at; secrets are left blank."""
    from hearth.render import render_site  # noqa: PLC0415 - imports every renderer

    for path in render_site(load(site), folder):
        out.print(str(path))


@app.command(rich_help_panel=SITE)
def key(
    site: SiteArgument,
    client: Annotated[str, typer.Argument(help="one of the site's `api_clients`")],
) -> None:
    """Print the API key of a client, which it sends as the header `apikey`."""
    from hearth.engine import Stack  # noqa: PLC0415 - imports the toolchain

    sys.stdout.write(Stack(site, load(site)).api_key(client) + "\n")


@app.command(rich_help_panel=STEP)
def setup(
    *,
    cloud: Annotated[
        bool, typer.Option("--cloud", help="what environments on AWS need: no docker plugin")
    ] = False,
) -> None:
    """Find, download or build the Pulumi CLI, its Python language host and the docker plugin."""
    for part in toolchain_step(docker=not cloud):
        out.print(f"    {escape(part)}", soft_wrap=True)


def toolchain_step(*, docker: bool = True) -> list[str]:
    """Makes the toolchain complete; returns a line a part, with its way and why."""
    from tools import toolchain  # noqa: PLC0415 - only some commands need it

    with step("toolchain") as progress:
        found = toolchain.ensure(progress, docker=docker)
        progress.summary = f"{len(found.parts)} parts in {found.bin_dir}"
    return [str(part) for part in found.parts]


@backend_app.command("aws")
def backend_aws(environment: EnvironmentArgument, *, yes: YesOption = False) -> None:
    """Make the bucket and the keys of an environment's state, or put them right.

    Nothing happens the second time. Pulumi's locks are files in the bucket.
    """
    from hearth.aws_account import require_account  # noqa: PLC0415 - only this command needs it

    loaded = load_environment(environment)
    account = require_account(environment, loaded)
    from hearth.state_backend import backend_of, make_backend  # noqa: PLC0415 - imports boto3

    backend = backend_of(loaded, account)
    ask = f"This makes {backend.bucket} and two keys (2 USD a month) in {account.id}. Go on?"
    if not yes and not typer.confirm(ask):
        raise typer.Exit(1)
    with step("backend") as progress:
        done = make_backend(backend, account, progress)
        progress.summary = "; ".join(done) or "all is as it should be"
    out.print(f"\n`hearth up {environment}` finds it by itself. To run pulumi by hand:")
    for line in (
        f"export PULUMI_BACKEND_URL={shlex.quote(backend.url)}  # in place of `pulumi login`",
        f"pulumi stack select --create {backend.environment} "
        f"--secrets-provider {shlex.quote(backend.secrets_provider)}",
    ):
        out.print(f"    {escape(line)}", soft_wrap=True)


@app.command(rich_help_panel=STEP)
def env() -> None:
    """Print what a shell needs to run pulumi by hand: eval "$(hearth env)"."""
    from hearth.engine import environment  # noqa: PLC0415 - only this command needs it

    for key, value in environment().items():
        sys.stdout.write(f"export {key}={shlex.quote(value)}\n")


@app.command(rich_help_panel=STEP)
def bootstrap(
    site: SiteArgument,
    *,
    limit: LimitOption = None,
    no_reboot: Annotated[
        bool, typer.Option("--no-reboot", help="postpone reboots, and say which machines wait")
    ] = False,
) -> None:
    """Make bare machines ready, hardened members of the lab, over ssh.

    Machines whose sudo asks for a password get it from HEARTH_SUDO_PASSWORD or from you, once.
    """
    _bootstrap(site, load(site), limit or [], reboot=not no_reboot)


@app.command(rich_help_panel=STEP)
def upgrade(site: SiteArgument, *, limit: LimitOption = None) -> None:
    """Upgrade packages and Docker, one machine at a time; stop at the first that is not well."""
    from hearth.deploys import Deploy  # noqa: PLC0415

    deploy = Deploy("upgrade", site, load(site), limit or [])
    with step("upgrade") as progress:
        done = deploy.run(progress)
        progress.summary = f"{len(done.ready)} machines, {done.changed} changes"


@app.command(rich_help_panel=STEP)
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
    loaded, files = load(site), _report_files(json_file, junit_file, html_file, compare)
    suites = [] if drill and suite is None else suite
    report = _smoke(loaded, suites, files, _drills(loaded, drill or [], yes=yes))
    out.print(f"\nreport   {escape(_last_page(loaded))}", soft_wrap=True)
    raise typer.Exit(report.exit_code)


@app.command(rich_help_panel=STEP)
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


def _drills(site: Site, names: Sequence[str], *, yes: bool) -> list[Drill | AlertDrill]:
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


@app.command(rich_help_panel=STEP)
def provision(site: SiteArgument) -> None:
    """Put the site's services in place: `pulumi up`, with the stack and its secrets made first."""
    loaded = load(site)
    absent = _absent(loaded)
    _provision(site, loaded, absent)
    if absent:
        raise _out_of_reach(site, absent)


def _provision(site_argument: str, site: Site, absent: Sequence[str]) -> None:
    from hearth.engine import Stack  # noqa: PLC0415 - imports the toolchain

    stack = Stack(site_argument, site)
    with step("pulumi up") as progress:
        stack.prepare()
        progress.summary = str(stack.up(progress, absent))


@app.command(rich_help_panel=STEP)
def models(
    site: SiteArgument,
    *,
    pull: Annotated[bool, typer.Option("--pull", help="fetch those that are missing")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show which language models are on their machines, or fetch those that are not.

    Exit codes: 0 all are there, 1 some are not.
    """
    from hearth.models import PRESENT, document, look, show  # noqa: PLC0415

    loaded = load(site)
    if pull:
        _pull_models(loaded)
    found = look(loaded)
    if as_json:
        sys.stdout.write(json.dumps(document(loaded, found)) + "\n")
    else:
        show(found, out)
    raise typer.Exit(int(any(model.state != PRESENT for model in found)))


def _pull_models(site: Site, absent: Sequence[str] = ()) -> None:
    """Fetches what is missing on the machines that are there, most used models first."""
    from hearth.models import MISSING, look, pull  # noqa: PLC0415 - only some commands need it

    found = [m for m in look(site) if m.service.partition(".")[0] not in absent]
    missing = [model for model in found if model.state == MISSING]
    if not missing:
        return
    with step("models") as progress:
        fetched = pull(site, missing, progress)
        size = format_size(sum(model.size_bytes for model in fetched))
        progress.summary = f"{len(fetched)} fetched, about {size}"


@app.command(rich_help_panel=CLOUD)
def audit(environment: EnvironmentArgument, *, as_json: JsonOption = False) -> None:
    """Hold a deployed account to what its environment promises; nothing is changed.

    Exit codes: 0 all promises are kept, 1 some are broken, 2 of some that could not be told.
    """
    from hearth.audit.run import audit as look  # noqa: PLC0415 - only this command needs boto3

    _report(environment, "audit", look, as_json=as_json)


@app.command(rich_help_panel=CLOUD)
def leftovers(environment: EnvironmentArgument, *, as_json: JsonOption = False) -> None:
    """List what is left of an environment after its teardown and would still be paid for.

    Exit codes: 0 nothing, 1 something, 2 some kinds of things could not be looked for.
    """
    from hearth.audit.leftovers import leftovers as look  # noqa: PLC0415 - as above

    _report(environment, "leftovers", look, as_json=as_json)


def _report(
    argument: str,
    title: str,
    look: Callable[[boto3.Session, Environment, Step], Audit | Leftovers],
    *,
    as_json: bool,
) -> NoReturn:
    """Looks at an environment's account and tells what was found."""
    from hearth.aws_account import require_account  # noqa: PLC0415 - only some commands need it

    environment = load_environment(argument)
    account = require_account(argument, environment)
    with step(title, on=err if as_json else out) as progress:
        found = look(account.session, environment, progress)
        progress.summary = f"account {account.id}, {environment.region}: {found.summary}"
    if as_json:
        sys.stdout.write(json.dumps(found.document) + "\n")
    else:
        found.show(out)
    raise typer.Exit(found.exit_code)


@sandbox_app.command("up")
def sandbox_up(site: SiteArgument = "sandbox") -> None:
    """Boot the site's machines, bare: systemd and sshd, nothing else."""
    loaded = load(site)
    if not _can_boot(loaded):
        raise typer.Exit(1)
    _boot(loaded)


@sandbox_app.command("down")
def sandbox_down(site: SiteArgument = "sandbox") -> None:
    """Stop the machines and remove every trace of them; the cache stays."""
    from hearth.labs import lab_of  # noqa: PLC0415 - needs Linux

    loaded = load(site)
    with step("sandbox down") as progress:
        lab_of(loaded).down(progress)
        progress.summary = "nothing is left but the cache"


@sandbox_app.command("status")
def sandbox_status(site: SiteArgument = "sandbox", *, as_json: JsonOption = False) -> None:
    """Show how the machines are; exit code 1 unless all of them answer."""
    from hearth.labs import lab_of  # noqa: PLC0415 - needs Linux

    status = lab_of(load(site)).status()
    if as_json:
        rows = [
            {
                "name": m.name,
                "address": str(m.address),
                "running": m.running,
                "ssh": m.ssh,
                "memory_used_bytes": m.memory_used_bytes,
                "memory_limit_bytes": m.memory_limit_bytes,
                "uptime_seconds": m.uptime,
            }
            for m in status.machines
        ]
        document = {"machines": rows, "registry": status.registry, "forwards": status.forwards}
        sys.stdout.write(json.dumps(document) + "\n")
    else:
        table = Table(box=None, pad_edge=False)
        for heading in ("machine", "address", "state", "memory", "up"):
            table.add_column(heading)
        for m in status.machines:
            state = "ready" if m.ssh else "boots" if m.running else "off"
            memory = f"{format_size(m.memory_used_bytes)} of {format_size(m.memory_limit_bytes)}"
            table.add_row(m.name, str(m.address), state, memory, f"{m.uptime:.0f} s")
        out.print(table)
        out.print(f"registry {_on(status.registry)}, forwards {_on(status.forwards)}")
    raise typer.Exit(0 if all(m.ssh for m in status.machines) else 1)


def _on(serving: bool) -> str:  # noqa: FBT001 - one word for a flag
    return "on" if serving else "off"


@sandbox_app.command(
    "ssh", context_settings={"allow_extra_args": True, "ignore_unknown_options": True}
)
def sandbox_ssh(
    context: typer.Context,
    host: Annotated[str, typer.Argument(help="the machine's name")],
    site: Annotated[str, typer.Option(help="the sandboxed site")] = "sandbox",
) -> None:
    """Open a shell on a machine, or run the command that follows its name."""
    loaded = load(site)
    if host not in loaded.hosts:
        raise HearthError(f"{site}: no such machine ({host}); known are {', '.join(loaded.hosts)}")
    ssh = ["ssh", "-F", str(write_ssh_config(loaded))]
    # Before the bootstrap there is no administrator to log in as.
    as_admin = [*ssh, "-o", "BatchMode=yes", host, "true"]
    if subprocess.run(as_admin, capture_output=True, check=False).returncode:
        ssh += ["-l", loaded.ssh.login_user]
    os.execvp("ssh", [*ssh, host, *context.args])  # noqa: S606 - ssh takes over the terminal


def _can_boot(site: Site) -> bool:
    """Whether this machine can play the lab; installs what it can, says what is lacking."""
    from hearth.labs import lab_of  # noqa: PLC0415 - needs Linux
    from sandbox import requirements  # noqa: PLC0415

    try:
        if requirements.missing_packages():
            with step("packages of this machine") as progress:
                requirements.install(progress)
        requirements.require(lab_of(site).plan)
    except HearthError as error:
        err.print(f"the sandbox cannot run on this machine:\n{escape(str(error))}", style="yellow")
        return False
    return True


def _preview_only(site_argument: str, site: Site) -> None:
    """What can be done without machines: render everything, let the engine plan everything."""
    from hearth.render import render_site  # noqa: PLC0415

    with step("render") as progress:
        paths = render_site(site, Path("build/render"))
        progress.summary = f"{len(paths)} files in build/render"
    preview(site_argument)


def _boot(site: Site) -> None:
    from hearth.labs import ensure_key, lab_of, share_known_hosts  # noqa: PLC0415 - needs Linux

    with step("sandbox up") as progress:
        ensure_key(site)
        lab = lab_of(site)
        lab.up(progress)
        share_known_hosts(site, lab)
        progress.summary = f"{len(site.hosts)} machines answer over ssh"


def _bootstrap(
    site_argument: str, site: Site, limit: Sequence[str] = (), *, reboot: bool = True
) -> None:
    from hearth.deploys import Deploy, limited  # noqa: PLC0415
    from hearth.sudo import grant_where_needed  # noqa: PLC0415

    site.ssh.require_public_key()
    for name in grant_where_needed(site, limited(site, limit), _ask_password):
        out.print(f"    {name}: {site.ssh.login_user} has sudo without a password from now on")
    with step("bootstrap") as progress:
        deploy = Deploy("bootstrap", site_argument, site, limit)
        done = deploy.run(progress, {} if reboot else {"reboot": "no"})
        progress.summary = f"{len(done.ready)} machines, {done.changed} changes"
    for name, what in sorted(done.postponed.items()):
        out.print(f"    {name}: postponed, {what}; `hearth bootstrap {site_argument}` does it")


def _ask_password(prompt: str) -> str:
    """Asks the person, who may not be there."""
    from hearth.sudo import PASSWORD_VARIABLE  # noqa: PLC0415

    if not sys.stdin.isatty():
        raise HearthError(f"{prompt} is needed: put it into {PASSWORD_VARIABLE}")
    return str(typer.prompt(prompt, hide_input=True))


def _report_files(
    json: Path | None, junit: Path | None, html: Path | None, compare: Path | None
) -> ReportFiles:
    """What was asked for; a report to compare with is read now, as a wrong one costs no run."""
    from hearth.reports import ReportFiles  # noqa: PLC0415 - only some commands need it
    from smoke.history import read  # noqa: PLC0415

    return ReportFiles(json, junit, html, None if compare is None else read(compare))


def _smoke(
    site: Site,
    suites: list[str] | None,
    files: ReportFiles,
    drills: Sequence[Drill | AlertDrill] = (),
) -> Report:
    from hearth.access import access_to  # noqa: PLC0415
    from hearth.reports import deliver  # noqa: PLC0415
    from smoke.run import run  # noqa: PLC0415

    with step("smoke") as progress:
        report = run(site, access_to(site), suites, progress, drills)
        progress.summary = f"{len(report.checks)} checks, {report.verdict}"
    deliver(report, files, out)
    return report


def _last_page(site: Site) -> str:
    from hearth.reports import last_page  # noqa: PLC0415

    return last_page(site.name)


def _summary(site_argument: str, site: Site) -> None:
    """What runs where, how to look at it, how to stop it."""
    from hearth.access import gateway_url, key_file  # noqa: PLC0415
    from hearth.status import look  # noqa: PLC0415

    look(site).show(out)
    gateway = gateway_url(site)
    authority = os.path.relpath(state_dir(site.name) / "ca.crt")
    route = next(iter(site.routes.values()))
    body = json.dumps({"model": route.model, "messages": [{"role": "user", "content": "hello"}]})
    ssh = (
        f"hearth sandbox ssh {site.gateway}"
        if site.sandbox
        else f"ssh -F {os.path.relpath(write_ssh_config(site))} {site.gateway}"
    )
    with_key = f" -H @{os.path.relpath(key_file(site))}" if site.api_clients else ""
    command = f"curl --cacert {authority}{with_key} {gateway}{route.path} -d '{body}'"
    out.print(f"\nreport   {escape(_last_page(site))}", soft_wrap=True)
    out.print(f"ask      {escape(command)}", soft_wrap=True)
    out.print(f"inside   {ssh}")
    out.print(f"again    hearth up {site_argument}")
    out.print(f"stop     hearth down {site_argument}")


def main() -> None:
    """Runs the command; an error is its message, never a traceback."""
    try:
        app()
    except HearthError as error:
        told = str(error)
    except ModuleNotFoundError as error:
        if not (told := missing_extra(error.name or "")):
            raise
    else:
        return
    err.print(escape(told), style="red", soft_wrap=True)
    raise SystemExit(1) from None
