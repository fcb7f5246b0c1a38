"""Where and with what a run was made: what one needs to know before comparing two."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING

from inventory.paths import PROJECT

if TYPE_CHECKING:
    from inventory.model import Site


@dataclass(frozen=True, slots=True)
class Environment:
    """The machine that sent the load, and what it ran; the machine's name is left out.

    Args:
        kernel: Its name, release and processor architecture.
        cores: That this process may use.
        memory_bytes: Of the machine.
        python: The interpreter's version.
        load_average_start: Runnable processes, averaged over a minute, before the run.
        load_average_end: The same after it.
        hearth: The package's version.
        commit: Of the checkout, with `-dirty` where files differ; None outside of one.
        site_digest: SHA-256 of the site with all that it extends: equal digests, equal sites.
    """

    kernel: str
    cores: int
    memory_bytes: int
    python: str
    load_average_start: float
    load_average_end: float
    hearth: str
    commit: str | None
    site_digest: str


def load_average() -> float:
    """Runnable processes, averaged over the last minute."""
    return round(os.getloadavg()[0], 2)


def observe(site: Site, load_average_start: float) -> Environment:
    """The environment, at the end of a run."""
    return Environment(
        kernel=f"{platform.system()} {platform.release()} {platform.machine()}",
        cores=_cores(),
        memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        python=platform.python_version(),
        load_average_start=load_average_start,
        load_average_end=load_average(),
        hearth=version("hearth"),
        commit=_commit(),
        site_digest=digest(site),
    )


def digest(site: Site) -> str:
    """SHA-256 over the site's values, whatever the order and layout of its files."""
    canonical = json.dumps(site.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _commit() -> str | None:
    """What the checkout is at; None for an installed package, or without git."""
    if not (PROJECT / ".git").exists():
        return None
    command = ["git", "-C", str(PROJECT), "describe", "--always", "--dirty", "--exclude=*"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return None
    return found.stdout.strip()
