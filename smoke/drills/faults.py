"""What a drill does to a lab, and how it is undone.

Everything that can, undoes itself: a machine that has lost its network cannot be asked to take it
back.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from inventory.errors import HearthError
from smoke.shell import run_on

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from smoke.access import Access

_TABLE = "inet hearth_drill"
_BOOTS_WITHIN_S = 180


class Power(Protocol):
    """Cuts a machine's power and gives it back."""

    async def off(self, host: str) -> None:
        """The machine is gone at once, as if unplugged."""

    async def on(self, host: str) -> None:
        """Returns when the machine answers ssh again."""


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong.

    Args:
        what: For people, such as `agx0 loses power`.
        strike: Makes it so.
        heal: Undoes it; returns when what was harmed can answer again.
    """

    what: str
    strike: Callable[[], Awaitable[None]]
    heal: Callable[[], Awaitable[None]]


async def _on(access: Access, host: str, script: str) -> str:
    """What a script printed. Raises HearthError where it failed: the fault is not in place."""
    output, fault = await run_on(access, host, script)
    if fault:
        raise HearthError(f"{host}: {fault}")
    return output


def powerless(power: Power, hosts: Sequence[str]) -> Fault:
    """Machines that lose their power and get it back."""

    async def strike() -> None:
        await asyncio.gather(*(power.off(host) for host in hosts))

    async def heal() -> None:
        await asyncio.gather(*(power.on(host) for host in hosts))

    return Fault(
        f"{' and '.join(hosts)} {'loses' if len(hosts) == 1 else 'lose'} power", strike, heal
    )


def killed(access: Access, reference: str) -> Fault:
    """A service whose process is killed; its Docker engine starts it again."""
    host, _, service = reference.partition(".")
    pid = f"docker inspect -f '{{{{.State.Pid}}}}' {service}"

    async def strike() -> None:
        await _on(access, host, f"sudo -n kill -9 $({pid})")

    return Fault(f"{reference} is killed", strike, lambda: running(access, reference))


def restarted(access: Access, reference: str) -> Fault:
    """A service that is stopped and started again."""
    host, _, service = reference.partition(".")

    async def strike() -> None:
        await _on(access, host, f"docker restart {service} >/dev/null")

    return Fault(f"{reference} is restarted", strike, lambda: running(access, reference))


def stopped(access: Access, reference: str) -> Fault:
    """A service that is stopped until it is started."""
    host, _, service = reference.partition(".")

    async def strike() -> None:
        await _on(access, host, f"docker stop {service} >/dev/null")

    async def heal() -> None:
        await _on(access, host, f"docker start {service} >/dev/null")

    return Fault(f"{reference} is stopped", strike, heal)


def cut_off(access: Access, host: str, seconds: float) -> Fault:
    """A machine that nothing reaches any more, for some seconds; then it is itself again."""
    chains = "".join(
        f"add chain {_TABLE} {hook} {{ type filter hook {hook} priority -300; policy drop; }}; "
        for hook in ("input", "output", "forward")
    )
    # A moment later: this connection has to end before the network does.
    script = (
        f"sleep 0.3; nft 'add table {_TABLE}; {chains}'; "
        f"sleep {seconds:g}; nft delete table {_TABLE}"
    )

    async def strike() -> None:
        unit = "sudo -n systemd-run --quiet --collect --unit hearth-drill"
        await _on(access, host, f'{unit} sh -c "{script}"')

    return Fault(f"{host} is cut off", strike, lambda: _answers(access, host))


def slowed(access: Access, reference: str, processors: float) -> Fault:
    """A service that gets a small share of its machine."""
    host, _, service = reference.partition(".")
    before: list[str] = []

    async def strike() -> None:
        asked = f"docker inspect -f '{{{{.HostConfig.NanoCpus}}}}' {service}"
        before.append((await _on(access, host, asked)).strip())
        await _on(access, host, f"docker update --cpus {processors:g} {service} >/dev/null")

    async def heal() -> None:
        cpus = int(before.pop() or 0) / 1e9
        # Zero would leave the limit as it is: as many as there are is no limit.
        share = f"{cpus:g}" if cpus else "$(nproc)"
        await _on(access, host, f"docker update --cpus {share} {service} >/dev/null")

    return Fault(f"{reference} is slowed to {processors:g} processors", strike, heal)


async def running(access: Access, reference: str) -> None:
    """Returns when a service is up, and healthy where its container tells."""
    host, _, service = reference.partition(".")
    form = "{{.State.Status}} {{if .State.Health}}{{.State.Health.Status}}{{end}}"
    asked = f"docker inspect -f '{form}' {service}"
    for _ in range(_BOOTS_WITHIN_S):
        output, _fault = await run_on(access, host, asked)
        if output.split() in (["running"], ["running", "healthy"]):
            return
        await asyncio.sleep(1)
    raise HearthError(f"{reference}: not well again after {_BOOTS_WITHIN_S} s; look at its log")


async def _answers(access: Access, host: str) -> None:
    """Returns when a machine answers ssh."""
    for _ in range(_BOOTS_WITHIN_S):
        _output, fault = await run_on(access, host, "true")
        if not fault:
            return
        await asyncio.sleep(1)
    raise HearthError(f"{host}: does not answer after {_BOOTS_WITHIN_S} s; look at it")
