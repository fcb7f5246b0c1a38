"""Passwords as Hearth makes them, of the standard library alone."""

from __future__ import annotations

import re
import secrets


def new_password() -> str:
    """32 characters of 64; each class of them is there, as SonarQube wants it."""
    while True:
        made = secrets.token_urlsafe(24)
        if all(re.search(kind, made) for kind in ("[a-z]", "[A-Z]", "[0-9]", "[-_]")):
            return made
