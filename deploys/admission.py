"""Whether a machine is the one that the site describes: asked before anything is changed."""

from __future__ import annotations

from pyinfra import host
from pyinfra.api import DeployError

from deploys.facts.machine import Machine, MachineFact
from inventory.hardware import OsRelease
from inventory.model import Site


def admitted(site: Site, host_name: str) -> tuple[Machine, OsRelease]:
    """The machine as it is, and its operating system's catalogue entry.

    Raises:
        DeployError: it cannot be what the site says that it is.
    """
    machine = host.get_fact(MachineFact)
    if machine is None:
        raise DeployError(f"{host_name}: does not say what it is; see `hearth doctor {site.name}`")
    release = machine.release
    said = site.hosts[host_name]
    if release is None:
        raise DeployError(
            f"{host_name}: runs {machine.os}, which Hearth does not know; flash one of "
            f"{', '.join(said.hardware.os_releases)}"
        )
    # A sandbox's machines are played by containers of one kind, whatever the boards are.
    if site.sandbox is None and machine.os != said.os:
        raise DeployError(
            f"{host_name}: runs {machine.os}, the site says {said.os}; "
            f"correct hosts.{host_name}.os, or flash the board"
        )
    return machine, release
