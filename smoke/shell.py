"""Programs on the machines of a lab, over ssh, and on this one."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from smoke.access import Access

LONGEST_S = 60
_OPTIONS = ("-o", "BatchMode=yes", "-o", "ConnectTimeout=5")


async def run_on(access: Access, host: str, script: str) -> tuple[str, str]:
    """What a script printed on a host, run by bash as the administrator; and what went wrong."""
    return await run(("ssh", "-F", str(access.ssh_config), *_OPTIONS, host, "bash", "-s"), script)


async def run(command: Sequence[str], given: str = "") -> tuple[str, str]:
    """A program's output, and what went wrong, empty where nothing did."""
    pipe = asyncio.subprocess.PIPE
    try:
        process = await asyncio.create_subprocess_exec(
            *command, stdin=pipe, stdout=pipe, stderr=pipe
        )
    except OSError as error:
        return "", f"{command[0]}: {error.strerror}"
    try:
        output, errors = await asyncio.wait_for(process.communicate(given.encode()), LONGEST_S)
    except TimeoutError:
        process.kill()
        await process.wait()
        return "", f"{command[0]}: no answer within {LONGEST_S} s"
    if process.returncode:
        last = errors.decode(errors="replace").strip().splitlines()[-1:]
        return "", f"{command[0]}: exit {process.returncode} ({''.join(last) or 'no message'})"
    return output.decode(), ""
