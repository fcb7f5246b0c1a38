"""Pulumi's entry: the stack's name is the site's, unless `hearth:site` names another file."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping

import pulumi

from inventory.errors import HearthError
from inventory.loading import load
from inventory.model import Site
from inventory.ssh import write_ssh_config
from stacks import ABSENT, homelab


def main() -> None:
    """Loads and checks the site, then declares it; nothing is declared of a broken one."""
    config = pulumi.Config()
    try:
        site = load(config.get("site") or pulumi.get_stack())
    except HearthError as error:
        raise pulumi.RunError(str(error)) from None
    site = with_images(site, json.loads(config.get("images") or "{}"))
    absent = os.environ.get(ABSENT, "").split()
    homelab.declare(site, homelab.secrets_from(config, site), write_ssh_config(site), absent)


def with_images(site: Site, images: Mapping[str, str]) -> Site:
    """The site with exact tags in place of those that move: `hearth up` knows what it built."""
    if site.registry is None:
        return site
    registry = site.registry.model_copy(update={"images": {**site.registry.images, **images}})
    return site.model_copy(update={"registry": registry})


main()
