"""A server of known behaviour that keeps a log: `python -m tests.smoke.load.server '{...}'`.

It writes its port, answers numbered requests until its input ends, and writes when it got and
answered each. A process of its own, so that it and the generator do not share an interpreter.
"""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import NamedTuple

from smoke.load.clock import new_loop
from smoke.load.latency import Latencies

_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
_LEAST_BACKLOG = 4096


@dataclass(frozen=True)
class Behaviour:
    """How it answers.

    Args:
        delay_s: Before each answer.
        stall_s: It answers nothing so long, from its first request on...
        every_s: ...and so long after the stall began, again.
        closed_s: So long after it began to listen it accepts no connection.
    """

    delay_s: float = 0.0
    stall_s: float = 0.0
    every_s: float = 1.0
    closed_s: float = 0.0

    def answer_at(self, at: float) -> float:
        """When a request that comes at that time is answered, since the first request."""
        phase = at % self.every_s
        return at + max(0.0, self.stall_s - phase) + self.delay_s


class Entry(NamedTuple):
    """A request: when it came and when it was answered, on the machine's monotonic clock."""

    got: float
    answered: float


@dataclass
class Known:
    """A server that runs.

    Args:
        port: On loopback.
        log: Of each request by number; there once it has ended.
        late: How late it answered, the busy machine's doing; as `log`.
    """

    port: int
    log: Mapping[int, Entry] = field(default_factory=dict)
    late: Latencies = field(default_factory=Latencies)


class _Connection(asyncio.Protocol):
    def __init__(self, behaviour: Behaviour, log: list[tuple[int, float, float, float]]) -> None:
        self._behaviour = behaviour
        self._log = log
        self._loop = asyncio.get_running_loop()
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        got = self._loop.time()
        head, end, body = (self._rest + data).partition(b"\r\n\r\n")
        self._rest = b""
        size = int(head.rpartition(b"Content-Length: ")[2].split(b"\r\n")[0] or 0)
        if not end or len(body) < size:
            self._rest = head + end + body
            return
        zero = self._log[0][1] if self._log else got
        wanted = zero + self._behaviour.answer_at(got - zero)
        place = len(self._log)
        self._log.append((int(body), got, 0.0, wanted))
        self._loop.call_at(wanted, self._answer, place)

    def _answer(self, place: int) -> None:
        number, got, _, wanted = self._log[place]
        self._log[place] = (number, got, self._loop.time(), wanted)
        self._transport.write(_ANSWER)


async def _serve(behaviour: Behaviour) -> None:
    log: list[tuple[int, float, float, float]] = []
    listener = socket.create_server(("127.0.0.1", 0), backlog=_LEAST_BACKLOG)
    print(listener.getsockname()[1], flush=True)  # noqa: T201
    await asyncio.sleep(behaviour.closed_s)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: _Connection(behaviour, log), sock=listener, backlog=_LEAST_BACKLOG
    )
    ended = asyncio.Event()
    loop.add_reader(sys.stdin.fileno(), ended.set)
    await ended.wait()
    loop.remove_reader(sys.stdin.fileno())
    server.close()
    print(json.dumps(log))  # noqa: T201


@contextmanager
def serving(behaviour: Behaviour) -> Iterator[Known]:
    """A server that behaves so; it has its log after the block."""
    command = [sys.executable, "-m", "tests.smoke.load.server", json.dumps(asdict(behaviour))]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            known = Known(int(process.stdout.readline()))
            yield known
            process.stdin.close()
            entries = json.loads(process.stdout.read())
        finally:
            process.kill()
    known.log = {number: Entry(got, answered) for number, got, answered, _ in entries}
    known.late = Latencies(answered - wanted for _, _, answered, wanted in entries)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(_serve(Behaviour(**json.loads(sys.argv[1]))))
