"""Harm to machines of the sandbox, done while the bootstrap works on them."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from hearth.labs import lab_of
from inventory.paths import state_dir
from inventory.ssh import write_ssh_config
from sandbox.network import NAMESPACES
from tests.e2e.conftest import Lab, run

LOCK = "/var/lib/dpkg/lock-frontend"
HOLD_LOCK = (
    "import fcntl, time; f = open('{lock}', 'w'); fcntl.lockf(f, fcntl.LOCK_EX); "
    "print('held', flush=True); time.sleep(600)"
)
UNPACKING_SECONDS = 120


def on(lab: Lab, host: str, command: str, *, user: str = "debian") -> str:
    """What a command prints, run as the vendor's user, who is there on a bare machine too."""
    ssh = ["ssh", "-F", str(state_dir(lab.site.name) / "ssh_config"), "-l", user, host]
    ran = run([*ssh, command], timeout=60)
    assert ran.code == 0, ran.output
    return ran.output.strip()


@contextmanager
def held_lock(lab: Lab, host: str) -> Iterator[None]:
    """Another program installs packages on the machine, and does not end."""
    ssh = ["ssh", "-tt", "-F", str(write_ssh_config(lab.site)), "-l", "debian", host]
    program = HOLD_LOCK.format(lock=LOCK)
    with subprocess.Popen(
        [*ssh, f'sudo python3 -c "{program}"'],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout is not None
        assert "held" in holder.stdout.readline()
        try:
            yield
        finally:
            holder.terminate()  # its terminal hangs up, and the program over there ends


@contextmanager
def full_disk(lab: Lab, host: str) -> Iterator[None]:
    """There is no room for another package."""
    archives = "/var/cache/apt/archives"
    on(lab, host, f"sudo mount -t tmpfs -o size=64k tmpfs {archives}")
    try:
        yield
    finally:
        on(lab, host, f"sudo umount {archives}")


@contextmanager
def unplugged(lab: Lab, host: str, when: Callable[[], bool]) -> Iterator[None]:
    """The machine's cable is pulled at a moment, and plugged in again at the end."""
    namespace = f"hearth.{lab.site.name}.{host}"
    shown = run(["ip", "-n", namespace, "-br", "link"], timeout=10).output
    cable = next(line.split("@")[0] for line in shown.splitlines() if "@" in line)
    set_link = ["ip", "-n", namespace, "link", "set", cable]
    with _at(when, lambda: run([*set_link, "down"], timeout=10)):
        try:
            yield
        finally:
            run([*set_link, "up"], timeout=10)
            run(["ip", "-n", namespace, "route", "add", "default", "via",
                 str(lab.site.network.router)], timeout=10)  # fmt: skip


@contextmanager
def killed(lab: Lab, host: str, when: Callable[[], bool]) -> Iterator[None]:
    """The machine's power is cut at a moment, and comes back at the end."""
    machines = lab_of(lab.site)
    with _at(when, lambda: machines.stop_machine(host)):
        try:
            yield
        finally:
            machines.start_machine(host)


def unpacking(lab: Lab, host: str, package: str) -> Callable[[], bool]:
    """Whether dpkg is at work on a package on the machine, by its log."""
    log = Path("/var/lib/hearth") / lab.site.name / host / "upper/var/log/dpkg.log"
    sign = f"half-installed {package}:"
    return lambda: log.is_file() and sign in log.read_text(errors="replace")


@contextmanager
def _at(when: Callable[[], bool], harm: Callable[[], object]) -> Iterator[None]:
    """Does harm once the moment has come; fails where it did not come."""
    done, over = threading.Event(), threading.Event()

    def wait() -> None:
        deadline = time.monotonic() + UNPACKING_SECONDS
        while not over.is_set() and time.monotonic() < deadline:
            if when():
                harm()
                done.set()
                return
            time.sleep(0.02)

    waiting = threading.Thread(target=wait)
    waiting.start()
    try:
        yield
    finally:
        over.set()
        waiting.join()
    assert done.is_set(), "the moment for the fault never came"


def namespace_of(lab: Lab, host: str) -> Path:
    """A machine's network namespace."""
    return NAMESPACES / f"hearth.{lab.site.name}.{host}"
