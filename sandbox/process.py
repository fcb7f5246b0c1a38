"""Background processes that outlive this one, and are found again without mistaken identity.

A pid is reused; a pid with its start time is not. Both are recorded, and a process is signalled
only when both still match.
"""

from __future__ import annotations

import errno
import json
import os
import select
import signal
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sandbox.files import write_whole

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PROC = Path("/proc")


@dataclass(frozen=True)
class Process:
    """A process: its pid, and its start in clock ticks since the boot."""

    pid: int
    started: int


def start(
    args: Sequence[str],
    record: Path,
    log: Path,
    environment: Mapping[str, str] | None = None,
    pass_fds: Sequence[int] = (),
) -> Process:
    """Start a process in a session of its own and record it.

    Args:
        args: The command.
        record: Where pid and start time are kept.
        log: What it prints; replaced at every start.
        environment: Added to this process's environment.
        pass_fds: Open descriptors that it inherits.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        child = subprocess.Popen(
            args,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={**os.environ, **(environment or {})},
            pass_fds=pass_fds,
        )
    process = Process(child.pid, start_time(child.pid) or 0)
    write_whole(record, json.dumps(asdict(process)))
    return process


def recorded(record: Path, proc: Path = PROC) -> Process | None:
    """The recorded process, if it is that very one and still runs."""
    try:
        process = Process(**json.loads(record.read_text()))
    except (FileNotFoundError, ValueError, TypeError):
        return None
    return process if start_time(process.pid, proc) == process.started else None


def start_time(pid: int, proc: Path = PROC) -> int | None:
    """A process's start in clock ticks since the boot; None once it has ended."""
    try:
        stat = (proc / str(pid) / "stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The name, field 2, may hold spaces and brackets: count from behind the last bracket.
    fields = stat.rpartition(")")[2].split()
    state, started = fields[0], int(fields[19])
    return None if state in "ZX" else started


def uptime(process: Process, proc: Path = PROC) -> float:
    """Seconds since a process started."""
    since_boot = float((proc / "uptime").read_text().split()[0])
    return since_boot - process.started / os.sysconf("SC_CLK_TCK")


def stop(process: Process, grace: float = 5.0) -> None:
    """End a process: ask, wait, then insist."""
    if (handle := open_handle(process.pid)) is None:
        return
    try:
        # Compared while the pidfd is held: from here on the pid cannot become another process.
        if start_time(process.pid) != process.started:
            return
        signal.pidfd_send_signal(handle, signal.SIGTERM)
        if not ended(handle, grace):
            signal.pidfd_send_signal(handle, signal.SIGKILL)
            ended(handle, grace)
    except ProcessLookupError:
        return
    finally:
        os.close(handle)


def open_handle(pid: int) -> int | None:
    """A pidfd of a process; None once it is gone."""
    try:
        return os.pidfd_open(pid)
    except OSError as error:
        # EINVAL is how kernels as late as 6.1 put it when the process is being reaped just now.
        if error.errno in {errno.ESRCH, errno.EINVAL}:
            return None
        raise


def ended(handle: int, seconds: float) -> bool:
    """Whether the process behind a pidfd ends within that time."""
    poll = select.poll()
    poll.register(handle, select.POLLIN)
    return bool(poll.poll(seconds * 1000))


def wait_for_end(pid: int, seconds: float) -> bool:
    """Whether a process ends within that time; at once when it is already gone."""
    if (handle := open_handle(pid)) is None:
        return True
    try:
        return ended(handle, seconds)
    finally:
        os.close(handle)
