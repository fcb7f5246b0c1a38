"""Pulumi's entry: a stack is an environment on AWS, or a site, of the stack's name.

`hearth:environment` or `hearth:site` names another file. What a stack does not need is not
imported: a site's engine has no SDK of AWS, and an environment's none of Docker; a site that is a
cluster with FixAI has Kubernetes' alone.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping

import pulumi

from inventory.cloud.loading import environments, load_environment
from inventory.errors import HearthError
from inventory.fixai import FixAI
from inventory.loading import load
from inventory.model import Site
from inventory.paths import state_dir
from inventory.ssh import write_ssh_config
from stacks import ABSENT


def main() -> None:
    """Loads and checks what the stack is of, then declares it; nothing of a broken one."""
    config = pulumi.Config()
    environment = config.get("environment")
    if not environment and not config.get("site") and pulumi.get_stack() in environments():
        environment = pulumi.get_stack()
    try:
        if environment:
            _declare_environment(environment, config)
        else:
            _declare_site(config)
    except HearthError as error:
        raise pulumi.RunError(str(error)) from None


def _declare_environment(name: str, config: pulumi.Config) -> None:
    environment = load_environment(name)
    try:
        from stacks import production  # noqa: PLC0415 - AWS's SDK
    except ModuleNotFoundError as error:
        if error.name != "pulumi_aws":
            raise
        raise HearthError(f"{name}: pulumi_aws is not installed; run `make setup-cloud`") from None
    production.declare(environment, config.require_secret(production.CACHE_PASSWORD))


def _declare_site(config: pulumi.Config) -> None:
    site = load(config.get("site") or pulumi.get_stack())
    site = with_images(site, json.loads(config.get("images") or "{}"))
    if site.fixai is not None:
        _declare_fixai(site, site.fixai, config)
        return
    from stacks import homelab  # noqa: PLC0415 - Docker's SDK

    absent = os.environ.get(ABSENT, "").split()
    homelab.declare(site, homelab.secrets_from(config, site), write_ssh_config(site), absent)


def _declare_fixai(site: Site, settings: FixAI, config: pulumi.Config) -> None:
    from stacks import fixai  # noqa: PLC0415 - Kubernetes' SDK

    secrets = fixai.secrets_from(config, settings)
    fixai.declare(site, secrets, state_dir(site.name) / "kubeconfig")


def with_images(site: Site, images: Mapping[str, str]) -> Site:
    """The site with exact tags in place of those that move: `hearth up` knows what it built."""
    if site.registry is None:
        return site
    registry = site.registry.model_copy(update={"images": {**site.registry.images, **images}})
    return site.model_copy(update={"registry": registry})


main()
