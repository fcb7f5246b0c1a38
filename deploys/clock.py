"""Time: every machine asks the site's time servers; certificates and logs depend on it."""

from __future__ import annotations

from collections.abc import Sequence

from pyinfra.api import deploy

from deploys.facts.machine import Machine
from deploys.files import config_file
from deploys.units import running
from templates import render

PACKAGES = ("chrony",)


@deploy("Time")
def clock(machine: Machine, servers: Sequence[str]) -> None:
    """Runs chrony; a container has its host's clock and cannot set it."""
    config_file(
        "Time servers",
        "/etc/chrony/chrony.conf",
        render("chrony/chrony.conf.j2", servers=servers),
        then="systemctl try-restart chrony",
    )
    if not machine.container:
        running("Time is kept", "chrony.service")
