"""The kernel's packet filter, by nft."""

from __future__ import annotations

import subprocess

from services.policies.table import TABLE

_WITHIN_S = 30


class KernelError(Exception):
    """The kernel does not take a table."""


def load(text: str) -> None:
    """Replaces the table, at once or not at all.

    Raises:
        KernelError: it was refused; what was loaded stays.
    """
    try:
        done = subprocess.run(
            ["nft", "-f", "-"],
            input=text,
            capture_output=True,
            text=True,
            timeout=_WITHIN_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise KernelError(f"nft: {error}; is nftables installed?") from error
    if done.returncode:
        said = done.stderr.strip().splitlines()[:3]
        raise KernelError(
            f"nft: table {TABLE} is refused ({' '.join(said)}); `nft list ruleset` tells what holds"
        )


def is_loaded() -> bool:
    """Whether there is a table, be it an earlier run's."""
    # Terse: without the elements of its sets.
    command = ["nft", "-t", "list", "table", "ip", TABLE]
    try:
        done = subprocess.run(command, capture_output=True, timeout=_WITHIN_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
