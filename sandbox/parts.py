"""A part of a lab that runs: a process with a record, a log and a control group of its own."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from inventory.errors import HearthError
from sandbox import process
from sandbox.cgroup import Group

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from sandbox.plan import LabPlan

# Between two looks at a server that does not answer yet; the end of its process is seen at once.
LOOK_AGAIN = 0.05


@dataclass(frozen=True)
class Part:
    """One running part of a lab: a machine, the registry or the forwarder."""

    plan: LabPlan
    name: str

    @property
    def record(self) -> Path:
        """Where its process is recorded."""
        return self.plan.state / f"{self.name}.process"

    @property
    def log(self) -> Path:
        """What its process printed."""
        return self.plan.state / f"{self.name}.log"

    @property
    def group(self) -> Group:
        """Its control group."""
        return Group(self.plan.namespace, self.name)

    def running(self) -> process.Process | None:
        """Its process, if it runs."""
        return process.recorded(self.record)

    def clear(self) -> None:
        """Kill what a crash or a power cut left of it."""
        self.group.remove()
        self.record.unlink(missing_ok=True)

    def start(self, args: Sequence[str], pass_fds: Sequence[int] = (), **environment: str) -> None:
        """Start its process."""
        process.start(args, self.record, self.log, environment, pass_fds)

    def stop(self) -> None:
        """Ask its process to end, then kill what is left."""
        if running := self.running():
            process.stop(running)
        self.clear()

    def wait_until(self, ready: Callable[[], bool], seconds: float) -> None:
        """Wait until it serves.

        Raises:
            HearthError: Its process ended, or the time is over; the message ends with its log.
        """
        deadline = time.monotonic() + seconds
        while not ready():
            running = self.running()
            if running is None or process.wait_for_end(running.pid, LOOK_AGAIN):
                raise HearthError(f"{self.name}: ended instead of starting ({self.last_words()})")
            if time.monotonic() > deadline:
                raise HearthError(
                    f"{self.name}: does not answer after {seconds:.0f} s ({self.last_words()}); "
                    f"see {self.log}"
                )

    def last_words(self) -> str:
        """The end of its log."""
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return " / ".join(line.strip() for line in lines[-5:]) or "it said nothing"
