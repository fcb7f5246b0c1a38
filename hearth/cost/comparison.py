"""Two environments' bills beside each other."""

from __future__ import annotations

from dataclasses import dataclass

from hearth.cost.bill import COMPONENTS, Bill
from hearth.cost.figures import Range
from hearth.cost.quantities import Component


@dataclass(frozen=True, slots=True)
class Row:
    """One component in both.

    Attributes:
        component: which.
        this: its cost a month in the environment that was asked for; None without any price.
        other: in the one that it is compared with.
        open: how many of its items have no price, in this and in the other.
    """

    component: Component
    this: Range | None
    other: Range | None
    open: tuple[int, int]

    @property
    def difference(self) -> Range | None:
        """What the other costs more than this one, case by case; below 0 it costs less.

        None where one of them has no price: they cannot be compared.
        """
        if self.this is None or self.other is None:
            return None
        return self.other - self.this


def compare(this: Bill, other: Bill) -> list[Row]:
    """A row for each component."""
    return [
        Row(
            component,
            this.of_component(component),
            other.of_component(component),
            (_open(this, component), _open(other, component)),
        )
        for component in COMPONENTS
    ]


def _open(found: Bill, component: Component) -> int:
    return sum(line.item.component == component for line in found.unpriced)
