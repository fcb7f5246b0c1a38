"""A dependency that may be away: it is not tried on every request while it is.

Away      a dependency did not answer, or rests after it did not
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

_LOG = logging.getLogger(__name__)


class Away(Exception):  # noqa: N818 - a state, not a mistake
    """A dependency is away.

    Attributes:
        what: the dependency, such as `database`.
        why: what it answered, without addresses or secrets.
        retry_after: seconds after which asking again makes sense, at least 1.
    """

    def __init__(self, what: str, why: str, retry_after: float = 1.0) -> None:
        self.what = what
        self.why = why
        self.retry_after = max(1, round(retry_after))
        super().__init__(f"{what} is away ({why})")


class Circuit:
    """Lets calls through while they succeed; after a failure, one try each rest.

    Args:
        name: the dependency, as in logs and metrics.
        faults: the exceptions that mean it is away; every other one passes unchanged.
        answers: those of them that do not, because it did answer.
        rest_seconds: the pause after a failure.
        limit_seconds: how long a call may take, all told.
    """

    def __init__(  # noqa: PLR0913 - every one has its default
        self,
        name: str,
        faults: tuple[type[Exception], ...] = (),
        *,
        answers: tuple[type[Exception], ...] = (),
        rest_seconds: float = 2.0,
        limit_seconds: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self._faults: tuple[type[Exception], ...] = (OSError, TimeoutError, *faults)
        self._answers = answers
        self._rest_seconds = rest_seconds
        self._limit_seconds = limit_seconds
        self._clock = clock
        self._closed_from = 0.0
        self.why: str | None = None

    @property
    def up(self) -> bool:
        """Whether the last call succeeded, or none was made yet."""
        return self.why is None

    @asynccontextmanager
    async def call(self, limit_seconds: float | None = None) -> AsyncIterator[None]:
        """Make a call inside; its failures become `Away`.

        Raises:
            Away: it failed, took too long, or rests.
        """
        self._admit()
        try:
            async with asyncio.timeout(limit_seconds or self._limit_seconds):
                yield
        except Away as error:
            self._fail(error.why)
            raise
        except self._answers:
            self._succeed()
            raise
        except self._faults as error:
            why = type(error).__name__
            self._fail(why)
            raise Away(self.name, why, self._rest_seconds) from error
        except Exception:
            self._succeed()  # it answered, if not as hoped
            raise
        self._succeed()

    def _admit(self) -> None:
        if self.why is None:
            return
        now = self._clock()
        if now < self._closed_from:
            raise Away(self.name, self.why, self._closed_from - now)
        self._closed_from = now + self._rest_seconds  # the others wait while this one tries

    def _fail(self, why: str) -> None:
        if self.up:
            _LOG.warning("%s is away: %s", self.name, why, extra={"dependency": self.name})
        self.why = why
        self._closed_from = self._clock() + self._rest_seconds

    def _succeed(self) -> None:
        if not self.up:
            _LOG.info("%s is back", self.name, extra={"dependency": self.name})
        self.why = None
