"""The journal: bounded, so that logs never fill a card."""

from __future__ import annotations

from pyinfra.api import deploy

from deploys.files import config_file
from templates import render


@deploy("Journal")
def journal() -> None:
    """Bounds the journal's size and age."""
    config_file(
        "Journal's limits",
        "/etc/systemd/journald.conf.d/hearth.conf",
        render("journald/hearth.conf.j2"),
        then="systemctl restart systemd-journald",
    )
