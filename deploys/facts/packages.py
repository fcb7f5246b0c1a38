"""What dpkg says of its own state."""

from __future__ import annotations

from pyinfra.api import FactBase


class HalfInstalled(FactBase[list[str]]):
    """What an interrupted installation left: dpkg's complaints; empty where all is well."""

    def command(self) -> str:
        return "dpkg --audit; ls -A /var/lib/dpkg/updates"

    default = list

    def process(self, output: list[str]) -> list[str]:
        return [line.strip() for line in output if line.strip()]


class Upgradable(FactBase[list[str]]):
    """The packages of which the lists have a newer version, by name."""

    def command(self) -> str:
        return "apt-get -s --with-new-pkgs upgrade | sed -n 's/^Inst \\([^ ]*\\) .*/\\1/p'"

    default = list

    def process(self, output: list[str]) -> list[str]:
        return sorted(output)
