"""Figures and names as a person reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def seconds(value: float) -> str:
    """`3 s`, `2.4 s`, `0.13 s`, `72 ms`, `4.1 ms`, `350 µs`: two digits or more."""
    if value >= 0.0995:  # noqa: PLR2004  (less reads better in milliseconds)
        return f"{value:.2g} s" if value < 9.95 else f"{value:.0f} s"  # noqa: PLR2004
    if 0 < value < 0.000995:  # noqa: PLR2004
        return f"{value * 1e6:.0f} µs"
    return f"{value * 1000:.2g} ms"


def duration(value: float) -> str:
    """How long something takes, given in seconds: `40 s`, `20 min`, `1.5 h`."""
    if value < 90:  # noqa: PLR2004
        return f"{value:.0f} s"
    if value < 90 * 60:
        return f"{value / 60:.0f} min"
    return f"{value / 3600:.1f}".removesuffix(".0") + " h"


def percent(share: float) -> str:
    """`99 %`, `98.5 %`."""
    return f"{share * 100:.1f}".removesuffix(".0") + " %"


def listed(items: Iterable[object]) -> str:
    """Joined by commas; `none` where there is none."""
    return ", ".join(str(item) for item in items) or "none"


def prefix(route: str, claim: str) -> str:
    """The claim, with the route that it is about."""
    return f"{route}: {claim}"


def ordinal(number: float) -> str:
    """`95th`, `99.9th`, `1st`, `52nd`."""
    text = f"{number:g}"
    if text[-2:] in {"11", "12", "13"}:
        return f"{text}th"
    return text + {"1": "st", "2": "nd", "3": "rd"}.get(text[-1], "th")


def between(interval: tuple[str, str]) -> str:
    """`61 ms to 95 ms`."""
    return " to ".join(interval)
