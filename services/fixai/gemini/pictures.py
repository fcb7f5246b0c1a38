"""Small generated pictures: a category has its colour, and the stand-in sees it again.

A picture that was not drawn here says nothing to it.
"""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Iterator

from services.fixai.events import Category

SIZE = 16
"""Pixels each way."""
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_NOISE = 18
_NEAR = 40
_COLOURS = {
    Category.ROAD: (96, 96, 100),
    Category.LIGHTING: (236, 212, 90),
    Category.WASTE: (120, 84, 50),
    Category.WATER: (52, 120, 210),
    Category.GREEN: (46, 140, 60),
    Category.GRAFFITI: (210, 60, 170),
    Category.TRAFFIC: (220, 50, 40),
    Category.NOISE: (150, 130, 220),
}


def draw(category: Category, seed: int) -> bytes:
    """A PNG of something of this category; the same one for the same seed."""
    chance = random.Random(f"{category} {seed}")  # noqa: S311 - a picture, not a secret
    colour = _COLOURS.get(category, (255, 255, 255))

    def pixel() -> bytes:
        return bytes(max(0, min(255, c + chance.randint(-_NOISE, _NOISE))) for c in colour)

    rows = b"".join(b"\0" + b"".join(pixel() for _ in range(SIZE)) for _ in range(SIZE))
    header = struct.pack(">IIBBBBB", SIZE, SIZE, 8, 2, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return _SIGNATURE + b"".join(_chunk(*part) for part in parts)


def see(png: bytes) -> Category | None:
    """What a drawn picture shows; None where it is another."""
    if not png.startswith(_SIGNATURE):
        return None
    try:
        chunks = dict(_chunks(png))
        drawn = chunks[b"IHDR"] == struct.pack(">IIBBBBB", SIZE, SIZE, 8, 2, 0, 0, 0)
        limit = SIZE * (3 * SIZE + 1)
        rows = zlib.decompressobj().decompress(chunks[b"IDAT"], limit) if drawn else b""
    except (KeyError, struct.error, zlib.error):
        return None
    if not drawn or len(rows) != limit:
        return None
    pixels = b"".join(rows[at + 1 : at + 1 + 3 * SIZE] for at in range(0, limit, 3 * SIZE + 1))
    mean = [sum(pixels[part::3]) / (SIZE * SIZE) for part in range(3)]
    return next((c for c, colour in _COLOURS.items() if _apart(mean, colour) < _NEAR), None)


def _apart(mean: list[float], colour: tuple[int, int, int]) -> float:
    return sum(abs(a - b) for a, b in zip(mean, colour, strict=True))


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = len(_SIGNATURE)
    while at < len(png):
        (length,) = struct.unpack_from(">I", png, at)
        yield png[at + 4 : at + 8], png[at + 8 : at + 8 + length]
        at += 12 + length
