"""Places: geohash cells, the cells around a point, distances. WGS 84 degrees, metres."""

from __future__ import annotations

import math

_ALPHABET = "0123456789bcdefghjkmnpqrstuvwxyz"
_EARTH_METRES = 6_371_008.8
_DEGREE_METRES = _EARTH_METRES * math.pi / 180
_CHARACTER_BITS = 5


def encode(latitude: float, longitude: float, precision: int) -> str:
    """The geohash cell that a point is in."""
    columns, rows = _grid(precision)
    column = min(int((longitude + 180) / 360 * columns), columns - 1)
    row = min(int((latitude + 90) / 180 * rows), rows - 1)
    return _name(row, column, precision)


def cover(latitude: float, longitude: float, radius: float, precision: int) -> tuple[str, ...]:
    """Every cell that a circle of this radius may touch, in a fixed order."""
    columns, rows = _grid(precision)
    reach = radius / _DEGREE_METRES
    south, north = max(latitude - reach, -90.0), min(latitude + reach, 90.0)
    widest = min(math.cos(math.radians(south)), math.cos(math.radians(north)))
    across = 180.0 if widest * 180 <= reach else min(reach / widest, 180.0)
    first_row = int((south + 90) / 180 * rows)
    last_row = min(int((north + 90) / 180 * rows), rows - 1)
    first = math.floor((longitude - across + 180) / 360 * columns)
    last = math.floor((longitude + across + 180) / 360 * columns)
    last = min(last, first + columns - 1)
    return tuple(
        _name(row, column % columns, precision)
        for row in range(first_row, last_row + 1)
        for column in range(first, last + 1)
    )


def distance(latitude: float, longitude: float, latitude2: float, longitude2: float) -> float:
    """Metres between two points, along a great circle."""
    up, across = math.radians(latitude2 - latitude), math.radians(longitude2 - longitude)
    squared = (
        math.sin(up / 2) ** 2
        + math.cos(math.radians(latitude))
        * math.cos(math.radians(latitude2))
        * math.sin(across / 2) ** 2
    )
    return 2 * _EARTH_METRES * math.asin(min(1.0, math.sqrt(squared)))


def _grid(precision: int) -> tuple[int, int]:
    bits = precision * _CHARACTER_BITS
    return 1 << (bits + 1) // 2, 1 << bits // 2


def _name(row: int, column: int, precision: int) -> str:
    bits = precision * _CHARACTER_BITS
    up, across = bits // 2, (bits + 1) // 2
    number = 0
    for place in range(bits):  # longitude first, by turns
        if place % 2 == 0:
            across -= 1
            number = number << 1 | column >> across & 1
        else:
            up -= 1
            number = number << 1 | row >> up & 1
    return "".join(
        _ALPHABET[number >> shift & 31]
        for shift in range(bits - _CHARACTER_BITS, -1, -_CHARACTER_BITS)
    )
