"""Ports for servers under test."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from itertools import cycle

FIRST, A_WORKER = 16000, 8000
"""Below those that the kernel gives to clients, so that none of theirs is in the way; each of the
two processes that run tests side by side has its own."""

_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 2
_BEGIN = FIRST + _WORKER * A_WORKER
_TURN = os.getpid() * 97 % A_WORKER
_PORTS = cycle([_BEGIN + (_TURN + offset) % A_WORKER for offset in range(A_WORKER)])


def free_port() -> int:
    """A port that nothing listens on, and that nobody else is told for a while."""
    return next(port for port in _PORTS if _is_free(port))


def _is_free(port: int) -> bool:
    with suppress(OSError), socket.socket() as stream:
        stream.bind(("127.0.0.1", port))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagram:
            datagram.bind(("127.0.0.1", port))
            return True
    return False
