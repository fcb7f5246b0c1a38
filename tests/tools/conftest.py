"""A cache, a PATH and a Python environment of the test's own, with fake programs on them."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING

import pytest

from tools import downloads

if TYPE_CHECKING:
    from pathlib import Path

FAKE_GO = """#!/bin/sh
echo "$@" >> {calls}
if [ "$1" = version ]; then echo "go version go{version} linux/amd64"; exit 0; fi
while [ "$1" != -o ]; do shift; done
echo "go: downloading example.com/one v1.0.0"
echo "example.com/one"
{action}
"""

FAKE_PROGRAM = """#!/bin/sh
echo "$@" >> {calls}
[ "$1" = version ] && echo v{version}
[ "$1" = -version ] && echo {version}
if [ "$1" = plugin ]; then
    mkdir -p "$PULUMI_HOME/plugins/resource-docker-v$5"
    cp "$0" "$PULUMI_HOME/plugins/resource-docker-v$5/pulumi-resource-docker"
fi
exit 0
"""


class Fakes:
    """Programs on the test's PATH that write down how they were called."""

    def __init__(self, folder: Path) -> None:
        self.bin = folder / "bin"
        self.bin.mkdir()
        for tool in ("cp", "env", "mkdir", "sleep", "touch"):
            (self.bin / tool).symlink_to(shutil.which(tool) or tool)
        self._log = folder / "calls"

    def program(self, name: str, version: str) -> Path:
        """Put a Pulumi program that answers with its version on PATH."""
        return self._write(name, FAKE_PROGRAM.format(calls=self._log, version=version))

    def go(self, *, version: str = "1.26.5", action: str | None = None) -> Path:
        """Put a Go on PATH; what it builds is the fake CLI, unless `action` is another one."""
        product = self._log.with_name("product")
        product.write_text(FAKE_PROGRAM.format(calls=self._log, version="3.232.0"))
        product.chmod(0o755)
        action = action or f'cp {product} "$2"'
        text = FAKE_GO.format(calls=self._log, version=version, action=action)
        return self._write("go", text)

    def calls(self) -> list[str]:
        """How fake programs were called so far."""
        return self._log.read_text().splitlines() if self._log.exists() else []

    def _write(self, name: str, text: str) -> Path:
        path = self.bin / name
        path.write_text(text)
        path.chmod(0o755)
        return path


@pytest.fixture
def fakes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fakes:
    """A computer with nothing on it, out of reach of the vendor's site."""
    fakes = Fakes(tmp_path)
    venv = tmp_path / "venv"
    (venv / "bin").mkdir(parents=True)
    monkeypatch.setattr(sys, "prefix", str(venv))
    monkeypatch.setenv("HEARTH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(fakes.bin))
    monkeypatch.delenv("HEARTH_TOOLCHAIN", raising=False)
    monkeypatch.setattr(downloads, "RELEASES", (tmp_path / "releases").as_uri())
    return fakes
