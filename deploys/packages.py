"""Packages: apt made patient, broken installations mended, security upgrades by themselves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pyinfra import host
from pyinfra.api import deploy, operation
from pyinfra.operations import apt

from deploys.facts.packages import HalfInstalled
from deploys.files import config_file
from templates import render

PACKAGES = ("unattended-upgrades",)
LISTS_SECONDS = 24 * 3600
LOCK_SECONDS = 60
UNPACK_SECONDS = 3600
"""Docker on a Pi 3's card takes many minutes."""


@deploy("Packages")
def installed(packages: Sequence[str]) -> None:
    """Installs all packages of all subjects at once, whatever an earlier run left half done."""
    config_file(
        "apt's settings",
        "/etc/apt/apt.conf.d/52hearth",
        render("apt/52hearth.j2", lock_seconds=LOCK_SECONDS),
    )
    _finished(name="Installations that were cut off are finished")
    apt.packages(
        name="Packages are installed",
        packages=list(packages),
        update=True,
        cache_time=LISTS_SECONDS,
        no_recommends=True,
        _timeout=UNPACK_SECONDS,
    )


@operation()
def _finished() -> Iterator[str]:
    """Lets dpkg end what a power cut interrupted: until then apt refuses everything."""
    if host.get_fact(HalfInstalled):
        yield "dpkg --force-confdef --force-confold --configure -a"
        yield "DEBIAN_FRONTEND=noninteractive apt-get install --fix-broken -y"


@deploy("Security upgrades")
def security_upgrades() -> None:
    """Lets each machine install its distribution's security upgrades daily, without a reboot."""
    config_file(
        "Security upgrades are on",
        "/etc/apt/apt.conf.d/20auto-upgrades",
        'APT::Periodic::Update-Package-Lists "1";\nAPT::Periodic::Unattended-Upgrade "1";\n',
    )
