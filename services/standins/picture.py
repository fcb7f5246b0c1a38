"""A picture from a text and a seed: the same one each time, and a real PNG."""

from __future__ import annotations

import hashlib
import json
import math
import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

CELL = 8
"""Pixels of one colour, each way: every size that ComfyUI takes is a multiple."""
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_EMBERS = ((24, 12, 20), (122, 28, 24), (226, 96, 26), (255, 196, 84), (255, 246, 214))


@dataclass(frozen=True, slots=True)
class Wish:
    """What a picture is drawn from; sizes in pixels, multiples of `CELL`."""

    prompt: str
    negative: str
    seed: int
    width: int
    height: int


def png(wish: Wish, texts: Mapping[str, str]) -> bytes:
    """The picture.

    Args:
        wish: what is drawn.
        texts: kept in the file by keyword, in Latin-1.
    """
    header = struct.pack(">IIBBBBB", wish.width, wish.height, 8, 2, 0, 0, 0)
    return b"".join(
        [
            _SIGNATURE,
            _chunk(b"IHDR", header),
            *(
                _chunk(b"tEXt", f"{keyword}\0{text}".encode("latin-1", "replace"))
                for keyword, text in texts.items()
            ),
            _chunk(b"IDAT", zlib.compress(b"".join(_lines(wish)), 6)),
            _chunk(b"IEND", b""),
        ]
    )


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _lines(wish: Wish) -> Iterator[bytes]:
    """The rows of pixels, each after its filter's number: 0, as it is."""
    waves = _waves(wish)
    for row in range(wish.height // CELL):
        cells = (_colour(waves, column, row) for column in range(wish.width // CELL))
        line = b"\0" + b"".join(bytes(colour) * CELL for colour in cells)
        yield line * CELL


def _waves(wish: Wish) -> list[tuple[float, float, float]]:
    """Four waves, by their steps across and down and where they start."""
    told = json.dumps([wish.prompt, wish.negative, wish.seed]).encode()
    numbers = struct.unpack(">12H", hashlib.sha256(told).digest()[:24])
    parts = [number / 0xFFFF for number in numbers]
    return [
        ((across - 0.5) * 0.7, (down - 0.5) * 0.7, start * math.tau)
        for across, down, start in zip(parts[::3], parts[1::3], parts[2::3], strict=True)
    ]


def _colour(waves: list[tuple[float, float, float]], column: int, row: int) -> tuple[int, int, int]:
    """How high the waves stand here, as the colour of an ember."""
    height = sum(math.sin(across * column + down * row + start) for across, down, start in waves)
    heat = (height / len(waves) + 1) / 2 * (len(_EMBERS) - 1)
    step = min(int(heat), len(_EMBERS) - 2)
    share = heat - step
    red, green, blue = (
        round(low + (high - low) * share)
        for low, high in zip(_EMBERS[step], _EMBERS[step + 1], strict=True)
    )
    return red, green, blue
