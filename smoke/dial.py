"""Which ports answer: a program of its own, so that it can be run in another network.

Reads `[[address, port, protocol], ...]` on standard input, writes those that accept a connection,
or of UDP answer a question, within the time, as JSON. Needs nothing but Python's own library.
"""

from __future__ import annotations

import asyncio
import json
import socket
import sys

TIMEOUT_S = 2.0
TRIES = 2
"""How often a question is asked within the time: a packet may get lost."""
AT_ONCE = 256

Target = tuple[str, int, str]

QUERIES = {
    # For the address of localhost, which a name server has to know without asking another.
    53: b"\x48\x54\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x09localhost\x00\x00\x01\x00\x01",
    # For the time: version 4, from a client.
    123: b"\x23" + bytes(47),
}
"""Questions that every server of a UDP port's protocol answers, by port."""

_IS_ANSWER = 0x80
_MODE, _SERVER = 0x07, 4
LOOKED_AT = 3
"""So many bytes of an answer tell what it is."""


def is_answer(port: int, said: bytes) -> bool:
    """Whether it is an answer to the port's question, from what its first bytes are."""
    if len(said) < LOOKED_AT:
        return False
    if port == 53:  # noqa: PLR2004 - DNS
        return said[:2] == QUERIES[port][:2] and bool(said[2] & _IS_ANSWER)
    return said[0] & _MODE == _SERVER


async def _accepts(target: Target, slots: asyncio.Semaphore) -> bool:
    address, port, protocol = target
    async with slots:
        if protocol == "udp":
            return await asyncio.to_thread(_answers, address, port)
        try:
            _, writer = await asyncio.wait_for(asyncio.open_connection(address, port), TIMEOUT_S)
        except (OSError, TimeoutError):
            return False
        writer.close()
        return True


def _answers(address: str, port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.settimeout(TIMEOUT_S / TRIES)
        asking.connect((address, port))
        for _ in range(TRIES):
            try:
                asking.send(QUERIES[port])
                if is_answer(port, asking.recv(LOOKED_AT)):
                    return True
            except OSError:
                continue
    return False


async def dial(targets: list[Target]) -> list[Target]:
    """The targets that accept; refused and silent ones are both closed."""
    slots = asyncio.Semaphore(AT_ONCE)
    accepted = await asyncio.gather(*(_accepts(target, slots) for target in targets))
    return [target for target, accepts in zip(targets, accepted, strict=True) if accepts]


if __name__ == "__main__":
    wanted = [(address, port, protocol) for address, port, protocol in json.load(sys.stdin)]
    json.dump(asyncio.run(dial(wanted)), sys.stdout)
