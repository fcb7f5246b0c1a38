"""The Docker engine, of the version that a board's kernel can run, configured before it starts."""

from __future__ import annotations

import json

from pyinfra.api import deploy
from pyinfra.operations import apt, files

from deploys.disks import MOUNT
from deploys.files import config_file
from deploys.units import running
from inventory.hardware import DockerSource, OsRelease
from inventory.model import Host, Site
from templates import render

REPOSITORY = "https://download.docker.com/linux/ubuntu"
KEY = "/etc/apt/keyrings/docker.asc"
KEY_SHA256 = "1500c1f56fa9e26b9b8f42452a553675796ade0807cdce11975eb98170b3a570"


def packages(source: DockerSource) -> list[str]:
    """The engine's packages as apt takes them, pinned where the board needs that."""
    pin = f"={source.version}" if source.version else ""
    return [f"{package}{pin}" for package in source.packages]


def daemon_settings(site: Site, host: Host, release: OsRelease) -> str:
    """The text of daemon.json."""
    settings: dict[str, object] = {
        "live-restore": True,
        "log-driver": "json-file",
        "log-opts": {"max-size": "10m", "max-file": "3"},
        # Published ports are the kernel's business: no process a port, and clients keep
        # the address that the firewall and the rate limits see.
        "userland-proxy": False,
    }
    if site.registry is not None:  # the lab's own, in plain HTTP
        settings["insecure-registries"] = [site.registry.endpoint]
    if site.registry_mirror is not None:
        settings["registry-mirrors"] = [site.registry_mirror]
    if host.data_disk is not None:
        settings["data-root"] = f"{MOUNT}/docker"
    if release.gpu_packages:
        runtime = {"path": "nvidia-container-runtime", "runtimeArgs": []}
        settings["runtimes"] = {"nvidia": runtime}
    return json.dumps(settings, indent=2, sort_keys=True) + "\n"


@deploy("Docker's packages")
def source(release: OsRelease) -> None:
    """Pins the engine, from Docker's own repository, where the distribution's does not do."""
    docker = release.docker
    if not docker.suite:
        return
    files.directory(name="Folder of repositories' keys", path=KEY.rpartition("/")[0], mode="755")
    files.download(
        name="Key of Docker's repository",
        src=f"{REPOSITORY}/gpg",
        dest=KEY,
        sha256sum=KEY_SHA256,
        mode="644",
    )
    pinned = config_file(
        "Docker's version is pinned",
        "/etc/apt/preferences.d/hearth-docker",
        render("apt/docker.pref.j2", packages=docker.packages, version=docker.version),
    )
    listed = config_file(
        "Docker's repository",
        "/etc/apt/sources.list.d/docker.list",
        f"deb [signed-by={KEY}] {REPOSITORY} {docker.suite} stable\n",
    )
    apt.update(name="Docker's package list", _if=lambda: listed.did_change() or pinned.did_change())


@deploy("Docker's settings")
def settings(site: Site, host: Host, release: OsRelease) -> None:
    """Puts the settings in place before the package starts the engine for the first time."""
    config_file(
        "Docker settings",
        "/etc/docker/daemon.json",
        daemon_settings(site, host, release),
        # Containers live on while the engine restarts.
        then="systemctl try-restart docker || ! systemctl cat docker >/dev/null 2>&1",
    )


@deploy("Docker")
def engine() -> None:
    """Runs the engine."""
    running("Docker runs", "docker.service")
