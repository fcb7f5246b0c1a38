"""Data disks: mounted where Docker keeps what services store; formatted only while empty."""

from __future__ import annotations

import shlex

from pyinfra import host
from pyinfra.api import DeployError, deploy
from pyinfra.operations import server

from deploys.facts.block_device import BlockDevice, Disk
from deploys.files import config_file
from deploys.units import running
from inventory.model import DataDisk
from templates import render

MOUNT = "/srv/hearth"
UNIT = "srv-hearth.mount"


@deploy("Data disk")
def data_disk(disk: DataDisk) -> None:
    """Mounts the disk, and has Docker wait for it.

    Raises:
        DeployError: there is no such disk, or it holds something: said before anything is done.
    """
    found = _usable(disk.device)
    if found.empty:
        server.shell(
            name="Data disk gets a file system",
            commands=[f"mkfs.ext4 -q -L hearth-data {shlex.quote(disk.device)}"],
        )
    config_file(
        "Data disk is known",
        f"/etc/systemd/system/{UNIT}",
        render("systemd/srv-hearth.mount.j2", device=disk.device, mount=MOUNT),
        then="systemctl daemon-reload",
    )
    config_file(
        "Docker waits for the data disk",
        "/etc/systemd/system/docker.service.d/data-disk.conf",
        f"[Unit]\nRequiresMountsFor={MOUNT}\n",
        then="systemctl daemon-reload",
    )
    running("Data disk is mounted", UNIT)


def _usable(device: str) -> Disk:
    """The disk, empty or with a file system of ours; a disk with anything else is left alone."""
    found: Disk | None = host.get_fact(BlockDevice, device=device)
    if found is None:
        raise DeployError(
            f"{host.name}: there is no disk {device}; see `lsblk -o NAME,SIZE,MODEL` there, and "
            f"name it in hosts.{host.name}.data_disk.device"
        )
    if found.empty or found.file_system == "ext4":
        return found
    raise DeployError(
        f"{host.name}: {device} holds {found.file_system or 'partitions'}, not ext4: it is "
        "left alone. If nothing on it is needed: `wipefs --all` it there, and run again"
    )
