"""One request as it was measured, and what can be sent requests."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Literal, NamedTuple, Protocol

Outcome = Literal["complete", "truncated", "refused", "unreachable", "timed out", "stopped"]
"""How a request ended.

`complete` came to its good end, `truncated` began and did not, `refused` was answered with an
error, `unreachable` was not answered, `timed out` was given up when its time was over, `stopped`
was under way when the load was ended.
"""


class Tokens(NamedTuple):
    """What a language model's server told about one answer; 0 where it told nothing.

    Attributes:
        prompt: Tokens that it read.
        generated: Tokens that it wrote.
        generating_s: How long it wrote, in seconds.
        load_s: How long it took to load the model first, in seconds.
    """

    prompt: int = 0
    generated: int = 0
    generating_s: float = 0.0
    load_s: float = 0.0


class Sample(NamedTuple):
    """One request. Times are seconds on the event loop's clock.

    A tuple, as one is made for each request and a frozen dataclass takes five times as long.

    Attributes:
        due: When it should have been sent.
        sent: When its turn came: the generator's own delay lies before it, waiting for a
            connection after it.
        first: When its first token came; of an answer without tokens, its first byte.
        ended: When its last byte came, or it failed.
        outcome: How it ended.
        server: Who answered, where it is known.
        gaps: Seconds between one token and the next, as they came in.
        tokens: What the model's server told; None of an answer that is no stream of tokens.
        status: The protocol's status, where it has one.
        fault: What went wrong, for people.
        retry_after: What a refusal asks the client to wait, in seconds.
        reused: Whether it went over a connection that had served another before it.
        retried: Whether that connection turned out to be closed, and it was sent again.
    """

    due: float
    sent: float
    first: float | None
    ended: float
    outcome: Outcome
    server: str = ""
    gaps: Sequence[float] = ()
    tokens: Tokens | None = None
    status: int | None = None
    fault: str = ""
    retry_after: float | None = None
    reused: bool = False
    retried: bool = False


class Target(Protocol):
    """What a load is sent to."""

    async def open(self) -> None:
        """Called once, on the event loop that will send.

        Raises:
            OSError: It cannot be used at all.
        """

    async def close(self) -> None:
        """Called once after the last request."""

    async def request(self, due: float) -> Sample:
        """Send one request now, which was due at that time; failures are part of the sample."""


async def timed(
    due: float, timeout_s: float, answer: Awaitable[bool], refusals: tuple[type[Exception], ...]
) -> Sample:
    """The sample of an answer that comes as a whole.

    Args:
        due: When it should have been sent.
        timeout_s: After so long it is given up.
        answer: Awaited; tells whether a connection was used again.
        refusals: What it raises where the server answers with an error.
    """
    loop = asyncio.get_running_loop()
    sent = loop.time()
    outcome: Outcome = "complete"
    fault = ""
    reused = False
    try:
        async with asyncio.timeout(timeout_s):
            reused = await answer
    except refusals as error:
        outcome, fault = "refused", _told(error)
    except TimeoutError:
        outcome, fault = "timed out", f"no end within {timeout_s:g} s"
    except (OSError, EOFError) as error:
        outcome, fault = "unreachable", _told(error)
    ended = loop.time()
    first = ended if outcome in {"complete", "refused"} else None
    return Sample(due, sent, first, ended, outcome, fault=fault, reused=reused)


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
