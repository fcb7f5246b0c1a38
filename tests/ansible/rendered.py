"""What the playbook needs of a site: the texts that our bootstrap would put on each machine.

gevent comes with the deploys: nothing that speaks gRPC may import this.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from deploys import clock, docker, firewall, kernel, packages, sshd
from deploys.banner import greeting
from deploys.facts.machine import Machine
from inventory.hardware import OS_RELEASES
from inventory.model import Site
from inventory.ssh import write_ssh_config
from inventory.units import GIB, KIB
from templates import render

SANDBOXED = Machine(
    os="debian-12",
    architecture="amd64",
    kernel="",
    page_size_bytes=4 * KIB,
    memory_bytes=GIB,
    container=True,
)
"""What every machine of a sandbox says that it is, as far as the bootstrap looks."""
RELEASE = OS_RELEASES[SANDBOXED.os]


def texts(site: Site, host_name: str) -> dict[str, str]:
    """The files of one machine, by the names that the playbook has for them."""
    host = site.hosts[host_name]
    rules = firewall.backend(SANDBOXED)
    return {
        "52hearth": render("apt/52hearth.j2", lock_seconds=packages.LOCK_SECONDS),
        "chrony.conf": clock.settings(site, host_name),
        "chrony-tells.conf": render("systemd/chrony-tells.conf.j2"),
        "daemon.json": docker.daemon_settings(site, host, RELEASE),
        "journald.conf": render("journald/hearth.conf.j2"),
        "motd": greeting(site, host_name),
        "nftables.conf": firewall.ruleset(rules, site, host_name),
        "sshd.conf": sshd.settings(RELEASE),
        "sysctl.conf": kernel.sysctls([p.kind.sysctls for p in site.on_host(host_name)]),
    }


def inventory(site: Site, folder: Path) -> dict[str, Any]:
    """Ansible's inventory: the machines, through the same ssh_config, as the same user."""
    variables = {
        "ansible_user": site.ssh.login_user,
        "ansible_ssh_common_args": f"-F {write_ssh_config(site)}",
        "admin_user": site.ssh.admin_user,
        "public_key": site.ssh.require_public_key(),
        "packages": [
            *packages.PACKAGES,
            *clock.PACKAGES,
            *docker.packages(RELEASE.docker),
            *firewall.packages(SANDBOXED),
        ],
    }
    hosts = {
        name: {"files": str(folder / name), "tells_time": name in site.time_hosts}
        for name in site.hosts
    }
    return {"all": {"hosts": hosts, "vars": variables}}


def write(site: Site, folder: Path) -> Path:
    """Writes every machine's files, and the inventory; returns the inventory's path."""
    for name in site.hosts:
        (folder / name).mkdir()
        for file, text in texts(site, name).items():
            (folder / name / file).write_text(text)
    path = folder / "inventory.json"
    path.write_text(json.dumps(inventory(site, folder), indent=2))
    return path
