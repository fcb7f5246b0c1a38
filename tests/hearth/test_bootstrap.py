"""What pyinfra printed becomes a count, or the line that says what went wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import pytest

from hearth import bootstrap as module
from hearth.bootstrap import Bootstrapped, _explain, bootstrap
from hearth.processes import Finished
from inventory.errors import HearthError
from inventory.loading import load
from inventory.model import Ssh

HOSTS = ("pi51", "agx0", "orin0", "pi52", "pi41", "nano", "pi31")
TOTAL = "    Grand total               14      3         -         11\n"
FAILED = """\
--> Connecting to hosts...
    [pi51] Connected
    [agx0] Connection error (SSH): Permission denied (publickey)
--> pyinfra error: No hosts remaining!
"""


def output(*hosts: str) -> str:
    """A run's output; on a terminal pyinfra colours the machines' names."""
    connected = "".join(f"    \x1b[1m[{host}]\x1b[0m Connected\n" for host in hosts)
    return f"{connected}--> Starting operation: Docker | Docker engine\n{TOTAL}"


Answer = Callable[[str, int], None]


@pytest.fixture
def answer(monkeypatch: pytest.MonkeyPatch) -> Answer:
    """Lets pyinfra print something and end with a code."""

    def prepare(printed: str, code: int) -> None:
        def stream(
            _command: Sequence[str], _env: Mapping[str, str], on_line: Callable[[str], None]
        ) -> Finished:
            for line in printed.splitlines():
                on_line(line)
            return Finished(code, printed)

        monkeypatch.setattr(module, "stream", stream)
        monkeypatch.setattr(Ssh, "require_public_key", lambda _: "ssh-ed25519 AAAA me")

    return prepare


def test_what_was_done_is_counted(answer: Answer) -> None:
    answer(output(*HOSTS), 0)
    done = bootstrap("homelab", load("homelab"), lambda _: None)
    assert done == Bootstrapped(hosts=7, changed=3, unchanged=11)


def test_operations_are_shown_as_they_start(answer: Answer) -> None:
    answer(output(*HOSTS), 0)
    shown: list[str] = []
    bootstrap("homelab", load("homelab"), shown.append)
    assert shown == ["Docker | Docker engine"]


def test_a_machine_that_was_not_reached_is_named(answer: Answer) -> None:
    answer(output(*HOSTS[:-2]), 0)
    with pytest.raises(HearthError, match=r"bootstrap: nano, pi31 could not be reached; .* again"):
        bootstrap("homelab", load("homelab"), lambda _: None)


def test_a_failed_run_raises_its_reason(answer: Answer) -> None:
    answer(FAILED, 1)
    with pytest.raises(HearthError, match=r"\[agx0\] Connection error .*Permission denied"):
        bootstrap("homelab", load("homelab"), lambda _: None)


def test_a_run_that_ends_without_its_total_is_a_failure(answer: Answer) -> None:
    answer("--> Connecting to hosts...\n", 0)
    with pytest.raises(HearthError, match="bootstrap of homelab failed"):
        bootstrap("homelab", load("homelab"), lambda _: None)


def test_an_explanation_keeps_to_the_lines_of_the_failure() -> None:
    first, *lines, last = _explain("homelab", FAILED).splitlines()
    assert first == "bootstrap of homelab failed:"
    assert lines == [
        "    [agx0] Connection error (SSH): Permission denied (publickey)",
        "    --> pyinfra error: No hosts remaining!",
    ]
    assert last.endswith("run `hearth up homelab` again: it continues")


def test_an_explanation_without_a_failures_words_shows_the_end_of_the_output() -> None:
    assert "Killed" in _explain("homelab", "x\n" * 1000 + "Killed")
