"""Run a command and read its answer."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from inventory.errors import HearthError

if TYPE_CHECKING:
    from collections.abc import Sequence

# Dies with the thread that runs it, its children with it: a killed build leaves no builder.
# Its mounts are its own, so they leave no trace either.
CONTAINED = (
    *("setpriv", "--pdeathsig", "KILL"),
    *("unshare", "--mount", "--propagation", "slave", "--pid", "--fork", "--kill-child"),
)


def run(*args: str, check: bool = True) -> str:
    """Run a command to its end and return its standard output.

    Raises:
        HearthError: It failed; the message ends with its last lines.
    """
    done = subprocess.run(args, capture_output=True, text=True, check=False)
    if check and done.returncode != 0:
        raise HearthError(f"{args[0]}: failed ({failure(args, done)}); mend that and try again")
    return done.stdout


def succeeds(*args: str) -> bool:
    """Whether a command ends well."""
    return subprocess.run(args, capture_output=True, check=False).returncode == 0


def run_logged(args: Sequence[str], where: str, remedy: str) -> None:
    """Run a long command; on failure tell its last ten lines.

    Raises:
        HearthError: It failed.
    """
    done = subprocess.run(
        args,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode != 0:
        tail = "\n".join(done.stdout.strip().splitlines()[-10:])
        raise HearthError(f"{where}: exit {done.returncode} ({tail}); {remedy}")


def failure(args: Sequence[str], done: subprocess.CompletedProcess[str]) -> str:
    """What a failed command was and said."""
    said = (done.stderr or done.stdout).strip().splitlines()[-3:]
    return f"{' '.join(args)}: exit {done.returncode}: {' / '.join(said)}"
