"""The site's machines as pyinfra's inventory, a group a tier.

HEARTH_SITE names the site, `homelab` where it is not set. pyinfra reads every public list
here as a group of hosts, so anything else is private or no list.
"""

from __future__ import annotations

import os
from functools import cache

from inventory.loading import load
from inventory.model import Site
from inventory.paths import state_dir
from inventory.ssh import write_ssh_config

_Hosts = list[tuple[str, dict[str, str]]]


@cache
def current_site() -> Site:
    """The site that HEARTH_SITE names."""
    return load(os.environ.get("HEARTH_SITE", "homelab"))


def _tier(name: str) -> _Hosts:
    site = current_site()
    data = {
        # The vendor's user is there before the administrator is, and stays.
        "ssh_user": site.ssh.login_user,
        "ssh_config_file": str(write_ssh_config(site)),
        "ssh_known_hosts_file": str(state_dir(site.name) / "known_hosts"),
        "ssh_strict_host_key_checking": "yes" if site.sandbox else "accept-new",
    }
    return [(host, data) for host, machine in site.hosts.items() if machine.tier == name]


# In the order of TIERS, in which what is done one by one is done.
data = _tier("data")
ai = _tier("ai")
edge = _tier("edge")
gateway = _tier("gateway")
monitoring = _tier("monitoring")
utility = _tier("utility")
