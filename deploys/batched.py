"""Facts about many things of a kind, asked for at once: a machine is far away, its answer short.

While pyinfra prepares a run, every operation notes what it will ask about; the first that is
carried out asks for all of it, by one command a machine.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary

from pyinfra import host
from pyinfra.api import FactBase
from pyinfra.api.host import Host
from pyinfra.context import ctx_host

State = TypeVar("State")


@dataclass
class _Known(Generic[State]):
    """What is known of a host: the names asked about, and the states as they were read."""

    names: list[str] = field(default_factory=list)
    states: dict[str, State | None] = field(default_factory=dict)
    executing: bool = False


class Batched(Generic[State]):
    """States by name, of one fact that takes a list of `names`.

    What changes a thing's state is the operation that asked for it, once a run: nothing is
    asked twice, but for the second look when pyinfra carries out what it has prepared.
    """

    def __init__(self, fact: type[FactBase[dict[str, State]]]) -> None:
        self._fact = fact
        self._hosts: WeakKeyDictionary[Host, _Known[State]] = WeakKeyDictionary()

    def note(self, name: str) -> None:
        """An operation of this run will ask about it, on the current host."""
        self._hosts.setdefault(ctx_host.get(), _Known()).names.append(name)

    def state(self, name: str) -> State | None:
        """The thing's state on the current host; None where there is no such thing."""
        known = self._hosts[ctx_host.get()]
        if known.executing != host.state.is_executing:
            known.states.clear()
            known.executing = host.state.is_executing
        if name not in known.states:
            unread = [n for n in dict.fromkeys(known.names) if n not in known.states]
            found = host.get_fact(self._fact, names=unread)
            known.states |= {n: found.get(n) for n in unread}
        return known.states[name]
