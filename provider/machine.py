"""A machine's shell, over ssh: connections are shared, scripts go through standard input."""

from __future__ import annotations

import asyncio
import tempfile
from dataclasses import dataclass, field

ATTEMPT_SECONDS = 900
KEPT_OPEN_SECONDS = 20
_SHOWN_LINES = 8


class ScriptError(Exception):
    """A machine was not reached, or a script failed on it."""


@dataclass
class Machines:
    """Runs scripts on machines.

    Attributes:
        ssh_config: the file that tells ssh how to reach them.
    """

    ssh_config: str
    _sockets: str = field(default_factory=lambda: tempfile.mkdtemp(prefix="hearth-ssh-"))
    _first: dict[str, asyncio.Lock] = field(default_factory=dict)

    async def run(self, host: str, script: str) -> str:
        """What the script printed, run by root's sh.

        Raises:
            ScriptError: it failed, with its last lines.
        """
        # One connection a machine: whoever comes while it is made waits for it.
        async with self._first.setdefault(host, asyncio.Lock()):
            process = await asyncio.create_subprocess_exec(
                *self._command(host),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
            out, err = await asyncio.wait_for(process.communicate(script.encode()), ATTEMPT_SECONDS)
        if process.returncode:
            said = (err.decode(errors="replace") or out.decode(errors="replace")).strip()
            last = "\n".join(said.splitlines()[-_SHOWN_LINES:])
            raise ScriptError(f"{host}: {last or f'exit code {process.returncode}'}")
        return out.decode(errors="replace")

    def _command(self, host: str) -> list[str]:
        options = {
            "BatchMode": "yes",
            "ControlMaster": "auto",
            "ControlPath": f"{self._sockets}/%C",
            "ControlPersist": str(KEPT_OPEN_SECONDS),
        }
        flags = [word for key, value in options.items() for word in ("-o", f"{key}={value}")]
        return ["ssh", "-F", self.ssh_config, *flags, host, "sudo -n sh"]
