"""How a machine boots, and whether it has to boot again."""

from __future__ import annotations

from dataclasses import dataclass

from pyinfra.api import FactBase


@dataclass(frozen=True, slots=True)
class CommandLineFile:
    """The file from which a Raspberry Pi's kernel gets its command line.

    Attributes:
        path: it moved between releases.
        text: its only line.
    """

    path: str
    text: str


class KernelCommandLine(FactBase[CommandLineFile]):
    """The Raspberry Pi's command line file, where the running release has it."""

    def command(self) -> str:
        return (
            "for file in /boot/firmware/cmdline.txt /boot/cmdline.txt; do "
            '[ -f "$file" ] && { echo "$file"; head -1 "$file"; break; }; done'
        )

    def process(self, output: list[str]) -> CommandLineFile:
        return CommandLineFile(*output[:2])


class RebootNeeded(FactBase[list[str]]):
    """Why the machine has to boot again: packages and settings; empty where it has not."""

    def command(self) -> str:
        return (
            "if [ -e /run/reboot-required ] || [ -e /run/reboot-required.pkgs ]; then "
            "cat /run/reboot-required.pkgs 2>/dev/null || echo 'the system'; fi"
        )

    default = list

    def process(self, output: list[str]) -> list[str]:
        return sorted({line.strip() for line in output if line.strip()})
