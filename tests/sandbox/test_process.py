"""A recorded process is the one that was started, or nobody."""

from __future__ import annotations

import errno
import json
import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from sandbox import process
from sandbox.process import Process

if TYPE_CHECKING:
    from pathlib import Path


def proc(folder: Path, pid: int, started: int, state: str = "S") -> Path:
    """A /proc with one process, whose name tries to confuse."""
    (folder / "proc" / str(pid)).mkdir(parents=True)
    between = " ".join(["0"] * 18)
    (folder / "proc" / str(pid) / "stat").write_text(
        f"{pid} (a) S 1) {state} {between} {started} 0 0\n"
    )
    return folder / "proc"


def record(folder: Path, pid: int, started: int) -> Path:
    path = folder / "pi51.process"
    path.write_text(json.dumps({"pid": pid, "started": started}))
    return path


def test_a_running_process_is_found_by_its_record(tmp_path: Path) -> None:
    found = process.recorded(record(tmp_path, 7, 1234), proc(tmp_path, 7, 1234))

    assert found == Process(7, 1234)


def test_a_recycled_pid_is_somebody_else(tmp_path: Path) -> None:
    assert process.recorded(record(tmp_path, 7, 1234), proc(tmp_path, 7, 9999)) is None


def test_a_zombie_does_not_run(tmp_path: Path) -> None:
    assert process.recorded(record(tmp_path, 7, 1234), proc(tmp_path, 7, 1234, "Z")) is None


def test_a_half_written_record_is_no_record(tmp_path: Path) -> None:
    (tmp_path / "pi51.process").write_text('{"pid": 7')

    assert process.recorded(tmp_path / "pi51.process") is None


def test_stop_spares_a_process_that_started_at_another_time() -> None:
    with subprocess.Popen(["sleep", "60"]) as other:
        process.stop(Process(other.pid, 1))

        assert other.poll() is None
        other.kill()


def test_a_started_process_is_recorded_logged_and_stopped(tmp_path: Path) -> None:
    path, log = tmp_path / "one.process", tmp_path / "log"
    process.start(["sh", "-c", "echo $WORD; exec sleep 60"], path, log, {"WORD": "hello"})
    running = process.recorded(path)
    assert running is not None
    assert os.getsid(running.pid) == running.pid

    process.stop(running)

    assert process.recorded(path) is None


@pytest.mark.parametrize("code", [errno.ESRCH, errno.EINVAL])
def test_a_process_that_is_being_reaped_has_ended(
    code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_pid: int) -> int:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "pidfd_open", refuse)

    assert process.wait_for_end(4711, 0.0)
    process.stop(Process(4711, 1))


def test_another_refusal_of_the_kernel_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_pid: int) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(os, "pidfd_open", refuse)

    with pytest.raises(OSError, match="open files"):
        process.wait_for_end(4711, 0.0)
