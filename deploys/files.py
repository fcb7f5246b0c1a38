"""Configuration files of ours: put in place where they differ from what a machine has."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Iterator
from io import StringIO

from pyinfra import host, logger
from pyinfra.api import FileUploadCommand, operation
from pyinfra.api.operation import OperationMeta
from pyinfra.facts.files import FileContents
from pyinfra.operations.util.files import generate_color_diff

from deploys.batched import Batched
from deploys.facts.files import FileState, FileStates

STATES: Batched[FileState] = Batched(FileStates)
"""Of the files that a run is about."""


def config_file(  # noqa: PLR0913 - a file's place, and how it gets there
    name: str, path: str, text: str, *, mode: str = "644", validate: str = "", then: str = ""
) -> OperationMeta:
    """Puts a file of root's in place.

    Args:
        name: the operation's, for people.
        path: absolute; folders above it are made.
        text: the whole content.
        mode: permissions, octal.
        validate: a command that refuses a bad file by its exit code; `{}` is the new file.
        then: a command that has the new file read; where it fails, the old one is back.
    """
    STATES.note(path)
    return _put(name=name, path=path, text=text, mode=mode, validate=validate, then=then)


@operation()
def _put(path: str, text: str, mode: str, validate: str, then: str) -> Iterator[object]:
    """Replaces the file at once and whole; what follows is the same command: not to be cut off."""
    state = STATES.state(path)
    if state == FileState(hashlib.sha256(text.encode()).hexdigest(), mode, "root:root"):
        host.noop(f"file {path} is in place")
        return
    if host.state.config.DIFF:
        _show_difference(path, text)
    new, old = f"{path}.hearth-new", f"{path}.hearth-old"
    yield f"mkdir -p {shlex.quote(path.rpartition('/')[0])}"
    yield FileUploadCommand(StringIO(text), new)
    steps = [f"chown root:root {new}", f"chmod {mode} {new}"]
    if validate:
        steps.append(validate.format(new))
    if then:
        steps.append(f"{{ [ ! -e {path} ] || cp -p {path} {old}; }}")
    steps.append(f"mv {new} {path}")
    command = f"{{ {' && '.join(steps)}; }} || {{ rm -f {new} {old}; exit 1; }}"
    if then:
        back = f"mv {old} {path} 2>/dev/null || rm -f {path}"
        command += f"; {{ {then}; }} || {{ {back}; exit 1; }}; rm -f {old}"
    yield command


def _show_difference(path: str, text: str) -> None:
    """The lines that will change, as pyinfra's own operations show them under `--diff`."""
    current = host.get_fact(FileContents, path=path) or []
    logger.info(f"\n    Will modify {path}")
    for line in generate_color_diff(current, text.splitlines()):
        logger.info(f"  {line}")
    logger.info("")
