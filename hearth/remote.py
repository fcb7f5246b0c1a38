"""Asks a site's machines, over ssh."""

from __future__ import annotations

import subprocess
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

SECONDS = 30


def ask(ssh_config: Path, host: str, command: str) -> str | None:
    """What a machine prints to a command; None where it does not answer, or the command fails."""
    ssh = ["ssh", "-F", str(ssh_config), "-o", "BatchMode=yes", host, command]
    try:
        asked = subprocess.run(ssh, capture_output=True, text=True, check=False, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        return None
    return asked.stdout if not asked.returncode else None


def ask_all(ssh_config: Path, hosts: Collection[str], command: str) -> dict[str, str | None]:
    """What each machine answers, all asked at once."""
    with ThreadPoolExecutor(max_workers=max(len(hosts), 1)) as threads:
        answers = threads.map(lambda host: ask(ssh_config, host, command), hosts)
        return dict(zip(hosts, answers, strict=True))
