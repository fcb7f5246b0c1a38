"""Sizes and durations read as people write them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from inventory.units import format_size, parse_duration, parse_size


@pytest.mark.parametrize(
    ("text", "size"),
    [("512MiB", 512 * 2**20), ("8GiB", 2**33), ("1TB", 10**12), ("1.5GiB", 3 * 2**29)],
)
def test_a_size_is_read(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["8", "8 gigs", "-1GiB", True, None])
def test_what_is_no_size_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="is not a size"):
        parse_size(text)


def test_durations_are_read() -> None:
    assert [parse_duration(t) for t in ("500ms", "2s", "1m")] == [
        timedelta(milliseconds=500),
        timedelta(seconds=2),
        timedelta(minutes=1),
    ]


def test_a_size_is_shown_in_its_largest_unit() -> None:
    assert [format_size(s) for s in (7 * 2**30, 1536 * 2**20, 512 * 2**20, 10)] == [
        "7 GiB",
        "1.5 GiB",
        "512 MiB",
        "10 B",
    ]
