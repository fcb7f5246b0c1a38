"""Configuration files of ours: put in place where they differ from what a machine has."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Callable, Iterator
from io import StringIO

from pyinfra import host, logger
from pyinfra.api import FileUploadCommand, operation
from pyinfra.api.operation import OperationMeta
from pyinfra.facts.files import FileContents
from pyinfra.operations import server
from pyinfra.operations.util.files import generate_color_diff

from deploys.batched import Batched
from deploys.facts.files import FileState, FileStates

STATES: Batched[FileState] = Batched(FileStates)
"""Of the files that a run is about."""


def config_file(
    name: str, path: str, text: str, *, mode: str = "644", validate: str = ""
) -> OperationMeta:
    """Puts a file of root's in place.

    Args:
        name: the operation's, for people.
        path: absolute; folders above it are made.
        text: the whole content.
        mode: permissions, octal.
        validate: a command that refuses a bad file by its exit code; `{}` is the new file.
    """
    STATES.note(path)
    return _put(name=name, path=path, text=text, mode=mode, validate=validate)


@operation()
def _put(path: str, text: str, mode: str, validate: str) -> Iterator[object]:
    """Replaces the file at once and whole, after it has been validated."""
    state = STATES.state(path)
    if state == FileState(hashlib.sha256(text.encode()).hexdigest(), mode, "root:root"):
        host.noop(f"file {path} is in place")
        return
    if host.state.config.DIFF:
        _show_difference(path, text)
    new = f"{path}.hearth-new"
    yield f"mkdir -p {shlex.quote(path.rpartition('/')[0])}"
    yield FileUploadCommand(StringIO(text), new)
    steps = [f"chown root:root {new}", f"chmod {mode} {new}"]
    if validate:
        steps.append(validate.format(new))
    yield f"{{ {' && '.join(steps)} && mv {new} {path}; }} || {{ rm -f {new}; exit 1; }}"


def _show_difference(path: str, text: str) -> None:
    """The lines that will change, as pyinfra's own operations show them under `--diff`."""
    current = host.get_fact(FileContents, path=path) or []
    logger.info(f"\n    Will modify {path}")
    for line in generate_color_diff(current, text.splitlines()):
        logger.info(f"  {line}")
    logger.info("")


def run_after(name: str, command: str, *operations: OperationMeta) -> OperationMeta:
    """Runs a command where one of the operations has changed something."""
    changed: Callable[[], bool] = lambda: any(o.did_change() for o in operations)  # noqa: E731
    return server.shell(name=name, commands=[command], _if=changed)
