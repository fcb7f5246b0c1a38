"""The Docker engine, from the distribution's package, configured before its first start."""

from __future__ import annotations

import json
from io import StringIO

from pyinfra.api import deploy
from pyinfra.operations import apt, files, systemd

PACKAGE_LISTS_SECONDS = 24 * 3600


def daemon_settings(registry: str | None) -> str:
    """The text of daemon.json.

    Args:
        registry: `address:port` of the lab's own registry, spoken to in plain HTTP.
    """
    settings = {
        "live-restore": True,
        "log-driver": "json-file",
        "log-opts": {"max-size": "10m", "max-file": "3"},
        # Published ports are the kernel's business: no process a port, and clients keep
        # the address that the firewall and the rate limits see.
        "userland-proxy": False,
    }
    if registry is not None:
        settings["insecure-registries"] = [registry]
    return json.dumps(settings, indent=2, sort_keys=True) + "\n"


@deploy("Docker")
def engine(registry: str | None) -> None:
    """Installs and starts the engine; a changed setting restarts it, containers live on."""
    files.directory(name="Docker's settings folder", path="/etc/docker", mode="755")
    settings = files.put(
        name="Docker settings",
        src=StringIO(daemon_settings(registry)),
        dest="/etc/docker/daemon.json",
        mode="644",
    )
    package = apt.packages(
        name="Docker engine",
        packages=["docker.io"],
        update=True,
        cache_time=PACKAGE_LISTS_SECONDS,
        no_recommends=True,
    )
    systemd.service(name="Docker runs", service="docker", running=True, enabled=True)
    systemd.service(
        name="Docker reads its settings",
        service="docker",
        restarted=True,
        # A first start has read them already.
        _if=lambda: settings.did_change() and not package.did_change(),
    )
