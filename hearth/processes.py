"""Runs other tools and hands on their output, line by line."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from inventory.errors import HearthError
from inventory.paths import PROJECT


@dataclass(frozen=True, slots=True)
class Finished:
    """A tool that has ended: its exit code and everything it printed."""

    code: int
    output: str


def stream(
    command: Sequence[str],
    env: Mapping[str, str],
    on_line: Callable[[str], None],
    text_input: str | None = None,
) -> Finished:
    """Runs a tool in the checkout and calls `on_line` for each line as it comes.

    Args:
        command: program and arguments; nothing secret, as everybody can read them.
        env: variables beside this process's own.
        on_line: gets each line of output and errors, without its end.
        text_input: what the tool reads, for what must not stand on its command line.

    Raises:
        HearthError: The tool is not there.
    """
    if shutil.which(command[0], path=env.get("PATH")) is None:
        raise HearthError(f"{command[0]}: no such program on PATH; run `hearth setup`")
    with subprocess.Popen(
        command,
        cwd=PROJECT,
        env=os.environ | env,
        stdin=subprocess.PIPE if text_input is not None else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        if process.stdin is not None:
            process.stdin.write(text_input or "")
            process.stdin.close()
        lines = []
        try:
            for line in process.stdout or ():
                lines.append(line)
                on_line(line.rstrip())
        except KeyboardInterrupt:
            # The tool got the same signal and ends by itself, leaving nothing half done.
            process.wait()
            raise
    return Finished(process.returncode, "".join(lines))
