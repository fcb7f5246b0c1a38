"""The whole lab: up, down, how it is."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from hearth.commands.cloud import down_environment, preview_environment, up_environment
from hearth.commands.judging import last_page, report_files, run_smoke
from hearth.commands.options import (
    CompareOption,
    HtmlFileOption,
    JsonFileOption,
    JsonOption,
    JUnitFileOption,
    OfflineOption,
    SiteArgument,
    StackArgument,
    YesOption,
    no_site_is,
)
from hearth.commands.sandbox import sandbox_down
from hearth.commands.site import examined
from hearth.commands.steps import (
    absent_hosts,
    boot,
    can_boot,
    cluster_ready,
    make_ready,
    out_of_reach,
    pull_models,
    put_in_place,
    toolchain_step,
)
from hearth.console import err, out, step
from inventory.cloud.loading import is_environment
from inventory.loading import load
from inventory.paths import state_dir
from inventory.ssh import write_ssh_config

if TYPE_CHECKING:
    from inventory.model import Site


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
        up_environment(site, offline=offline, yes=yes)
        return
    no_site_is(offline, "--offline", site)
    loaded, files = load(site), report_files(json_file, junit_file, html_file, compare)
    cluster = loaded.kubernetes is not None
    out.print(f"[green]ok[/green]  check: {loaded.name} is sound, {len(loaded.hosts)} machines")
    toolchain_step(docker=not cluster, kubernetes=cluster)
    if loaded.sandbox is not None and not can_boot(loaded):
        _preview_only(site, loaded)
        raise typer.Exit(2)
    if loaded.sandbox is not None:
        boot(loaded)
    absent = absent_hosts(loaded)
    if loaded.sandbox is None and (diagnosis := examined(site)).blocks(absent):
        diagnosis.show(out)
        raise typer.Exit(1)
    present = [name for name in loaded.hosts if name not in absent]
    make_ready(site, loaded, present if absent else ())
    if cluster:
        status = cluster_ready(loaded)
    if cluster and loaded.fixai is None:
        status.show(out)
        _commands(site, loaded)
        return
    put_in_place(site, loaded, absent)
    pull_models(loaded, absent)
    if loaded.gateway in absent:
        raise out_of_reach(site, absent)
    report = run_smoke(loaded, None, files)
    _summary(site, loaded)
    if absent:
        raise out_of_reach(site, absent)
    raise typer.Exit(report.exit_code)


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
        preview_environment(site, online=online, as_json=as_json)
        return
    no_site_is(online, "--online", site)
    from hearth.engine import Stack  # noqa: PLC0415 - imports the toolchain

    stack = Stack(site, load(site))
    with step("pulumi preview", on=err if as_json else out) as progress:
        stack.prepare()
        changes = stack.preview(progress)
        progress.summary = str(changes)
    if as_json:
        sys.stdout.write(json.dumps({"site": site, "counts": changes.counts}) + "\n")


def down(
    site: StackArgument,
    *,
    yes: YesOption = False,
    offline: OfflineOption = False,
) -> None:
    """Stop a site: a sandbox goes without a trace, real machines lose their containers or pods.

    An environment on AWS: delete all of it, unless something in it is protected.
    """
    if is_environment(site):
        down_environment(site, offline=offline, yes=yes)
        return
    no_site_is(offline, "--offline", site)
    from hearth.engine import Stack  # noqa: PLC0415 - imports the toolchain

    loaded = load(site)
    stack = Stack(site, loaded)
    if loaded.sandbox is None:
        what = "pod" if loaded.kubernetes else "container"
        cost = f"This removes every {what} of {loaded.name}; data volumes stay. Go on?"
        if not yes and not typer.confirm(cost):
            raise typer.Exit(1)
        if loaded.kubernetes:
            from hearth.kubernetes import fetch_kubeconfig  # noqa: PLC0415 - only clusters need it

            fetch_kubeconfig(loaded)
        with step("pulumi destroy") as progress:
            progress.summary = str(stack.destroy(progress))
        return
    sandbox_down(site)
    stack.remove()


def status(site: SiteArgument, *, as_json: JsonOption = False) -> None:
    """Show every service: machine, port, real or simulated, health; exit code 1 if one is not well.

    Of a cluster its nodes and its pods.

    Exit codes: 0 all are healthy, 1 some are not.
    """
    from hearth import kubernetes, status  # noqa: PLC0415 - only some commands need them

    loaded = load(site)
    found = kubernetes.look(loaded) if loaded.kubernetes else status.look(loaded)
    if as_json:
        sys.stdout.write(json.dumps(found.document) + "\n")
    else:
        found.show(out)
    raise typer.Exit(found.exit_code)


def _preview_only(site_argument: str, site: Site) -> None:
    """What can be done without machines: render everything, let the engine plan everything."""
    from hearth.render import render_site  # noqa: PLC0415

    with step("render") as progress:
        paths = render_site(site, Path("build/render"))
        progress.summary = f"{len(paths)} files in build/render"
    preview(site_argument)


def _summary(site_argument: str, site: Site) -> None:
    """What runs where, how to look at it, how to stop it."""
    from hearth import kubernetes, status  # noqa: PLC0415

    found = kubernetes.look(site) if site.kubernetes else status.look(site)
    found.show(out)
    out.print(f"\nreport   {escape(last_page(site))}", soft_wrap=True)
    out.print(f"ask      {escape(_question(site))}", soft_wrap=True)
    _commands(site_argument, site)


def _commands(site_argument: str, site: Site) -> None:
    """How to look inside, and to stop it."""
    other = "" if site_argument == "sandbox" else f" --site {site_argument}"
    ssh = (
        f"hearth sandbox ssh{other} {site.gateway}"
        if site.sandbox
        else f"ssh -F {os.path.relpath(write_ssh_config(site))} {site.gateway}"
    )
    if site.kubernetes is not None:
        kubeconfig = os.path.relpath(state_dir(site.name) / "kubeconfig")
        out.print(f"kubectl  kubectl --kubeconfig {kubeconfig} get pods --all-namespaces")
    out.print(f"inside   {ssh}")
    out.print(f"again    hearth up {site_argument}")
    out.print(f"stop     hearth down {site_argument}")


def _question(site: Site) -> str:
    """A command that asks what the site serves."""
    from hearth.access import gateway_url, key_file  # noqa: PLC0415

    gateway = gateway_url(site)
    authority = f"--cacert {os.path.relpath(state_dir(site.name) / 'ca.crt')}"
    if site.fixai is not None:
        _scheme, _, address = gateway.partition("://")
        host, _, port = address.partition(":")
        name = f"{site.fixai.domain}:{port or 443}"
        near = f"https://{name}/reports?near=0,0"
        return f"curl {authority} --resolve {name}:{host} '{near}'"
    route = next(iter(site.routes.values()))
    body = json.dumps({"model": route.model, "messages": [{"role": "user", "content": "hello"}]})
    with_key = f" -H @{os.path.relpath(key_file(site))}" if site.api_clients else ""
    return f"curl {authority}{with_key} {gateway}{route.path} -d '{body}'"
