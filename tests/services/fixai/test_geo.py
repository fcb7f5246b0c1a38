"""Cells and distances."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.fixai import geo


@pytest.mark.parametrize(
    ("latitude", "longitude", "cell"),
    [
        (57.64911, 10.40744, "u4pruydqqvj"),  # the format's usual example
        (42.605, -5.603, "ezs42"),
        (90, 180, "zzzzz"),
        (-90, -180, "00000"),
    ],
)
def test_a_cell_has_the_name_that_the_world_gives_it(
    latitude: float, longitude: float, cell: str
) -> None:
    assert geo.encode(latitude, longitude, len(cell)) == cell


def test_a_degree_of_latitude_is_111_kilometres() -> None:
    assert geo.distance(50, 14, 51, 14) == pytest.approx(111_195, rel=1e-4)


@given(
    st.floats(-89, 89),
    st.floats(-180, 180),
    st.floats(1, 5000),
    st.floats(0, 2 * math.pi),
    st.floats(0, 1),
)
def test_what_is_within_the_radius_is_in_a_cell_of_the_cover(
    latitude: float, longitude: float, radius: float, bearing: float, part: float
) -> None:
    angle = radius * part * 0.999 / 6_371_008.8
    from_pole = math.radians(latitude)
    north = math.asin(
        math.sin(from_pole) * math.cos(angle)
        + math.cos(from_pole) * math.sin(angle) * math.cos(bearing)
    )
    east = math.radians(longitude) + math.atan2(
        math.sin(bearing) * math.sin(angle) * math.cos(from_pole),
        math.cos(angle) - math.sin(from_pole) * math.sin(north),
    )
    there = math.degrees(north), (math.degrees(east) + 540) % 360 - 180
    assert geo.encode(*there, 5) in geo.cover(latitude, longitude, radius, 5)


def test_the_cover_of_a_small_circle_is_few_cells() -> None:
    assert len(geo.cover(50.0755, 14.4378, 5000, 5)) <= 16
