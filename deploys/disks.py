"""Data disks: mounted where Docker keeps what services store; formatted only while empty."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from pyinfra import host
from pyinfra.api import OperationError, deploy, operation

from deploys.facts.block_device import BlockDevice
from deploys.files import config_file, run_after
from deploys.units import running
from inventory.model import DataDisk
from templates import render

MOUNT = "/srv/hearth"
UNIT = "srv-hearth.mount"


@deploy("Data disk")
def data_disk(disk: DataDisk) -> None:
    """Mounts the disk, and has Docker wait for it."""
    _formatted(name="Data disk has a file system", device=disk.device)
    mount = config_file(
        "Data disk is known",
        f"/etc/systemd/system/{UNIT}",
        render("systemd/srv-hearth.mount.j2", device=disk.device, mount=MOUNT),
    )
    wait = config_file(
        "Docker waits for the data disk",
        "/etc/systemd/system/docker.service.d/data-disk.conf",
        f"[Unit]\nRequiresMountsFor={MOUNT}\n",
    )
    run_after("systemd knows of it", "systemctl daemon-reload", mount, wait)
    running("Data disk is mounted", UNIT)


@operation()
def _formatted(device: str) -> Iterator[str]:
    """Makes a file system on an empty disk; a disk with anything on it is left alone."""
    found = host.get_fact(BlockDevice, device=device)
    if found is None:
        raise OperationError(
            f"{host.name}: there is no disk {device}; see `lsblk -o NAME,SIZE,MODEL` there, and "
            f"name it in hosts.{host.name}.data_disk.device"
        )
    if found.file_system == "ext4":
        host.noop(f"{device} has a file system")
    elif found.empty:
        yield f"mkfs.ext4 -q -L hearth-data {shlex.quote(device)}"
    else:
        raise OperationError(
            f"{host.name}: {device} holds {found.file_system or 'partitions'}, not ext4: it is "
            "left alone. If nothing on it is needed: `wipefs --all` it there, and run again"
        )
