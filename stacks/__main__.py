"""Pulumi's entry: the stack's name is the site's, unless `hearth:site` names another file."""

from __future__ import annotations

import pulumi

from inventory.errors import HearthError
from inventory.loading import load
from inventory.ssh import write_ssh_config
from stacks import homelab


def main() -> None:
    """Loads and checks the site, then declares it; nothing is declared of a broken one."""
    config = pulumi.Config()
    try:
        site = load(config.get("site") or pulumi.get_stack())
    except HearthError as error:
        raise pulumi.RunError(str(error)) from None
    homelab.declare(site, homelab.Secrets.from_config(config), write_ssh_config(site))


main()
