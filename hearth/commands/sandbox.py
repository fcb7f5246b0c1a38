"""The machines of a site, played by this computer."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Annotated

import typer
from rich.table import Table

from hearth.commands.options import JsonOption, SiteArgument
from hearth.commands.steps import boot, can_boot
from hearth.console import out, step
from inventory.errors import HearthError
from inventory.loading import load
from inventory.ssh import write_ssh_config
from inventory.units import format_size

sandbox_app = typer.Typer(
    no_args_is_help=True, help="A whole lab on this machine, booted for real."
)


@sandbox_app.command("up")
def sandbox_up(site: SiteArgument = "sandbox") -> None:
    """Boot the site's machines, bare: systemd and sshd, nothing else."""
    loaded = load(site)
    if not can_boot(loaded):
        raise typer.Exit(1)
    boot(loaded)


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
