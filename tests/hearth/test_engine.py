"""What the engine printed becomes what a person needs to know; the texts are Pulumi 3.232's."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from hearth.engine import Stack
from hearth.updates import Changes, counts, show
from inventory.loading import load

CREATED = """\
Updating (sandbox):
 +  pulumi:pulumi:Stack hearth-sandbox creating (0s)
@ updating....
 +  hearth:homelab:DataNode pi52 creating (0s)
 +  docker:index:Container pi52.postgres creating (0s)
 +  docker:index:Container pi52.postgres created (4s)
 +  pulumi:pulumi:Stack hearth-sandbox created (41s)
Outputs:
    gatewayUrl: "https://192.168.1.147"

Resources:
    + 46 created

Duration: 41s
"""
SOME_CHANGED = """\
Resources:
    + 2 created
    ~ 1 updated
    - 3 deleted
    +-1 replaced
    7 changes. 39 unchanged

Duration: 6s
"""
ONE_CHANGED = """\
Resources:
    - 1 deleted
    2 unchanged

Duration: 1s
"""
NONE_CHANGED = """\
Resources:
    46 unchanged

Duration: 2s
"""
PLANNED = """\
Previewing update (sandbox):
 +  docker:index:Container pi52.postgres create

Resources:
    + 3 to create
    ~ 1 to update
    4 changes. 42 unchanged
"""
FAILED = """\
Updating (sandbox):
 +  docker:index:Container pi51.nginx creating (0s)
 +  docker:index:Container pi51.nginx **creating failed** error: Unable to create container
Diagnostics:
  docker:index:Container (pi51.nginx):
    error: Unable to start container: port is already allocated
Resources:
    2 unchanged
    1 errored
"""
LOCKED = """\
error: the stack is currently locked by 1 lock(s). Either wait for the other process(es) to end
"""


@pytest.fixture
def stack() -> Stack:
    return Stack("my/lab.yaml", load("sandbox"))


def test_the_summary_is_counted() -> None:
    assert counts(CREATED) == {"created": 46}
    assert counts(ONE_CHANGED) == {"deleted": 1, "unchanged": 2}


def test_all_kinds_of_change_are_counted() -> None:
    found = counts(SOME_CHANGED)
    assert found == {"created": 2, "updated": 1, "deleted": 3, "replaced": 1, "unchanged": 39}
    assert Changes(found).total == 7


def test_a_plan_is_counted_by_kind() -> None:
    found = counts(PLANNED)
    assert found == {"to create": 3, "to update": 1, "unchanged": 42}
    assert str(Changes(found)) == "3 to create, 1 to update, 42 unchanged"


def test_a_second_update_changed_nothing() -> None:
    changes = Changes(counts(NONE_CHANGED))
    assert changes.total == 0
    assert str(changes) == "46 unchanged"


def test_output_without_a_summary_counts_nothing() -> None:
    assert counts("error: no stack selected\n") == {}
    assert str(Changes({})) == "nothing to do"


def test_progress_is_what_and_which() -> None:
    shown: list[str] = []
    for line in CREATED.splitlines():
        show(line, shown.append)
    assert shown == [
        "creating Stack hearth-sandbox",
        "creating DataNode pi52",
        "creating Container pi52.postgres",
        "creating Container pi52.postgres",
        "creating Stack hearth-sandbox",
    ]


def test_a_failure_shows_the_engines_errors_and_how_to_go_on(stack: Stack) -> None:
    first, *errors, last = stack._explain("up", FAILED).splitlines()
    assert first == "pulumi up of sandbox failed:"
    assert "    error: Unable to start container: port is already allocated" in errors
    assert not any("Updating" in line for line in errors)
    assert last == "mend what is named above and run `hearth up my/lab.yaml` again"


def test_a_lock_names_the_command_that_clears_it(stack: Stack) -> None:
    last = stack._explain("up", LOCKED).splitlines()[-1]
    assert last == "if no other update is under way: `pulumi cancel --stack sandbox`"


def test_a_failure_without_a_word_of_error_shows_the_end_of_the_output(stack: Stack) -> None:
    assert "killed by signal" in stack._explain("up", "x\n" * 2000 + "killed by signal")


def test_a_failure_of_many_machines_is_cut_short(stack: Stack) -> None:
    output = "".join(f"error: machine {number}\n" for number in range(100))
    assert len(stack._explain("up", output).splitlines()) == 14


def test_a_container_that_fails_says_its_last_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ssh").write_text(
        "#!/bin/sh\ncase \"$*\" in *' agx0 docker logs --tail 20 assistant 2>&1')"
        " for n in 1 2 3; do echo 'no such setting'; echo 'stopped'; done ;; esac\n"
    )
    (tmp_path / "ssh").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    output = (
        " +  docker:index:Container agx0.assistant creating (180s) error: not healthy\n"
        " +  docker:index:Container agx0.assistant **creating failed** error: not healthy\n"
    )
    said = Stack("sandbox", load("sandbox"))._explain("up", output)
    assert said.splitlines()[-4:-1] == [
        "    agx0.assistant said last:",
        "        no such setting",
        "        stopped",
    ]


def test_no_command_waits_for_the_sdk_to_load() -> None:
    code = "import sys, hearth.cli, hearth.engine; sys.exit('pulumi' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
