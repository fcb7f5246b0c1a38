"""Memory: compressed swap on small boards, never swap on a card."""

from __future__ import annotations

from pyinfra.api import deploy

from deploys.facts.machine import Machine
from deploys.files import config_file
from deploys.reboots import NEEDED
from deploys.units import running
from inventory.units import GIB

SMALL_BYTES = 4 * GIB
ZRAM = "[zram0]\nzram-size = ram / 2\ncompression-algorithm = zstd\n"
RPI_SWAP = "[Main]\nMechanism=zram\n"


def small(machine: Machine) -> bool:
    """Whether the machine needs more than it has, and may change how its kernel swaps."""
    return machine.memory_bytes <= SMALL_BYTES and not machine.container


def packages(machine: Machine) -> tuple[str, ...]:
    """What makes the swap: JetPack and newer Raspberry Pi OS have their own."""
    own = machine.l4t or (machine.raspberry_pi and machine.os != "debian-12")
    return () if own or not small(machine) else ("systemd-zram-generator",)


@deploy("Swap")
def swap(machine: Machine) -> None:
    """Half of the memory, compressed; boards with more than 4 GiB need none."""
    if not small(machine):
        return
    if machine.l4t:
        running("Compressed swap", "nvzramconfig.service")
        return
    if not packages(machine):
        path = "/etc/rpi/swap.conf.d/90-hearth.conf"
        config_file("Swap settings", path, RPI_SWAP, then=f"echo 'swap settings' >>{NEEDED}")
        return
    config_file(
        "Swap is compressed memory, not a file on the card",
        "/etc/systemd/zram-generator.conf",
        ZRAM,
        # Raspberry Pi OS 12 swaps to a file by itself.
        then="if command -v dphys-swapfile; then systemctl disable --now dphys-swapfile; fi; "
        "systemctl daemon-reload && systemctl restart systemd-zram-setup@zram0",
    )
