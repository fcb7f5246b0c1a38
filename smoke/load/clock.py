"""An event loop whose timers fire within a tenth of a millisecond of when they are due.

asyncio rounds its waits up to whole milliseconds, as epoll counts them; uvloop does so too, and
its clock counts no less. `select` waits in microseconds, and may wait for an epoll instance.
"""

from __future__ import annotations

import asyncio
import select
import selectors
import sys

if sys.platform == "linux":

    class _Selector(selectors.EpollSelector):
        def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
            if timeout is not None and timeout > 0:
                select.select([self.fileno()], [], [], timeout)
                timeout = 0
            return super().select(timeout)

    def new_loop() -> asyncio.AbstractEventLoop:
        """For `asyncio.Runner(loop_factory=new_loop)`."""
        return asyncio.SelectorEventLoop(_Selector())

else:  # kqueue's waits are precise by themselves

    def new_loop() -> asyncio.AbstractEventLoop:
        """For `asyncio.Runner(loop_factory=new_loop)`."""
        return asyncio.new_event_loop()
