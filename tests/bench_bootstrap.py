"""Times the bootstrap beside the same work by Ansible: `python -m tests.bench_bootstrap`.

Seven sandboxed machines of its own, bare for each tool's first run. The repeated runs alternate
on machines that both find in order, as a busy computer is then busy for both. Its figures go
into build/bench.json; `ratio` is how many times longer Ansible takes.
"""

from __future__ import annotations

import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

from rich.table import Table

from hearth.console import out
from inventory.errors import HearthError
from inventory.loading import load
from inventory.model import Site
from inventory.paths import PROJECT, state_dir
from tests.figures import Figure, record
from tests.sandboxed import why_not

SITE_FILE = PROJECT / "tests" / "sites" / "valid" / "bench.yaml"
PLAYBOOK = PROJECT / "tests" / "ansible" / "bootstrap.yaml"
ROUNDS = 3
REPEATED_SECONDS = 6.0
TIMES_FASTER = 8.0
LAB_SECONDS = 900
RUN_SECONDS = 900
SHOWN_CHARACTERS = 2000

_PYINFRA_CONNECTED = re.compile(r"^\s*\[[^\]]+\]\s+Connected\s*$", re.MULTILINE)
_PYINFRA_TOTAL = re.compile(r"^\s*Grand total\s+\S+\s+(\S+)\s+(\S+)\s+\S+\s*$", re.MULTILINE)
_ANSIBLE_RECAP = re.compile(
    r"^\S+\s+: ok=\d+\s+changed=(\d+)\s+unreachable=(\d+)\s+failed=(\d+)", re.MULTILINE
)


@dataclass(frozen=True, slots=True)
class Tally:
    """What a run came to.

    Attributes:
        machines: how many were reached.
        changed: operations or tasks that changed something, over all machines.
        failed: those that failed.
    """

    machines: int
    changed: int
    failed: int


def of_pyinfra(output: str) -> Tally:
    """The tally of what pyinfra printed."""
    totals = _PYINFRA_TOTAL.findall(output)
    changed, failed = (0 if word == "-" else int(word) for word in (totals or [("-", "-")])[-1])
    return Tally(len(_PYINFRA_CONNECTED.findall(output)) if totals else 0, changed, failed)


def of_ansible(output: str) -> Tally:
    """The tally of what Ansible printed."""
    rows = [tuple(map(int, row)) for row in _ANSIBLE_RECAP.findall(output)]
    return Tally(
        machines=sum(not unreachable for _, unreachable, _ in rows),
        changed=sum(changed for changed, _, _ in rows),
        failed=sum(failed for _, _, failed in rows),
    )


@dataclass(frozen=True, slots=True)
class Tool:
    """A way to make the machines ready.

    Attributes:
        name: for people.
        command: what a person would run.
        env: variables beside this process's own.
        read: the tally of what it printed.
    """

    name: str
    command: Sequence[str]
    env: Mapping[str, str]
    read: Callable[[str], Tally]

    def seconds(self, machines: int, *, repeated: bool) -> float:
        """How long a run takes.

        Args:
            machines: how many it has to reach.
            repeated: whether everything is in place, so that it must change nothing.

        Raises:
            HearthError: it did not do its work; its time would mean nothing.
        """
        started = time.perf_counter()
        code, output = run(self.command, self.env, RUN_SECONDS)
        took = time.perf_counter() - started
        tally = self.read(output)
        if code or tally.failed or tally.machines != machines or repeated == bool(tally.changed):
            kind = "a repeated run" if repeated else "the first run on bare machines"
            raise HearthError(
                f"{self.name}: {kind} ended with {code}, reached {tally.machines} of {machines} "
                f"machines, {tally.changed} changes, {tally.failed} failures; see what it "
                f"printed last:\n{output[-SHOWN_CHARACTERS:]}"
            )
        return took


@dataclass(frozen=True, slots=True)
class Times:
    """A tool's times, in seconds."""

    bare: float
    repeated: list[float] = field(default_factory=list)


def run(command: Sequence[str], env: Mapping[str, str], timeout: float) -> tuple[int, str]:
    """A command's exit code and everything that it printed."""
    done = subprocess.run(
        command,
        cwd=PROJECT,
        env=os.environ | env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout,
        check=False,
    )
    return done.returncode, done.stdout


def script(name: str) -> str:
    """A program of this environment."""
    return str(Path(sys.executable).with_name(name))


def sandbox(verb: str) -> None:
    """Boots the lab's machines, or removes every trace of them.

    Raises:
        HearthError: with what the command said.
    """
    code, output = run([script("hearth"), "sandbox", verb, str(SITE_FILE)], {}, LAB_SECONDS)
    if code:
        raise HearthError(f"hearth sandbox {verb} {SITE_FILE}: ended with {code}:\n{output}")


@contextmanager
def bare_machines() -> Iterator[None]:
    """The lab, fresh; it is gone afterwards, whatever happens."""
    sandbox("down")
    try:
        sandbox("up")
        yield
    finally:
        sandbox("down")


@contextmanager
def site_with_key() -> Iterator[Site]:
    """The site, with the key that both tools hand on; its local files are gone afterwards."""
    from hearth.labs import ensure_key  # noqa: PLC0415 - Linux only

    site = load(str(SITE_FILE))
    ensure_key(site)
    try:
        yield site
    finally:
        shutil.rmtree(state_dir(site.name), ignore_errors=True)


def ours() -> Tool:
    """The command of the README."""
    command = [script("pyinfra"), "-y", "inventory/hosts.py", "deploys/bootstrap.py"]
    return Tool("pyinfra", command, {"HEARTH_SITE": str(SITE_FILE)}, of_pyinfra)


@contextmanager
def ansible(site: Site) -> Iterator[Tool]:
    """The playbook, with the files that it puts on the site's machines."""
    from tests.ansible.rendered import write  # noqa: PLC0415 - brings gevent

    with tempfile.TemporaryDirectory(prefix="hearth-") as folder:
        home = Path(folder) / "home"
        inventory = write(site, Path(folder))
        command = [script("ansible-playbook"), "--forks", str(len(site.hosts))]
        env = {
            "ANSIBLE_CONFIG": str(PLAYBOOK.with_name("ansible.cfg")),
            "ANSIBLE_HOME": str(home),
            "ANSIBLE_SSH_CONTROL_PATH_DIR": str(home / "cp"),
            "LC_ALL": "C.UTF-8",
        }
        try:
            yield Tool(
                f"ansible-core {version('ansible-core')}",
                [*command, "-i", str(inventory), str(PLAYBOOK)],
                env,
                of_ansible,
            )
        finally:
            for connection in home.glob("cp/*"):
                run(
                    ["ssh", "-o", f"ControlPath={connection}", "-O", "exit", "any"], {}, RUN_SECONDS
                )


def measure(
    mine: Tool, peer: Tool, machines: int, say: Callable[[str], None]
) -> tuple[Times, Times]:
    """Both tools' times."""

    def timed(tool: Tool, *, repeated: bool) -> float:
        seconds = tool.seconds(machines, repeated=repeated)
        say(f"{tool.name}, {'repeated' if repeated else 'bare'}: {seconds:.1f} s")
        return seconds

    with bare_machines():
        of_mine = Times(timed(mine, repeated=False))
        timed(mine, repeated=True)
    with bare_machines():
        of_peer = Times(timed(peer, repeated=False))
        for _ in range(ROUNDS):
            of_mine.repeated.append(timed(mine, repeated=True))
            of_peer.repeated.append(timed(peer, repeated=True))
    return of_mine, of_peer


def figures(mine: Times, other: Times, peer: str, machines: int) -> list[Figure]:
    """The bare and the repeated run, ours beside Ansible's."""
    pairs = {
        "bare": (mine.bare, other.bare),
        "repeated": (statistics.median(mine.repeated), statistics.median(other.repeated)),
    }
    return [
        Figure(
            f"bootstrap {machines} machines {kind}",
            round(value, 2),
            "s",
            peer,
            round(theirs / value, 2),
        )
        for kind, (value, theirs) in pairs.items()
    ]


def missed(repeated: Figure) -> list[str]:
    """The goals that a repeated run misses, a sentence each."""
    sentences = []
    if repeated.value >= REPEATED_SECONDS:
        sentences.append(
            f"{repeated.name}: {repeated.value:.1f} s; it has to take less than "
            f"{REPEATED_SECONDS:g} s"
        )
    if repeated.ratio is not None and repeated.ratio < TIMES_FASTER:
        sentences.append(
            f"{repeated.name}: {repeated.ratio:.1f} times faster than {repeated.peer}; it has to "
            f"be {TIMES_FASTER:g} times faster at least"
        )
    return sentences


def show(found: Sequence[Figure], times: tuple[Times, Times], peer: str) -> None:
    """A row a kind of run, with the range of the repeated ones."""
    table = Table(box=None, pad_edge=False)
    table.add_column("what", no_wrap=True)
    for heading in ("pyinfra, s", f"{peer}, s", "times faster"):
        table.add_column(heading, justify="right", no_wrap=True)
    bare, repeated = found
    table.add_row(bare.name, *(f"{t.bare:.1f}" for t in times), f"{bare.ratio:.1f}")
    table.add_row(repeated.name, *(_range(t.repeated) for t in times), f"{repeated.ratio:.1f}")
    out.print(table)


def _range(seconds: Sequence[float]) -> str:
    """The median, and from the shortest to the longest."""
    return f"{statistics.median(seconds):.1f} ({min(seconds):.1f} to {max(seconds):.1f})"


def main() -> int:
    """Measures, shows, records; 1 where a goal is missed."""
    if reason := why_not(SITE_FILE, "make bench"):
        out.rule("THE BOOTSTRAP WAS NOT TIMED", characters="!")
        out.print(reason, markup=False)
        return 0
    try:
        with site_with_key() as site, ansible(site) as peer:
            times = measure(ours(), peer, len(site.hosts), out.print)
    except HearthError as error:
        out.print(str(error), markup=False)
        return 1
    found = figures(*times, peer.name, len(site.hosts))
    show(found, times, peer.name)
    record(found)
    sentences = missed(found[-1])
    for sentence in sentences:
        out.print(sentence)
    return 1 if sentences else 0


if __name__ == "__main__":
    sys.exit(main())
