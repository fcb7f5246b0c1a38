"""What the bootstrap and the upgrade do to machines of every board, in every state that matters.

A program of its own, `python -m tests.deploys.boards`: prints the runs as JSON, for the tests;
with `--write` it writes `expected/*.txt` anew, one a board: read the difference before you commit.
"""

from __future__ import annotations

from tests.deploys import states  # isort: skip - patches what others load

import dataclasses
import json
import sys
from collections.abc import Iterator, Mapping

from inventory.loading import load
from inventory.paths import PROJECT
from tests.deploys.machines import BOARDS
from tests.deploys.record import NEW, PLACED, Event, Run

EXPECTED = PROJECT / "tests" / "deploys" / "expected"
SCRIPTS = {
    path.read_text(): f"({path.relative_to(PROJECT)})"
    for path in (PROJECT / "deploys" / "scripts").iterdir()
}
"""What stands for a program that is the same on every machine, by its text."""


def story(run: Run, name: str, title: str) -> str:
    """What a run did to a machine, for people to read."""
    lines = [f"# {title}.", "# Written by `python -m tests.deploys.boards --write`."]
    operation = ""
    for event in _shortened(run.of(name)):
        if event.operation != operation:
            operation = event.operation
            lines += ["", operation]
        lines.append(f"    {event.command}")
        text = SCRIPTS.get(event.text, event.text)
        lines += [f"    | {line}".rstrip() for line in text.splitlines()]
    return "\n".join(lines) + "\n"


def _shortened(events: list[Event]) -> Iterator[Event]:
    """The three steps by which each file of ours is put in its place, as one."""
    while events:
        made, put, placed = (event.command for event in [*events, *(2 * events[:1])][:3])
        steps = PLACED.fullmatch(placed)
        folder = steps and f"mkdir -p {steps['path'].rpartition('/')[0]}"
        if steps is None or (made, put) != (folder, f"put {steps['path']}{NEW}"):
            yield events.pop(0)
            continue
        checked = f", checked by `{steps['check']}`" if steps["check"] else ""
        read = f"; then `{steps['then']}`, or the old one is back" if steps["then"] else ""
        command = f"file {steps['path']}, {steps['mode']}{checked}{read}"
        yield dataclasses.replace(events[1], command=command)
        del events[:3]


def stories(runs: Mapping[str, Run]) -> Iterator[tuple[str, str]]:
    """File names in expected/, and what stands in them."""
    for name, host in load(BOARDS).hosts.items():
        title = f"What the bootstrap does to a bare {host.hardware.title} with {host.os}"
        yield f"{name}-{host.os}.txt", story(runs["bare"], name, title)
    title = "What the bootstrap does to the sandbox's machine, a Debian 12 container on a PC"
    yield "sandbox-debian-12.txt", story(runs["sandbox"], "pi5", title)


def main() -> None:
    """Prints every run, and the stories; or writes these."""
    runs = dict(states.bootstraps())
    if sys.argv[1:] == ["--write"]:
        EXPECTED.mkdir(exist_ok=True)
        for name, text in stories(runs):
            (EXPECTED / name).write_text(text)
        return
    runs |= dict(states.upgrades())
    report = {
        "runs": {what: run.note() for what, run in runs.items()},
        "stories": dict(stories(runs)),
    }
    json.dump(report, sys.stdout)


if __name__ == "__main__":
    main()
