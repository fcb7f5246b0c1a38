"""A bare machine becomes one that the lab can use.

By hand: `pyinfra inventory/hosts.py deploys/bootstrap.py`. HEARTH_SITE names the site,
`homelab` where it is not set.
"""

from __future__ import annotations

from pyinfra import config, host

from deploys.docker import engine
from deploys.firewall import firewall
from deploys.sshd import keys_only
from deploys.users import administrator
from inventory.flows import flows_into
from inventory.hosts import current_site

config.SUDO = True

site = current_site()

administrator(site.ssh.admin_user, site.ssh.require_public_key())
keys_only()
engine(site.registry.endpoint if site.registry else None)
firewall(flows_into(site, host.name))
