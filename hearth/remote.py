"""Asks a site's machines, over ssh."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

SECONDS = 30
_T = TypeVar("_T")
_SSH_FAILED = 255
_ANSWERED = re.compile(r"Permission denied|Too many authentication|Host key verification")
"""What ssh says of a machine that is there and does not let it in."""


def ssh(ssh_config: Path, host: str, *command: str) -> list[str]:
    """What runs a command on a machine as its administrator, and asks nobody for anything."""
    return ["ssh", "-F", str(ssh_config), "-o", "BatchMode=yes", host, *command]


def ask(ssh_config: Path, host: str, command: str) -> str | None:
    """What a machine prints to a command; None where it does not answer, or the command fails."""
    asked = _run(ssh(ssh_config, host, command))
    return asked.stdout if asked and not asked.returncode else None


def ask_all(ssh_config: Path, hosts: Collection[str], command: str) -> dict[str, str | None]:
    """What each machine answers, all asked at once."""
    return _side_by_side(hosts, lambda host: ask(ssh_config, host, command))


def absent(ssh_config: Path, hosts: Collection[str]) -> list[str]:
    """The machines that are switched off or out of reach; one that refuses us is there."""
    there = _side_by_side(hosts, lambda host: _is_there(ssh_config, host))
    return [host for host, is_there in there.items() if not is_there]


def _is_there(ssh_config: Path, host: str) -> bool:
    asked = _run(ssh(ssh_config, host, "true"))
    if asked is None:
        return False
    return asked.returncode != _SSH_FAILED or bool(_ANSWERED.search(asked.stderr))


def _run(command: Sequence[str]) -> subprocess.CompletedProcess[str] | None:
    """What a command came to; None where it took too long."""
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        return None


def _side_by_side(hosts: Collection[str], ask_one: Callable[[str], _T]) -> dict[str, _T]:
    with ThreadPoolExecutor(max_workers=max(len(hosts), 1)) as threads:
        return dict(zip(hosts, threads.map(ask_one, hosts), strict=True))
