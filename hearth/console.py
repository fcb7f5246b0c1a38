"""What a person sees while Hearth works: a live line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.markup import escape
from rich.status import Status

out = Console(highlight=False, soft_wrap=True)
err = Console(highlight=False, soft_wrap=True, stderr=True)


@dataclass(slots=True)
class Step:
    """A step under way; call it with what is going on, set `summary` to what came of it."""

    title: str
    status: Status | None
    summary: str = ""
    notes: list[str] = field(default_factory=list)

    def __call__(self, line: str) -> None:
        """Shows a line of progress."""
        if self.status is None:
            out.print(f"    {escape(line)}")
        else:
            self.status.update(f"{self.title}: {escape(line)}")

    def note(self, line: str) -> None:
        """Keeps a line that should still stand there when the step is done."""
        self.notes.append(line)


@contextmanager
def step(title: str) -> Iterator[Step]:
    """Shows a step's progress, then one line with its outcome and how long it took."""
    started = time.monotonic()
    if out.is_terminal:
        with out.status(title) as status:
            current = Step(title, status)
            yield current
    else:
        out.print(f"  {title} ...")
        current = Step(title, None)
        yield current
    seconds = time.monotonic() - started
    outcome = f": {escape(current.summary)}" if current.summary else ""
    out.print(f"[green]ok[/green]  {title}{outcome} [dim]({seconds:.1f} s)[/dim]")
    for line in current.notes:
        out.print(f"    {escape(line)}")
