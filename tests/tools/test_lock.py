"""The lock between processes."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from tools.lock import exclusive

if TYPE_CHECKING:
    from pathlib import Path


def test_the_second_holder_waits_for_the_first_and_says_so(tmp_path: Path) -> None:
    order: list[str] = []
    waiting = threading.Event()

    def second() -> None:
        with exclusive(tmp_path / "new" / "lock", when_waiting=waiting.set):
            order.append("second")

    thread = threading.Thread(target=second)
    with exclusive(tmp_path / "new" / "lock", when_waiting=lambda: order.append("waited")):
        thread.start()
        assert waiting.wait(5)
        order.append("first")
    thread.join(5)
    assert order == ["first", "second"]


def test_a_lock_is_free_after_an_error(tmp_path: Path) -> None:
    waited: list[bool] = []
    for _ in range(2):
        with (
            pytest.raises(ValueError, match="no number"),
            exclusive(tmp_path / "lock", when_waiting=lambda: waited.append(True)),
        ):
            int("no number")
    assert waited == []
