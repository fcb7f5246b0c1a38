"""Cuts the power of a site's machines, for drills, and gives it back."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hearth.remote import absent, ssh
from inventory.errors import HearthError
from inventory.ssh import write_ssh_config
from smoke.drills.faults import Power
from smoke.shell import run

if TYPE_CHECKING:
    from inventory.model import Site
    from sandbox.lab import Lab

BOOTS_WITHIN_S = 300


def power_of(site: Site) -> Power:
    """The power of a site's machines."""
    if site.sandbox is None:
        return BoardPower(site)
    from hearth.labs import lab_of  # noqa: PLC0415 - needs Linux

    return SandboxPower(lab_of(site))


@dataclass(frozen=True, slots=True)
class SandboxPower:
    """A sandbox's machines are killed and booted."""

    lab: Lab

    async def off(self, host: str) -> None:
        """Kills everything in the machine; its disk stays."""
        await asyncio.to_thread(self.lab.stop_machine, host)

    async def on(self, host: str) -> None:
        """Boots it."""
        await asyncio.to_thread(self.lab.start_machine, host)


@dataclass(frozen=True, slots=True)
class BoardPower:
    """A board nobody can unplug from here restarts at once, without putting anything away."""

    site: Site

    async def off(self, host: str) -> None:
        """Restarts it as a power cut would; it boots by itself."""
        # A moment later, so that the answer still arrives.
        later = "sudo -n systemd-run --quiet sh -c 'sleep 0.3; systemctl reboot --force --force'"
        _output, fault = await run(ssh(write_ssh_config(self.site), host, later))
        if fault:
            raise HearthError(f"{host}: {fault}")

    async def on(self, host: str) -> None:
        """Waits until it has booted."""
        config = write_ssh_config(self.site)
        for _ in range(BOOTS_WITHIN_S):
            if not await asyncio.to_thread(absent, config, [host]):
                return
            await asyncio.sleep(1)
        raise HearthError(f"{host}: not back after {BOOTS_WITHIN_S} s; look at it")
