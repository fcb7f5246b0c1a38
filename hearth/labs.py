"""The sandbox of a site: its ssh key and the lab that plays its machines."""

from __future__ import annotations

import shutil
import subprocess

from inventory.errors import HearthError
from inventory.model import Site
from inventory.paths import state_dir
from sandbox.lab import Lab
from sandbox.plan import plan_for


def ensure_key(site: Site) -> None:
    """Makes the sandbox's ssh key where there is none; a real site's key is its owner's."""
    path = site.ssh.identity_path
    if site.sandbox is None or path.is_file():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    comment = f"hearth-{site.name}"
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(path)]
    subprocess.run(command, check=True)


def lab_of(site: Site) -> Lab:
    """The lab of a sandboxed site. Raises HearthError where the site is of real boards."""
    if site.sandbox is None:
        raise HearthError(
            f"{site.name}: its machines are real boards; only a site with `sandbox:` can be booted"
        )
    return Lab(plan_for(site))


def share_known_hosts(site: Site, lab: Lab) -> None:
    """Puts the machines' host keys where the site's ssh_config looks for them."""
    target = state_dir(site.name) / "known_hosts"
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(lab.plan.known_hosts, target)
