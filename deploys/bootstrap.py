"""A bare machine becomes a ready, hardened member of the lab.

By hand: `pyinfra inventory/hosts.py deploys/bootstrap.py`, with `--dry`, `--diff`, `--limit`.
HEARTH_SITE names the site, `homelab` where it is not set; `--data reboot=no` postpones reboots.
"""

from __future__ import annotations

from pyinfra import config, host

from deploys import clock, docker, firewall, kubernetes, memory, network_policies, packages
from deploys.admission import admitted
from deploys.banner import banner
from deploys.disks import data_disk
from deploys.journal import journal
from deploys.kernel import kernel
from deploys.liveness import watch
from deploys.metrics import metrics
from deploys.reboots import where_needed
from deploys.sshd import keys_only
from deploys.users import administrator
from inventory.hosts import current_site

config.SUDO = True

site = current_site()
planned = site.hosts[host.name]
watch()
machine, release = admitted(site, host.name)

administrator(site.ssh.admin_user, site.ssh.require_public_key())
if planned.data_disk is not None:
    data_disk(planned.data_disk)
if site.kubernetes is None:
    docker.source(release)
    docker.settings(site, planned, release)
    engine = docker.packages(release.docker)
else:
    kubernetes.source(site)
    kubernetes.settings(site, host.name, machine)
    engine = [*kubernetes.packages(site.kubernetes), *network_policies.PACKAGES]
packages.installed(
    [
        *packages.PACKAGES,
        *clock.PACKAGES,
        *engine,
        *firewall.packages(machine),
        *memory.packages(machine),
        *release.gpu_packages,
    ]
)
packages.security_upgrades()
keys_only(release)
clock.clock(machine, site, host.name)
journal()
kernel(machine, [placement.kind.sysctls for placement in site.on_host(host.name)])
memory.swap(machine)
if site.kubernetes is None:
    docker.engine()
else:
    kubernetes.node(site, host.name)
    network_policies.program(site, host.name)
metrics(host.name)
firewall.firewall(machine, site, host.name)
if site.kubernetes is not None:
    kubernetes.cluster(site, host.name, machine)
    network_policies.enforced(site, host.name)
banner(site, host.name)
where_needed(postpone=host.data.get("reboot") == "no")
