"""Rolling upgrade: each machine's packages, Docker's among them, one machine at a time.

By hand: `pyinfra inventory/hosts.py deploys/upgrade.py`. It stops at the first machine that is
not as well afterwards as it was before; the machines after it are left alone.
"""

from __future__ import annotations

from pyinfra import config
from pyinfra.api import deploy
from pyinfra.api.host import Host
from pyinfra.operations import apt

from deploys.facts.boot import RebootNeeded
from deploys.facts.packages import Upgradable
from deploys.liveness import watch
from deploys.packages import UNPACK_SECONDS
from deploys.reboots import Change, one_by_one, reboot

COMMAND = (
    "DEBIAN_FRONTEND=noninteractive apt-get -y -o Dpkg::Options::=--force-confdef "
    "-o Dpkg::Options::=--force-confold --with-new-pkgs upgrade"
)


@deploy("Upgrade")
def upgrade() -> None:
    """Reads package lists everywhere at once, then upgrades machine after machine."""
    apt.update(name="Package lists")
    one_by_one(name="Upgrade", change=Change(_why_upgrade, _packages), _serial=True)


def _why_upgrade(host: Host) -> str:
    """What a machine's upgrade brings; empty where everything is up to date."""
    packages = host.get_fact(Upgradable, _sudo=True)
    return f"upgrade of {', '.join(packages)}" if packages else ""


def _packages(host: Host) -> str | None:
    """Upgrades packages; why it failed, or None."""
    done, output = host.run_shell_command(COMMAND, _sudo=True, _timeout=UNPACK_SECONDS)
    if not done:
        return str(output.stderr or output.stdout or "apt-get failed")
    return reboot(host) if host.get_fact(RebootNeeded, _sudo=True) else None


config.SUDO = True
watch()
upgrade()
