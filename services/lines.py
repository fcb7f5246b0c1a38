"""Log lines: one JSON object each on stdout, never with what people wrote or secrets."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Collection
from datetime import UTC, datetime

_STEPS = 8


class Lines(logging.Formatter):
    """Formats a record as `{"time", "level", "message", ...}`.

    An exception is told by its type and place alone: its text may quote a person.

    Args:
        fields: what records may have beside that.
    """

    def __init__(self, fields: Collection[str]) -> None:
        super().__init__()
        self._fields = fields

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {name: getattr(record, name) for name in self._fields if hasattr(record, name)}
        if record.exc_info and record.exc_info[0] is not None:
            line["error"] = record.exc_info[0].__name__
            line["at"] = _place(record)
        return json.dumps(line, ensure_ascii=False)


def _place(record: logging.LogRecord) -> str:
    trace = record.exc_info[2] if record.exc_info else None
    steps = []
    while trace is not None:
        code = trace.tb_frame.f_code
        steps.append(f"{code.co_filename.rpartition('/')[2]}:{trace.tb_lineno}")
        trace = trace.tb_next
    return " ".join(steps[-_STEPS:])


def to_stdout(lines: Lines) -> None:
    """Send every logger of this process to stdout, as lines."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(lines)
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
