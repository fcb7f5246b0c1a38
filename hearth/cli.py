"""`hearth`: check a site, boot it, make it ready, put its services in place, put it under load."""

from __future__ import annotations

import typer
from rich.markup import escape

from hearth.commands import cloud, data, judging, lab, sandbox, site, steps
from hearth.console import err
from hearth.extras import missing_extra
from inventory.errors import HearthError

LAB, SITE, STEP, CLOUD = "The whole lab", "A site", "A step alone", "An environment on AWS"

# As `hearth --help` lists them.
COMMANDS = {
    LAB: (lab.up, lab.down, lab.status, data.backup, data.backups, data.restore),
    STEP: (
        lab.preview,
        steps.setup,
        steps.env,
        steps.bootstrap,
        steps.upgrade,
        judging.smoke,
        judging.capacity,
        steps.provision,
        steps.models,
    ),
    SITE: (site.check, site.doctor, site.pin, site.schema, site.draw, site.render, site.key),
    CLOUD: (cloud.audit, cloud.leftovers),
}

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="A home AI lab as code: one typed description of a site, everything else derived from it.",
)
for _panel, _commands in COMMANDS.items():
    for _command in _commands:
        app.command(rich_help_panel=_panel)(_command)
app.add_typer(sandbox.sandbox_app, name="sandbox", rich_help_panel=STEP)
app.add_typer(cloud.backend_app, name="backend", rich_help_panel=STEP)
app.add_typer(cloud.cost_app, name="cost", rich_help_panel=CLOUD)


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
