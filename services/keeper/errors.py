"""What goes wrong, told in one line."""

from __future__ import annotations


class KeeperError(Exception):
    """Something cannot be done: where, what, and what to do."""


class Unreachable(KeeperError):  # noqa: N818 - what is so, not what to call it
    """A service does not answer."""
