"""Each step of `up` alone."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from hearth.commands.options import JsonOption, LimitOption, SiteArgument
from hearth.console import err, out, step
from inventory.errors import HearthError
from inventory.loading import load
from inventory.ssh import write_ssh_config
from inventory.units import format_size

if TYPE_CHECKING:
    from hearth.kubernetes import ClusterStatus
    from inventory.model import Site


def setup(
    *,
    cloud: Annotated[
        bool, typer.Option("--cloud", help="what environments on AWS need: no docker plugin")
    ] = False,
) -> None:
    """Find, download or build the Pulumi CLI, its Python language host and the docker plugin."""
    for part in toolchain_step(docker=not cloud):
        out.print(f"    {escape(part)}", soft_wrap=True)


def toolchain_step(*, docker: bool = True, kubernetes: bool = False) -> list[str]:
    """Makes the toolchain complete; returns a line a part, with its way and why."""
    from tools import toolchain  # noqa: PLC0415 - only some commands need it

    with step("toolchain") as progress:
        found = toolchain.ensure(progress, docker=docker, kubernetes=kubernetes)
        progress.summary = f"{len(found.parts)} parts in {found.bin_dir}"
    return [str(part) for part in found.parts]


def env() -> None:
    """Print what a shell needs to run pulumi by hand: eval "$(hearth env)"."""
    from hearth.engine import environment  # noqa: PLC0415 - only this command needs it

    for key, value in environment().items():
        sys.stdout.write(f"export {key}={shlex.quote(value)}\n")


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
    loaded = load(site)
    make_ready(site, loaded, limit or [], reboot=not no_reboot)
    if loaded.kubernetes is not None and not limit:
        cluster_ready(loaded)


def upgrade(site: SiteArgument, *, limit: LimitOption = None) -> None:
    """Upgrade packages and Docker, one machine at a time; stop at the first that is not well."""
    from hearth.deploys import Deploy  # noqa: PLC0415

    deploy = Deploy("upgrade", site, load(site), limit or [])
    with step("upgrade") as progress:
        done = deploy.run(progress)
        progress.summary = f"{len(done.ready)} machines, {done.changed} changes"


def provision(site: SiteArgument) -> None:
    """Put the site's services in place: `pulumi up`, with the stack and its secrets made first."""
    loaded = load(site)
    absent = absent_hosts(loaded)
    put_in_place(site, loaded, absent)
    if absent:
        raise out_of_reach(site, absent)


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
        pull_models(loaded)
    found = look(loaded)
    if as_json:
        sys.stdout.write(json.dumps(document(loaded, found)) + "\n")
    else:
        show(found, out)
    raise typer.Exit(int(any(model.state != PRESENT for model in found)))


def put_in_place(site_argument: str, site: Site, absent: Sequence[str]) -> None:
    """`pulumi up`, with the stack and its secrets made first."""
    from hearth.engine import Stack  # noqa: PLC0415 - imports the toolchain

    stack = Stack(site_argument, site)
    with step("pulumi up") as progress:
        stack.prepare()
        progress.summary = str(stack.up(progress, absent))


def pull_models(site: Site, absent: Sequence[str] = ()) -> None:
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


def cluster_ready(site: Site) -> ClusterStatus:
    """Waits for a cluster's nodes, and has its kubeconfig here."""
    from hearth.kubernetes import fetch_kubeconfig, wait_until_ready  # noqa: PLC0415 - as above

    with step("cluster") as progress:
        status = wait_until_ready(site, progress)
        fetch_kubeconfig(site)
        progress.summary = status.summary
    return status


def absent_hosts(site: Site) -> list[str]:
    """The machines that are out of reach, which the person is told of at once."""
    from hearth.remote import absent  # noqa: PLC0415 - only some commands need it

    found = absent(write_ssh_config(site), site.hosts)
    if len(found) == len(site.hosts):
        raise HearthError(f"no machine of {site.name} answers: look at their network and at yours")
    for name in found:
        out.print(f"[red]{name} is out of reach[/red]: nothing is done there")
    return found


def out_of_reach(site_argument: str, absent: Sequence[str]) -> HearthError:
    """The end of a run that could not do all of it."""
    names = ", ".join(absent)
    return HearthError(
        f"{names}: out of reach, the other machines are done; look at power and network, "
        f"then run `hearth up {site_argument}` again: it completes what is missing"
    )


def can_boot(site: Site) -> bool:
    """Whether this machine can play the lab; installs what it can, says what is lacking."""
    from hearth.labs import lab_of  # noqa: PLC0415 - needs Linux
    from sandbox import requirements  # noqa: PLC0415

    try:
        plan = lab_of(site).plan
        if requirements.missing_packages(plan):
            with step("packages of this machine") as progress:
                requirements.install(plan, progress)
        requirements.require(plan)
    except HearthError as error:
        err.print(f"the sandbox cannot run on this machine:\n{escape(str(error))}", style="yellow")
        return False
    return True


def boot(site: Site) -> None:
    """Boots a sandbox's machines."""
    from hearth.labs import ensure_key, lab_of, share_known_hosts  # noqa: PLC0415 - needs Linux

    with step("sandbox up") as progress:
        ensure_key(site)
        lab = lab_of(site)
        lab.up(progress)
        share_known_hosts(site, lab)
        progress.summary = f"{len(site.hosts)} machines answer over ssh"


def make_ready(
    site_argument: str, site: Site, limit: Sequence[str] = (), *, reboot: bool = True
) -> None:
    """Bootstraps a site's machines, and tells which reboots wait."""
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
