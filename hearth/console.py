"""What a person sees while Hearth works: a live line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field

from rich.console import Console
from rich.markup import escape
from rich.status import Status

_PLAIN_WIDTH = 160
_PLAIN_INTERVAL_SECONDS = 8.0


def _console(*, stderr: bool) -> Console:
    """A console as wide as the terminal; elsewhere wide enough for a table's rows."""
    console = Console(highlight=False, stderr=stderr)
    if not console.is_terminal:
        console.width = _PLAIN_WIDTH
    return console


out = _console(stderr=False)
err = _console(stderr=True)


@dataclass(slots=True)
class Step:
    """A step under way; call it with what is going on, set `summary` to what came of it."""

    title: str
    status: Status | None
    console: Console = out
    summary: str = ""
    shown_at: float = field(default_factory=time.monotonic)

    def __call__(self, line: str) -> None:
        """Shows a line of progress; off a terminal only now and then, as nothing wipes it."""
        if self.status is None:
            if time.monotonic() - self.shown_at >= _PLAIN_INTERVAL_SECONDS:
                self.shown_at = time.monotonic()
                self.console.print(f"    {escape(line)}", soft_wrap=True)
        else:
            self.status.update(f"{self.title}: {escape(line)}")


@contextmanager
def step(title: str, on: Console = out) -> Iterator[Step]:
    """Shows a step's progress, then one line with its outcome and how long it took."""
    started = time.monotonic()
    try:
        with on.status(title) if on.is_terminal else nullcontext() as status:
            if status is None:
                on.print(f"  {title} ...")
            current = Step(title, status, on)
            yield current
    except BaseException:
        on.print(f"[red]failed[/red]  {title} [dim]({time.monotonic() - started:.1f} s)[/dim]")
        raise
    outcome = f": {escape(current.summary)}" if current.summary else ""
    on.print(f"[green]ok[/green]  {title}{outcome} [dim]({time.monotonic() - started:.1f} s)[/dim]")
