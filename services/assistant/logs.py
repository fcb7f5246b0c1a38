"""What the log lines of the lab's API tell, and of which request."""

from __future__ import annotations

import logging
from contextvars import ContextVar

from services import lines

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)

_FIELDS = ("request_id", "route", "status", "ms", "consumer", "dependency", "count")


class Lines(lines.Lines):
    """Lines that name the request in whose course they are written."""

    def __init__(self) -> None:
        super().__init__(_FIELDS)

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line."""
        if (current := request_id.get()) is not None and not hasattr(record, "request_id"):
            record.request_id = current
        return super().format(record)


def to_stdout() -> None:
    """Send every logger of this process to stdout, as lines."""
    lines.to_stdout(Lines())
