"""systemd units: running and enabled."""

from __future__ import annotations

from collections.abc import Iterator

from pyinfra import host
from pyinfra.api import operation
from pyinfra.api.operation import OperationMeta

from deploys.batched import Batched
from deploys.facts.units import UnitState, UnitStates

_units: Batched[UnitState] = Batched(UnitStates)


def running(name: str, unit: str, *, start: bool = True) -> OperationMeta:
    """Has a unit start at boot, and now.

    Args:
        name: the operation's, for people.
        unit: with its suffix; its package is installed by an earlier operation.
        start: False where it has nothing to run for now.
    """
    _units.note(unit)
    return _running(name=name, unit=unit, start=start)


@operation()
def _running(unit: str, start: bool) -> Iterator[str]:  # noqa: FBT001 - pyinfra's form
    """Enables and starts the unit where it is not."""
    state = _units.state(unit) or UnitState(active=False, enabled=False)
    if not state.enabled:
        yield f"systemctl enable {unit}"
    if start and not state.active:
        yield f"systemctl start {unit}"
    if state.enabled and (state.active or not start):
        host.noop(f"{unit} runs")
