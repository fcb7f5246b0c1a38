"""Figures and names as a person reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def seconds(value: float) -> str:
    """`0.13 s`, `2.4 s`, `3 s`, `4 ms`."""
    if value < 0.1:  # noqa: PLR2004  (reads better in milliseconds)
        return f"{value * 1000:.0f} ms"
    return f"{value:.2g} s" if value < 10 else f"{value:.0f} s"  # noqa: PLR2004


def percent(share: float) -> str:
    """`99 %`, `98.5 %`."""
    return f"{share * 100:.1f}".removesuffix(".0") + " %"


def listed(items: Iterable[object]) -> str:
    """Joined by commas; `none` where there is none."""
    return ", ".join(str(item) for item in items) or "none"


def prefix(route: str, claim: str) -> str:
    """The claim, with the route that it is about."""
    return f"{route}: {claim}"
