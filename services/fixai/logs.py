"""What the log lines of FixAI's programs tell."""

from __future__ import annotations

import logging

from services import lines

_FIELDS = ("role", "topic", "event", "report", "route", "status", "ms", "bucket", "count")
_QUIET = ("aiokafka", "cassandra", "httpx", "httpx2", "google_genai", "uvicorn.error")


def to_stdout() -> None:
    """Send every logger of this process to stdout, as lines; libraries tell warnings only."""
    lines.to_stdout(lines.Lines(_FIELDS))
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    # It warns of every statement without its keyspace; a session here has one keyspace only.
    logging.getLogger("cassandra.protocol").setLevel(logging.ERROR)
