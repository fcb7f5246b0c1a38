"""Where Debian packages come from: decided at run time, written nowhere."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path

from inventory.errors import HearthError

SUITE = "bookworm"
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def architecture() -> str:
    """This computer's architecture in Debian's (and Docker's) words.

    Raises:
        HearthError: The lab is not built for it.
    """
    machine = platform.machine()
    if machine not in ARCHITECTURES:
        raise HearthError(f"host: no lab for this processor ({machine}); use x86_64 or aarch64")
    return ARCHITECTURES[machine]


def mirror(apt: Path = Path("/etc/apt"), release: Path = Path("/etc/os-release")) -> str | None:
    """The mirror: HEARTH_DEBIAN_MIRROR, else the one this Debian host uses, else None."""
    if override := os.environ.get("HEARTH_DEBIAN_MIRROR"):
        return override
    facts = os_release(release)
    if facts.get("ID") != "debian":
        return None
    codename = facts.get("VERSION_CODENAME", "stable")
    files = [apt / "sources.list", *sorted((apt / "sources.list.d").glob("*"))]
    for file in files:
        if file.is_file() and (found := mirror_in(file.read_text(), codename)):
            return found
    return None


def os_release(release: Path) -> dict[str, str]:
    """What a host says about itself."""
    if not release.exists():
        return {}
    pairs = (line.split("=", 1) for line in release.read_text().splitlines() if "=" in line)
    return {name: value.strip('"') for name, value in pairs}


def mirror_in(sources: str, codename: str) -> str | None:
    """The first source of a host's own release, in either form of apt's source lists."""
    one_line = rf"^deb\s+(?:\[[^\]]*\]\s+)?(\S+)\s+{re.escape(codename)}\s+main\b"
    if match := re.search(one_line, sources, re.MULTILINE):
        return match[1]
    for stanza in sources.split("\n\n"):
        fields = dict(re.findall(r"^([\w-]+):\s*(.+?)\s*$", stanza, re.MULTILINE))
        if codename in fields.get("Suites", "").split() and "URIs" in fields:
            return str(fields["URIs"].split()[0])
    return None
