"""Time: every machine asks the site's time servers; certificates and logs depend on it."""

from __future__ import annotations

from collections.abc import Sequence

from pyinfra.api import deploy

from deploys.facts.machine import Machine
from deploys.files import config_file, run_after
from deploys.units import running
from templates import render

PACKAGES = ("chrony",)


@deploy("Time")
def clock(machine: Machine, servers: Sequence[str]) -> None:
    """Runs chrony; a container has its host's clock and cannot set it."""
    settings = config_file(
        "Time servers", "/etc/chrony/chrony.conf", render("chrony/chrony.conf.j2", servers=servers)
    )
    if machine.container:
        return
    running("Time is kept", "chrony.service")
    run_after("chrony reads its settings", "systemctl restart chrony", settings)
