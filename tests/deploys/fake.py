"""pyinfra, run whole, on machines that answer as they are told to and note what is done to them.

For programs of their own only: pyinfra's gevent and Pulumi's gRPC must not share a process.
The command line, the inventory and the deploy are the real ones; the connections are fake.
"""

from __future__ import annotations

import pyinfra_cli.cli  # isort: skip - patches what others load

import functools
import inspect
import io
import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import FrameType, SimpleNamespace
from typing import Any
from unittest.mock import patch

import gevent
import pyinfra
import pyinfra.api.arguments
import pyinfra.api.connectors
import pyinfra.api.host
import pyinfra.api.inventory
import pyinfra.api.util
from pyinfra.api.exceptions import ConnectError
from pyinfra.connectors.fake import FakeConnector
from pyinfra.connectors.util import CommandOutput, OutputLine
from pyinfra_cli.exceptions import WrappedError

import inventory.loading
import inventory.paths
import inventory.ssh
from deploys import firewall, kubernetes, reboots
from tests.deploys.record import Event, Run

Answers = dict[str, Any]
"""What commands print, by words that they have: a text, or pyinfra's `stdout`, `stderr` and
`success`, with `then`, the answer to the next that asks. The first that fits is taken."""

NOBODY_LET_IN = "(connection)"
"""An answer of this name is how many times nobody can connect to the machine."""
FOLDER = ".hearth"
"""What records call the folder that stands for the site's own."""
PLAN = '{"plan"'
"""So begins the line that `--json` is for."""


@dataclass
class Script:
    """A machine's part.

    Attributes:
        answers: to what facts ask.
        reactions: its answers from then on, by words of a command that it has carried out.
        says: what other commands say, by words that they have.
        fails: what commands say that do not succeed, by words that they have.
        lets_in: whether the operator's ssh can make a new connection.
    """

    answers: Answers
    reactions: Mapping[str, Answers] = field(default_factory=dict)
    says: Mapping[str, str] = field(default_factory=dict)
    fails: Mapping[str, str] = field(default_factory=dict)
    lets_in: bool = True

    def answering(self, answers: Answers) -> Script:
        """The same with other answers."""
        return replace(self, answers=self.answers | answers)


class _Clock:
    """Time that passes when somebody waits, and not otherwise."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def monotonic(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds
        gevent.sleep(0)  # whoever works at the same time goes on


class _Machine(FakeConnector):  # type: ignore[misc] # to the checker pyinfra has no types
    """pyinfra's fake machine, which reacts."""

    run: Run
    scripts: Mapping[str, Script]

    def __init__(self, state: Any, host: Any) -> None:
        super().__init__(state, host)
        self._script = self.scripts.get(host.name) or Script({})
        self._answers = dict(self._script.answers)
        self.data = {"fake_responses": self._answers, "fake_delay": 0, "fake_delay_jitter": 0}
        self.asking = False

    def connect(self) -> None:
        if tries := self._answers.get(NOBODY_LET_IN):
            self._answers[NOBODY_LET_IN] = tries - 1
            raise ConnectError("Could not connect")

    def run_shell_command(self, command: Any, **arguments: Any) -> Any:
        text = str(command)
        if self.asking:
            if self.state.is_executing and not arguments["_sudo"]:
                self.run.unprivileged.append(f"{self.host.name}: {text}")
            return self._answer(text)
        self._note(text, arguments.get("_stdin") or "", root=arguments["_sudo"])
        for word in (word for word in self._script.reactions if word in text):
            self._answers |= self._script.reactions[word]
        for word in (word for word in self._script.fails if word in text):
            return False, CommandOutput([OutputLine("stderr", self._script.fails[word])])
        said = next((said for word, said in self._script.says.items() if word in text), "")
        return True, CommandOutput([OutputLine("stdout", line) for line in said.splitlines()])

    def put_file(self, source: Any, path: str, *_: Any, **arguments: Any) -> bool:
        self._note(f"put {path}", source.getvalue(), root=arguments["_sudo"])
        return True

    def run_here(self, command: Sequence[str]) -> SimpleNamespace:
        """In the place of a subprocess on the operator's computer."""
        self._note(f"here: {' '.join(command)}")
        return SimpleNamespace(returncode=0 if self._script.lets_in else 255)

    def _answer(self, question: str) -> Any:
        self.run.asked.setdefault(self.host.name, []).append(question)
        answer = super().run_shell_command(question)
        word = next((word for word in self._answers if word in question), "")
        if "then" in (said := self._answers.get(word, "")) and isinstance(said, dict):
            self._answers[word] = said["then"]
        return answer

    def _note(self, command: str, text: str = "", *, root: bool = True) -> None:
        # One machine's operation may see to others, too.
        at_work = (host.executing_op_hash for host in (self.host, *self.state.inventory))
        (operation,) = self.state.get_op_meta(next(filter(None, at_work))).names
        self.run.events.append(Event(self.host.name, operation, command, text, root))


def pyinfra_run(deploy: str, site: str, scripts: Mapping[str, Script], *options: str) -> Run:
    """Runs a deploy on the machines that have a part.

    Args:
        deploy: its file's name in deploys/.
        site: the site's name or path.
        scripts: the parts, by machine.
        options: of pyinfra's command line.
    """
    limits = [word for name in scripts for word in ("--limit", name)]
    command = [*options, "--json", "inventory/hosts.py", f"deploys/{deploy}.py", *limits]
    run, said = Run(), io.StringIO()
    with tempfile.TemporaryDirectory() as folder, _stage(run, site, scripts, Path(folder)):
        try:
            with redirect_stdout(said), redirect_stderr(said):
                pyinfra_cli.cli.cli.main(command, standalone_mode=False)
        except SystemExit:
            pass
        except WrappedError as error:
            run.error = error.message
        run.failed = sorted(host.name for host in pyinfra.state.failed_hosts)
        run.events = [replace(e, command=e.command.replace(folder, FOLDER)) for e in run.events]
    for line in filter(None, map(str.strip, said.getvalue().splitlines())):
        if line.startswith(PLAN):
            planned = json.loads(line)["plan"]
            run.foreseen = [step["name"] for step in planned if step["hosts_with_change"]]
        else:
            run.said.append(line)
    return run


@contextmanager
def _stage(run: Run, site: str, scripts: Mapping[str, Script], folder: Path) -> Iterator[None]:
    """Fake connections, time and folders; nothing that an earlier run has left."""
    machine = type("Machine", (_Machine,), {"run": run, "scripts": scripts})
    clock = _Clock()
    here = SimpleNamespace(run=lambda command, **_: pyinfra.host.connector.run_here(command))
    replacements: dict[Any, dict[str, Any]] = {
        pyinfra: {"is_cli": True},
        pyinfra_cli.cli: {"make_inventory": _with(machine, pyinfra_cli.cli.make_inventory)},
        pyinfra.api.host: {"get_fact": _noted(pyinfra.api.host.get_fact)},
        # The same answers, without reading what does not change between runs again and again.
        pyinfra.api.util: {"stack": _stack, "getframeinfo": _place},
        pyinfra.api.arguments: {"all_global_arguments": _global_arguments},
        pyinfra.api.connectors: {"get_all_connectors": _connectors},
        pyinfra.api.inventory: {"get_all_connectors": _connectors},
        inventory.loading: {"load": _load},
        reboots: {"time": clock, "gevent": clock, "_outcomes": {}},
        kubernetes: {"time": clock, "gevent": clock},
        firewall: {"subprocess": here},
        inventory.paths: {"state_dir": folder.joinpath},
        inventory.ssh: {"state_dir": folder.joinpath},
    }
    sys.modules.pop("inventory.hosts", None)
    pyinfra.logger.handlers.clear()
    with ExitStack() as stack:
        stack.enter_context(
            patch.dict("os.environ", {"HEARTH_SITE": site, "PYINFRA_PROGRESS": "off"})
        )
        for module, names in replacements.items():
            stack.enter_context(patch.multiple(module, **names))
        yield
        run.seconds = clock.seconds


def _with(machine: type[_Machine], make_inventory: Callable[..., Any]) -> Callable[..., Any]:
    """The real inventory with fake connections.

    pyinfra keeps the machines at work in a set: here in one that begins with the last, so that
    no order comes about by chance.
    """

    def make(*args: Any, **kwargs: Any) -> Any:
        made = make_inventory(*args, **kwargs)
        last_first = list(made)[::-1]
        for number, host in enumerate(sorted(last_first, key=_idle)):
            host.connector_cls = machine
            host.__class__ = _numbered(number)
        return made

    def _idle(host: Any) -> bool:
        return host.name not in machine.scripts

    return make


def _numbered(number: int) -> type:
    """A host whose place in a set of hosts is this one."""
    return type("Host", (pyinfra.api.host.Host,), {"__hash__": lambda _: number})


_connectors = functools.cache(pyinfra.api.connectors.get_all_connectors)
_load = functools.cache(inventory.loading.load)
_global_arguments = functools.cache(pyinfra.api.arguments.all_global_arguments)


def _stack() -> list[tuple[FrameType]]:
    """As inspect's: the innermost frame first."""
    frames, frame = [], inspect.currentframe()
    while frame := frame and frame.f_back:
        frames.append((frame,))
    return frames


def _place(frame: FrameType) -> SimpleNamespace:
    """As inspect.getframeinfo says it."""
    return SimpleNamespace(filename=frame.f_code.co_filename, lineno=frame.f_lineno)


def _noted(get_fact: Callable[..., Any]) -> Callable[..., Any]:
    """Tells a machine that what it hears is a question."""

    def get(state: Any, host: Any, *args: Any, **kwargs: Any) -> Any:
        outer, host.connector.asking = host.connector.asking, True
        try:
            return get_fact(state, host, *args, **kwargs)
        finally:
            host.connector.asking = outer

    return get
