"""An environment on AWS: planned, carried out, paid for, audited."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from rich.markup import escape
from typer.core import TyperGroup

from hearth.commands.options import EnvironmentArgument, JsonOption, YesOption
from hearth.console import Step, err, out, step
from inventory.cloud.loading import load_environment
from inventory.errors import HearthError

if TYPE_CHECKING:
    import boto3

    from hearth.audit.leftovers import Leftovers
    from hearth.audit.run import Audit
    from hearth.cloud import CloudStack, Place
    from hearth.plan import Plan
    from inventory.cloud.model import Environment


class DefaultCommand(TyperGroup):
    """A group whose first command is meant where none is named: `cost dev` is `cost show dev`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Puts the first command's name before arguments that name none."""
        if args and args[0] not in {*self.commands, *self.get_help_option_names(ctx)}:
            args = [next(iter(self.commands)), *args]
        return super().parse_args(ctx, args)


cost_app = typer.Typer(
    cls=DefaultCommand,
    no_args_is_help=True,
    subcommand_metavar="ENVIRONMENT | refresh",
    help="What an environment on AWS costs a month; `show` may be left out.",
)
backend_app = typer.Typer(no_args_is_help=True, help="Where a team keeps the state of a stack.")


def cloud_stack(
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


def preview_environment(argument: str, *, online: bool, as_json: bool) -> None:
    """Plans an environment and shows it."""
    stack = cloud_stack(argument, offline=not online, quiet=as_json)
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


def up_environment(argument: str, *, offline: bool, yes: bool) -> None:
    """Plans an environment, asks, and carries the plan out."""
    stack = cloud_stack(argument, offline=offline)
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


def down_environment(argument: str, *, offline: bool, yes: bool) -> None:
    """Asks, and deletes all of an environment."""
    stack = cloud_stack(argument, offline=offline)
    ask = f"This deletes everything of {stack.environment.name} in AWS, with its data. Go on?"
    if not offline and not yes and not typer.confirm(ask):
        raise typer.Exit(1)
    with step("pulumi destroy") as progress:
        progress.summary = str(stack.destroy(progress))
        if offline:
            stack.remove()


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


def audit(environment: EnvironmentArgument, *, as_json: JsonOption = False) -> None:
    """Hold a deployed account to what its environment promises; nothing is changed.

    Exit codes: 0 all promises are kept, 1 some are broken, 2 of some that could not be told.
    """
    from hearth.audit.run import audit as look  # noqa: PLC0415 - only this command needs boto3

    _report(environment, "audit", look, as_json=as_json)


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
