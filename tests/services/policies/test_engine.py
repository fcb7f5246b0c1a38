"""A table is loaded when it has to be, and is never taken away."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from services.policies.engine import Engine, kept, notify
from services.policies.kernel import KernelError
from services.policies.table import TABLE
from tests.services.policies.documents import NODES, Told, app, namespace, pod, policy
from tests.services.policies.fake_api import FakeApi, listed, of, watched


class Kernel:
    """Takes tables, as long as it does."""

    def __init__(self, loaded: str = "") -> None:
        self.loads: list[str] = []
        self.loaded = loaded
        self.refuses = False

    def load(self, text: str) -> None:
        """Replaces the table."""
        if self.refuses:
            raise KernelError("nft: table hearth-policies is refused (no room)")
        self.loads.append(text)
        self.loaded = text

    def is_loaded(self) -> bool:
        """Whether there is one."""
        return bool(self.loaded)


TOLD = Told(
    {"back": pod("back", "10.244.0.3")},
    [namespace("shop")],
    [policy("nothing", app("back"))],
)


def test_after_a_boot_pods_are_closed_until_more_is_known() -> None:
    kernel = Kernel()
    Engine(NODES[0], kernel).begin()
    assert "ip saddr != @known" in kernel.loaded
    assert "elements" not in kernel.loaded


def test_what_an_earlier_run_has_loaded_stays_until_more_is_known() -> None:
    kernel = Kernel("an earlier run's")
    Engine(NODES[0], kernel).begin()
    assert kernel.loads == []


def test_a_table_is_loaded_once_and_again_when_it_differs_or_is_gone() -> None:
    kernel = Kernel()
    it = Engine(NODES[0], kernel)
    assert kept(it, TOLD.cluster())
    assert kept(it, TOLD.cluster())
    assert len(kernel.loads) == 1
    kernel.loaded = ""  # somebody flushed the machine's rules
    assert kept(it, TOLD.cluster())
    assert len(kernel.loads) == 2
    other = Told(TOLD.pods, TOLD.namespaces, [])
    assert kept(it, other.cluster())
    assert len(kernel.loads) == 3


def test_what_is_loaded_is_told_in_a_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    kept(Engine(NODES[0], Kernel()), TOLD.cluster())
    assert caplog.messages == ["0 rules for 1 pods"]


def test_a_table_that_is_refused_is_told_and_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    kernel = Kernel()
    kernel.refuses = True
    it = Engine(NODES[0], kernel)
    assert not kept(it, TOLD.cluster())
    assert "is refused (no room); tried again in 5 s" in caplog.text
    kernel.refuses = False
    assert kept(it, TOLD.cluster())
    assert len(kernel.loads) == 1


def test_systemd_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        notify("READY=1", "STATUS=waits")
        assert systemd.recv(99) == b"READY=1\nSTATUS=waits"


def test_the_program_holds_pods_to_what_the_api_tells(tmp_path: Path) -> None:
    """Whole, beside a server and in place of nft a script that keeps what it is given."""
    programs, loaded = tmp_path / "bin", tmp_path / "loaded"
    programs.mkdir()
    nft = programs / "nft"
    nft.write_text(f'#!/bin/sh\n[ "$1" = -f ] || exec test -e {loaded}\ncat >{loaded}\n')
    nft.chmod(0o755)
    with FakeApi(tmp_path) as api:
        api.by_path = {
            "/api/v1/pods": [listed("1", *TOLD.pods.values()), watched()],
            "/api/v1/namespaces": [listed("1", *TOLD.namespaces), watched()],
            "/apis/networking.k8s.io/v1/networkpolicies": [
                listed("1"),
                watched(("ADDED", of(TOLD.policies[0], "2"))),
            ],
        }
        login = api.login
        command = [
            *(sys.executable, "-m", "services.policies", "--own", str(NODES[0])),
            *("--server", login.server, "--authority", str(login.authority)),
            *("--credential", str(login.credential)),
        ]
        environment = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"}
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as program:
            deadline = time.monotonic() + 20
            wanted = TOLD.table(NODES[0]).text
            while not loaded.exists() or loaded.read_text() != wanted:
                assert time.monotonic() < deadline, loaded.read_text() if loaded.exists() else ""
                time.sleep(0.05)
            program.send_signal(signal.SIGTERM)
    assert TABLE in loaded.read_text()  # it ended, the table did not
