"""Pictures: what they are by their first bytes, and what they are called in the bucket."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from services.fixai.backend.problems import Problem

_KINDS = (
    ("jpg", "image/jpeg", ((0, b"\xff\xd8\xff"),)),
    ("png", "image/png", ((0, b"\x89PNG\r\n\x1a\n"),)),
    ("webp", "image/webp", ((0, b"RIFF"), (8, b"WEBP"))),
)


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture; equal ones have one key, so sending one again stores it once."""

    key: str
    content_type: str
    data: bytes

    @classmethod
    def of(cls, data: bytes, limit: int) -> Picture:
        """A picture of what was sent; the client's own word for it is not asked.

        Raises:
            Problem: it is too large, or no picture that the app sends.
        """
        if len(data) > limit:
            raise Problem(413, f"a picture is larger than {limit} bytes; make it smaller")
        for extension, content_type, marks in _KINDS:
            if all(data[at : at + len(mark)] == mark for at, mark in marks):
                digest = hashlib.sha256(data).hexdigest()
                return cls(f"{digest[:2]}/{digest}.{extension}", content_type, data)
        raise Problem(415, "a picture is neither JPEG, PNG nor WebP; send one of these")
