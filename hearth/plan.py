"""A plan of the engine, for people: what is made, changed, replaced, deleted, by component."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from rich.console import Console
from rich.markup import escape

Action = Literal["create", "update", "replace", "delete"]

_ACTIONS: Mapping[str, Action] = {
    "create": "create",
    "import": "create",
    "update": "update",
    "replace": "replace",
    "delete": "delete",
}
"""By the engine's operations. Those that a replacement consists of come with `replace`."""

_STYLES: Mapping[Action, tuple[str, str, str]] = {
    "create": ("+", "green", "create"),
    "update": ("~", "yellow", "update"),
    "replace": ("!", "bold red", "REPLACE"),
    "delete": ("-", "red", "DELETE"),
}
_LOSING = ("replace", "delete")
_STACK = "pulumi:pulumi:Stack"
_PROVIDERS = "pulumi:providers:"


@dataclass(frozen=True, slots=True)
class Change:
    """What becomes of a resource.

    Attributes:
        component: the component of the stack that it is part of; itself, if of none.
        type: without the package, `ec2/vpc:Vpc`.
        because: paths of the properties that differ; none of one that is made or deleted.
        replacing: those of them that AWS cannot change in place.
        protected: whether the engine refuses to delete it, and so to replace it.
    """

    action: Action
    component: str
    type: str
    name: str
    because: tuple[str, ...] = ()
    replacing: tuple[str, ...] = ()
    protected: bool = False

    @property
    def kind(self) -> str:
        """Its type in one word, `Vpc`."""
        return self.type.rpartition(":")[2]


@dataclass(frozen=True, slots=True)
class Plan:
    """What an update would do."""

    environment: str
    offline: bool
    changes: tuple[Change, ...]
    unchanged: int
    refused: tuple[str, ...] = ()
    """Protected resources that it would delete: the engine stops at the first."""

    @property
    def counts(self) -> dict[Action, int]:
        """How many resources are made, changed, replaced, deleted."""
        found = Counter(change.action for change in self.changes)
        return {action: found[action] for action in _STYLES if found[action]}

    @property
    def document(self) -> dict[str, Any]:
        """For scripts."""
        return {
            "environment": self.environment,
            "offline": self.offline,
            "counts": self.counts,
            "unchanged": self.unchanged,
            "refused": list(self.refused),
            "changes": [asdict(change) for change in self.changes],
        }

    def __str__(self) -> str:
        parts = [f"{count} to {action}" for action, count in self.counts.items()]
        return ", ".join([*parts, f"{self.unchanged} unchanged"])

    def show(self, console: Console) -> None:
        """Prints it: what is new in a line a component, everything else by itself."""
        for component in dict.fromkeys(change.component for change in self.changes):
            console.print(f"[bold]{escape(component)}[/bold]")
            of_it = [change for change in self.changes if change.component == component]
            made = Counter(change.kind for change in of_it if change.action == "create")
            if made:
                kinds = ", ".join(kind if n == 1 else f"{n} {kind}" for kind, n in made.items())
                _line(console, "create", f"{made.total():3}  {kinds}")
            for change in of_it:
                if change.action != "create":
                    _line(console, change.action, _words(change))
        if self.counts.keys() & set(_LOSING):
            console.print(
                "[bold red]Resources marked REPLACE or DELETE are lost with what is in them.[/]"
            )


def plan_from(output: Mapping[str, Any], environment: str, *, offline: bool) -> Plan:
    """The plan in what `pulumi preview --json` printed."""
    steps = output.get("steps") or ()
    states = {step["urn"]: _state(step) for step in steps}
    changes = tuple(
        Change(
            action=_ACTIONS[step["op"]],
            component=_component(states, step["urn"]),
            type=_state(step)["type"].partition(":")[2],
            name=step["urn"].split("::", 3)[3],
            because=tuple(sorted(step.get("detailedDiff") or step.get("diffReasons") or ())),
            replacing=_replacing(step),
            protected=bool((step.get("oldState") or {}).get("protect")),
        )
        for step in steps
        if step["op"] in _ACTIONS and _is_resource(_state(step))
    )
    same = sum(1 for step in steps if step["op"] == "same" and _is_resource(_state(step)))
    refused = tuple(f"{c.kind} {c.name}" for c in changes if c.protected and c.action in _LOSING)
    return Plan(environment, offline, changes, same, refused)


def _state(step: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = step.get("newState") or step["oldState"]
    return found


def _is_resource(state: Mapping[str, Any]) -> bool:
    """Whether AWS has it: components, the stack and providers are the engine's own."""
    return bool(state.get("custom")) and not state["type"].startswith(_PROVIDERS)


def _component(states: Mapping[str, Mapping[str, Any]], urn: str) -> str:
    """The name of the outermost component."""
    parent = states[urn].get("parent", "")
    while parent in states and states[parent]["type"] != _STACK:
        urn, parent = parent, states[parent].get("parent", "")
    return urn.split("::", 3)[3]


def _replacing(step: Mapping[str, Any]) -> tuple[str, ...]:
    if step["op"] != "replace":
        return ()
    detailed: Mapping[str, Any] = step.get("detailedDiff") or {}
    found = [path for path, how in detailed.items() if how["kind"].endswith("-replace")]
    return tuple(sorted(found or step.get("replaceReasons") or ()))


def _line(console: Console, action: Action, text: str) -> None:
    sign, style, word = _STYLES[action]
    console.print(f"  [{style}]{sign} {word:8}[/] {escape(text)}", soft_wrap=True)


def _words(change: Change) -> str:
    text = f"{change.kind} {change.name}"
    if paths := change.replacing or change.because:
        text += f": {', '.join(paths)}"
    if change.protected and change.action in _LOSING:
        text += " (protected: refused)"
    return text
