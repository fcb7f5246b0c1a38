"""Runs the bootstrap deploy by pyinfra, in a process of its own: gevent and gRPC clash."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hearth.processes import stream
from inventory.errors import HearthError
from inventory.model import Site

_TOTAL = re.compile(r"^\s*Grand total\s+(\S+)\s+(\S+)\s+(\S+)\s+(\S+)")
_OPERATION = re.compile(
    r"^--> Starting operation: (.*)$|^\s*\[(?P<host>[a-z0-9-]+)\]\s*(?P<rest>.*)$"
)
_ANSI = re.compile(r"\x1b\[[0-9;]*m")
_FAILURE = re.compile(r"error|fail|denied|could not|timed out|unable", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Bootstrapped:
    """What a bootstrap came to.

    Attributes:
        hosts: machines that were reached.
        changed: operations that changed something, over all machines.
        unchanged: operations that found everything in place.
    """

    hosts: int
    changed: int
    unchanged: int


def bootstrap(site_argument: str, site: Site, progress: Callable[[str], None]) -> Bootstrapped:
    """Makes every machine of the site ready; a second run changes nothing.

    Raises:
        HearthError: with the machine and the operation that failed.
    """
    site.ssh.require_public_key()
    hosts: set[str] = set()

    def on_line(raw: str) -> None:
        line = _ANSI.sub("", raw).strip()
        match = _OPERATION.match(line)
        if match and match["rest"] == "Connected":
            hosts.add(match["host"])
        if match and match[1]:
            progress(match[1])

    # Its own script: `python -m pyinfra` loads paramiko before gevent has patched it, and hangs.
    program = str(Path(sys.executable).with_name("pyinfra"))
    command = [program, "-y", "inventory/hosts.py", "deploys/bootstrap.py"]
    finished = stream(command, {"HEARTH_SITE": site_argument}, on_line)
    output = _ANSI.sub("", finished.output)
    total = next((m for m in map(_TOTAL.match, output.splitlines()) if m), None)
    if finished.code or total is None:
        raise HearthError(_explain(site_argument, output))
    missing = set(site.hosts) - hosts
    if missing:
        raise HearthError(
            f"bootstrap: {', '.join(sorted(missing))} could not be reached; "
            f"see that it is on and `ssh` reaches it, then run `hearth up {site_argument}` again"
        )
    _, changed, _, unchanged = (0 if value == "-" else int(value) for value in total.groups())
    return Bootstrapped(len(hosts), changed, unchanged)


def _explain(site_argument: str, output: str) -> str:
    """The lines in which pyinfra says what went wrong, and what to do."""
    lines = [line.strip() for line in output.splitlines() if _FAILURE.search(line)]
    shown = "\n".join(f"    {line}" for line in lines[:12]) or output[-800:]
    return (
        f"bootstrap of {site_argument} failed:\n{shown}\n"
        f"mend the machine named above and run `hearth up {site_argument}` again: it continues"
    )
