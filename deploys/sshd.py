"""sshd: keys only, no root, room for tools that open many sessions."""

from __future__ import annotations

from io import StringIO

from pyinfra.api import deploy
from pyinfra.operations import files, systemd

from templates import render


@deploy("sshd")
def keys_only() -> None:
    """Puts the settings in place; sessions that are open stay open."""
    settings = files.put(
        name="sshd settings",
        src=StringIO(render("sshd/hearth.conf.j2")),
        dest="/etc/ssh/sshd_config.d/10-hearth.conf",
        mode="644",
    )
    systemd.service(
        name="sshd reads its settings",
        service="ssh",
        reloaded=True,
        _if=settings.did_change,
    )
