"""nftables: what the site declares may be opened, nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from io import StringIO

from pyinfra.api import deploy
from pyinfra.operations import apt, files, server, systemd

from inventory.flows import Flow
from templates import render


def ruleset(flows: Sequence[Flow]) -> str:
    """The text of nftables.conf that admits these flows."""
    return render("nftables/nftables.conf.j2", flows=flows)


@deploy("Firewall")
def firewall(flows: Sequence[Flow]) -> None:
    """Installs nftables and its rules; Docker's own rules are left alone."""
    apt.packages(name="nftables", packages=["nftables"], no_recommends=True)
    rules = files.put(
        name="Firewall rules",
        src=StringIO(ruleset(flows)),
        dest="/etc/nftables.conf",
        mode="755",
    )
    # Loaded by the file, not by a restart: that would flush Docker's rules too.
    server.shell(
        name="Firewall rules are loaded",
        commands=["nft -f /etc/nftables.conf"],
        _if=rules.did_change,
    )
    systemd.service(name="Firewall at boot", service="nftables", enabled=True, running=None)
