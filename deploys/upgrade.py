"""Rolling upgrade: each machine's packages, Docker's among them, one machine at a time.

By hand: `pyinfra inventory/hosts.py deploys/upgrade.py`. It stops at the first machine that is
not as well afterwards as it was before; the machines after it are left alone.
"""

from __future__ import annotations

from collections.abc import Iterator

from pyinfra import config, host
from pyinfra.api import FunctionCommand, deploy, operation
from pyinfra.api.host import Host
from pyinfra.operations import apt

from deploys.facts.boot import RebootNeeded
from deploys.facts.packages import Upgradable
from deploys.liveness import watch
from deploys.packages import UNPACK_SECONDS
from deploys.reboots import carefully, reboot

COMMAND = (
    "DEBIAN_FRONTEND=noninteractive apt-get -y -o Dpkg::Options::=--force-confdef "
    "-o Dpkg::Options::=--force-confold --with-new-pkgs upgrade"
)


@deploy("Upgrade")
def upgrade() -> None:
    """Reads package lists everywhere at once, then upgrades machine after machine."""
    apt.update(name="Package lists")
    _upgrade(name="Upgrade", _serial=True)


@operation()
def _upgrade() -> Iterator[object]:
    """Upgrades the machine, reboots it where that is needed, waits until it is well."""
    packages = host.get_fact(Upgradable)
    if not packages:
        host.noop("every package is up to date")
        return
    yield FunctionCommand(carefully, (_packages, f"upgrade of {', '.join(packages)}"), {})


def _packages(host: Host) -> str | None:
    """Upgrades packages; why it failed, or None."""
    done, output = host.run_shell_command(COMMAND, _sudo=True, _timeout=UNPACK_SECONDS)
    if not done:
        return str(output.stderr or output.stdout)
    return reboot(host) if host.get_fact(RebootNeeded) else None


config.SUDO = True
watch()
upgrade()
