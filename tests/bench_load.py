"""Times the load engine beside its peers: `python -m tests.bench_load`.

Each in turn sends what it can to the same nginx, from one processor, over 50 connections. What
counts is how many requests a second of that processor brings: nginx counts the requests, the
kernel the time, and a short run is subtracted from a long one, so that starting up is in neither.
How punctual the engine is at 1,000 requests a second is measured by itself, and again on
asyncio's own event loop. Its figures go into build/bench.json; `ratio` is how many
times better ours is.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from resource import struct_rusage
from urllib.request import urlopen

from rich.table import Table

from hearth.console import out
from inventory.errors import HearthError
from inventory.paths import cache_dir
from tests.figures import Figure, record
from tests.ports import free_port
from tools import go_build

CONNECTIONS = 50
SHORT_S = 2
LONG_S = 7
TIMES_AHEAD = 2.0
LATE_MS = 1.0
WAITING = 0.01
"""A run that waited longer for a processor, as a share of its time, had not one to itself."""
BUILD_SECONDS = 240
RUN_SECONDS = 120
SHOWN_CHARACTERS = 2000
OURS = "Hearth"
SENDER = (sys.executable, "-m", "tests.bench_load_sender")
LOOPS = ("hearth", "asyncio")
GO = {"hey": ("github.com/rakyll/hey", "0.1.5"), "k6": ("go.k6.io/k6", "1.8.1")}

_PEAK = re.compile(r"^VmHWM:\s*(\d+) kB$", re.MULTILINE)
_NGINX = """\
daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/errors;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 1000000000;
  client_body_temp_path {folder}/a; proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c;
  uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;
  server {{
    listen 127.0.0.1:{port};
    location / {{ default_type text/plain; return 200 "a small body, the same each time\\n"; }}
    location = /counted {{ stub_status; }}
  }}
}}
"""
_LOCUST = """\
from locust import FastHttpUser, constant, task

class User(FastHttpUser):
    wait_time = constant(0)

    @task
    def fetch(self):
        self.client.get("/")
"""
_K6 = """\
import http from "k6/http";
export default function () { http.get(__ENV.URL); }
"""


@dataclass(frozen=True, slots=True)
class Tool:
    """What sends load.

    Attributes:
        name: for people.
        command: makes the command that sends for so many seconds.
    """

    name: str
    command: Callable[[int], Sequence[str]]


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a tool.

    Attributes:
        requests: as nginx counted them.
        wall_s: how long it took.
        cpu_s: how much of a processor it took.
        memory_mb: the most that it held.
    """

    requests: int
    wall_s: float
    cpu_s: float
    memory_mb: float


@dataclass(frozen=True, slots=True)
class Speed:
    """What a tool came to.

    Attributes:
        tool: its name.
        per_core: requests a second of a processor.
        per_second: requests a second of the clock.
        memory_mb: the most that it held.
    """

    tool: str
    per_core: float
    per_second: float
    memory_mb: float


@dataclass(frozen=True, slots=True)
class Punctuality:
    """How late the engine was.

    Attributes:
        loop: on which event loop.
        p50_ms: half of the requests left within it after they were due.
        p99_ms: 99 of 100 did.
        waiting: the share of the time that it was ready and had no processor.
    """

    loop: str
    p50_ms: float
    p99_ms: float
    waiting: float


def counted(origin: str) -> int:
    """How many requests nginx has answered, this one included."""
    with urlopen(f"{origin}/counted") as answer:  # noqa: S310 - our own server
        text = answer.read().decode()
    return int(text.split("\n")[2].split()[2])


@contextmanager
def nginx(processor: int) -> Iterator[str]:
    """The origin of a server that answers at once; it runs on that processor."""
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if program is None:
        raise HearthError("nginx: not installed; install nginx-light, or the package nginx")
    with tempfile.TemporaryDirectory(prefix="hearth-") as folder:
        port = free_port()
        settings = Path(folder) / "nginx.conf"
        settings.write_text(_NGINX.format(folder=folder, port=port))
        Path(folder).chmod(0o755)
        with on_processor(processor):
            process = subprocess.Popen([program, "-c", str(settings), "-e", f"{folder}/errors"])
        try:
            yield _answering(f"http://127.0.0.1:{port}", process)
        finally:
            process.terminate()
            process.wait()


def _answering(origin: str, process: subprocess.Popen[bytes]) -> str:
    while process.poll() is None:
        try:
            counted(origin)
        except OSError:
            time.sleep(0.05)
        else:
            return origin
    raise HearthError(f"nginx: ended with {process.returncode} as it started; see above")


@contextmanager
def on_processor(number: int) -> Iterator[None]:
    """Whatever is started in the block has that processor only."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {number})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def observe(tool: Tool, origin: str, seconds: int, processor: int) -> Run:
    """One run on that processor.

    Raises:
        HearthError: the tool failed, with its last words.
    """
    with tempfile.TemporaryFile() as said:
        before, began = counted(origin), time.perf_counter()
        with on_processor(processor):
            process = subprocess.Popen(list(tool.command(seconds)), stdout=said, stderr=said)
        usage, memory_mb = _watched(process, tool.name)
        took = time.perf_counter() - began
        requests = counted(origin) - before - 1
        said.seek(0)
        if process.returncode:
            last = said.read().decode(errors="replace")[-SHOWN_CHARACTERS:]
            raise HearthError(f"{tool.name}: ended with {process.returncode}:\n{last}")
    return Run(requests, took, usage.ru_utime + usage.ru_stime, memory_mb)


def _watched(process: subprocess.Popen[bytes], name: str) -> tuple[struct_rusage, float]:
    """What a program took until its end; the most memory that it was seen to hold, in MB.

    The kernel's own maximum would do, but begins with what this process holds.
    """
    memory_mb = 0.0
    deadline = time.monotonic() + RUN_SECONDS
    while time.monotonic() < deadline:
        found = _PEAK.search(Path(f"/proc/{process.pid}/status").read_text())
        memory_mb = int(found[1]) / 1024 if found else memory_mb
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        if pid:
            process.returncode = os.waitstatus_to_exitcode(status)
            return usage, memory_mb
        time.sleep(0.05)
    process.kill()
    process.wait()
    raise HearthError(f"{name}: took longer than {RUN_SECONDS} s")


def speed(tool: str, short: Run, long: Run) -> Speed:
    """What the longer run has beyond the shorter one: starting and ending is in both."""
    requests = long.requests - short.requests
    return Speed(
        tool=tool,
        per_core=requests / (long.cpu_s - short.cpu_s),
        per_second=requests / (long.wall_s - short.wall_s),
        memory_mb=long.memory_mb,
    )


def ours(origin: str) -> Tool:
    """The engine, with as many users as the others have."""
    command = [*SENDER, "users", f"{origin}/", str(CONNECTIONS)]
    return Tool(OURS, lambda seconds: [*command, str(seconds)])


def locust(origin: str, folder: Path) -> Tool:
    """With its fast client."""
    script = folder / "locustfile.py"
    script.write_text(_LOCUST)
    users = [f"--users={CONNECTIONS}", f"--spawn-rate={CONNECTIONS}", f"--host={origin}"]
    command = [str(Path(sys.executable).with_name("locust")), "--headless", "-f", str(script)]
    options = [*users, "--only-summary", "--skip-log"]
    return Tool(f"locust {version('locust')}", lambda s: [*command, *options, "-t", f"{s}s"])


def built(name: str) -> str | None:
    """The peer's program, built from its module; None where that fails, which is told."""
    module, wanted = GO[name]
    place = cache_dir() / "peers" / f"{name}-{wanted}"
    program = place / name
    if program.is_file():
        return str(program)
    own = {
        "GOBIN": str(place),
        "GOMODCACHE": str(cache_dir() / "go" / "mod"),
        "GOCACHE": str(cache_dir() / "go" / "build"),
        "GOFLAGS": "-modcacherw -buildvcs=false",
        "GOTOOLCHAIN": "local",
        "CGO_ENABLED": "0",
    }
    out.print(f"{name} {wanted}: building, {BUILD_SECONDS} s at most")
    command = [str(go_build.find_go(out.print)), "install", f"{module}@v{wanted}"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=os.environ | own, stderr=pipe, text=True) as go:
        try:
            _, said = go.communicate(timeout=BUILD_SECONDS)
        except subprocess.TimeoutExpired:
            go.send_signal(signal.SIGINT)  # with its compilers
            out.print(f"{name} is left out: its build took longer than {BUILD_SECONDS} s")
            return None
    if go.returncode:
        out.print(f"{name} is left out: its build failed: {said[-SHOWN_CHARACTERS:]}", markup=False)
        return None
    return str(program)


def peers(origin: str, folder: Path) -> list[Tool]:
    """Those that could be had."""
    tools = [locust(origin, folder)]
    if hey := built("hey"):
        command = [hey, "-c", str(CONNECTIONS), "-cpus", "1"]
        tools.append(Tool(f"hey {GO['hey'][1]}", lambda s: [*command, "-z", f"{s}s", f"{origin}/"]))
    if k6 := built("k6"):
        script = folder / "script.js"
        script.write_text(_K6)
        options = ["--quiet", "--no-usage-report", f"--env=URL={origin}/", f"--vus={CONNECTIONS}"]
        command_k6 = [k6, "run", *options]
        tools.append(Tool(f"k6 {GO['k6'][1]}", lambda s: [*command_k6, f"-d{s}s", str(script)]))
    return tools


def measure(tools: Sequence[Tool], origin: str, processor: int) -> list[Speed]:
    """The speed of each; one that fails is told and left out, unless it is ours."""
    found = []
    for tool in tools:
        try:
            short, long = (observe(tool, origin, s, processor) for s in (SHORT_S, LONG_S))
        except HearthError as error:
            if tool.name == OURS:
                raise
            out.print(f"{tool.name} is left out: {error}", markup=False)
        else:
            found.append(speed(tool.name, short, long))
    return found


def punctuality(origin: str, loop: str, processor: int) -> Punctuality:
    """How late requests leave that are due each millisecond."""
    command = [*SENDER, "punctual", f"{origin}/", loop]
    with on_processor(processor):
        said = subprocess.run(command, stdout=subprocess.PIPE, check=False, timeout=RUN_SECONDS)
    if said.returncode:
        raise HearthError(f"{' '.join(command)}: ended with {said.returncode}; see above")
    return Punctuality(loop, **json.loads(said.stdout))


def figures(speeds: Sequence[Speed], punctual: Sequence[Punctuality]) -> list[Figure]:
    """Ours beside each peer's."""
    mine = speeds[0]
    found = []
    for other in speeds[1:]:
        value, theirs = mine.per_core, other.per_core
        what = f"load: requests a second of one core, beside {other.tool.split()[0]}"
        found.append(Figure(what, round(value), "1/s", other.tool, round(value / theirs, 2)))
        held, theirs = mine.memory_mb, other.memory_mb
        what = f"load: memory, beside {other.tool.split()[0]}"
        found.append(Figure(what, round(held), "MB", other.tool, round(theirs / held, 2)))
    on_time, *others = punctual
    for percent in ("p50", "p99"):
        late = getattr(on_time, f"{percent}_ms")
        found.append(Figure(f"load: lateness at 1,000/s, {percent}", late, "ms", None, None))
        for loop in others:
            theirs = getattr(loop, f"{percent}_ms")
            what = f"load: lateness at 1,000/s, {percent}, beside {loop.loop}"
            found.append(Figure(what, late, "ms", loop.loop, round(theirs / late, 2)))
    return found


def missed(speeds: Sequence[Speed], punctual: Punctuality) -> list[str]:
    """The goals that are missed, a sentence each; a machine without a free core decides none."""
    sentences = []
    for other in speeds[1:]:
        ratio = speeds[0].per_core / other.per_core
        if other.tool.startswith("locust") and ratio < TIMES_AHEAD:
            sentences.append(
                f"requests a second of one core: {ratio:.1f} times as many as {other.tool}; it "
                f"has to be {TIMES_AHEAD:g} times at least"
            )
    if punctual.p99_ms >= LATE_MS and punctual.waiting <= WAITING:
        sentences.append(
            f"lateness at 1,000/s: {punctual.p99_ms:.2f} ms for 99 of 100; it has to be less than "
            f"{LATE_MS:g} ms"
        )
    return sentences


def show(speeds: Sequence[Speed], punctual: Sequence[Punctuality]) -> None:
    """A row a tool, a row an event loop, and how busy the machine was."""
    table = Table(box=None, pad_edge=False)
    table.add_column("load", no_wrap=True)
    for heading in ("1/s of one core", "1/s", "MB"):
        table.add_column(heading, justify="right", no_wrap=True)
    for each in speeds:
        cells = (each.per_core, each.per_second, each.memory_mb)
        table.add_row(each.tool, *(f"{value:,.0f}" for value in cells))
    out.print(table)
    table = Table(box=None, pad_edge=False)
    table.add_column("lateness at 1,000/s", no_wrap=True)
    for heading in ("p50, ms", "p99, ms", "without a processor"):
        table.add_column(heading, justify="right", no_wrap=True)
    for loop in punctual:
        row = (f"{loop.p50_ms:.2f}", f"{loop.p99_ms:.2f}", f"{loop.waiting:.1%}")
        table.add_row(f"event loop: {loop.loop}", *row)
    out.print(table)
    if punctual[0].waiting > WAITING:
        out.print("the machine is too busy to judge how punctual the engine is")
    busy = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    out.print(f"load average {busy}, {os.cpu_count()} processors")


def main() -> int:
    """Measures, shows, records; 1 where a goal is missed."""
    first, *rest = sorted(os.sched_getaffinity(0))
    second = rest[0] if rest else first
    try:
        with nginx(first) as origin, tempfile.TemporaryDirectory(prefix="hearth-") as folder:
            tools = [ours(origin), *peers(origin, Path(folder))]
            punctual = [punctuality(origin, loop, second) for loop in LOOPS]
            speeds = measure(tools, origin, second)
    except HearthError as error:
        out.print(str(error), markup=False)
        return 1
    show(speeds, punctual)
    record(figures(speeds, punctual))
    sentences = missed(speeds, punctual[0])
    for sentence in sentences:
        out.print(sentence)
    return 1 if sentences else 0


if __name__ == "__main__":
    sys.exit(main())
