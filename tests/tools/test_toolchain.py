"""The three ways to a part, the cache, the links."""

from __future__ import annotations

import json
import os
import shutil
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from inventory.errors import HearthError
from inventory.paths import cache_dir
from tools import __main__ as command
from tools import downloads, go_build, toolchain, versions
from tools.lock import exclusive
from tools.programs import PROGRAMS

if TYPE_CHECKING:
    from tests.tools.conftest import Fakes

DOCKER = "5.2.0"


def _silent(_line: str) -> None:
    pass


@pytest.fixture(autouse=True)
def unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    """The vendor's site is out of reach."""

    def refuse(*_: object) -> None:
        raise downloads.NotAvailableError("the vendor could not be reached (refused)")

    monkeypatch.setattr(downloads, "need_reachable", refuse)
    monkeypatch.setattr(downloads, "cli_release", refuse)


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the Go modules that a test may change."""
    copy = tmp_path / "modules"
    shutil.copytree(go_build.MODULES, copy)
    monkeypatch.setattr(go_build, "MODULES", copy)
    return copy


def test_what_is_on_path_is_used_and_left_where_it_is(fakes: Fakes) -> None:
    cli = fakes.program("pulumi", "3.240.0")
    host = fakes.program("pulumi-language-python", "")
    plugin = fakes.program("pulumi-resource-docker", DOCKER)
    made = toolchain.ensure(_silent)
    assert [part.path for part in made.parts] == [cli, host, plugin]
    assert [part.way for part in made.parts] == ["path"] * 3
    assert made.parts[0].version == "3.240.0"
    assert list(made.bin_dir.iterdir()) == []


def test_out_of_reach_everything_is_built_and_the_reason_is_told(fakes: Fakes) -> None:
    fakes.go()
    lines: list[str] = []
    made = toolchain.ensure(lines.append)
    assert [part.way for part in made.parts] == ["build"] * 3
    assert lines[-3:] == [
        "pulumi CLI 3.232.0: built from the Go module proxy, because no pulumi is on PATH "
        "and the vendor could not be reached (refused)",
        "python language host 3.232.0: part of Hearth, because no pulumi is on PATH "
        "and the vendor could not be reached (refused)",
        f"docker plugin {DOCKER}: built from the Go module proxy, because "
        "no pulumi-resource-docker is on PATH and the vendor could not be reached (refused)",
    ]
    installed = toolchain.pulumi_home() / "plugins" / f"resource-docker-v{DOCKER}"
    assert made.parts[2].path == installed / "pulumi-resource-docker"


def test_an_unsuitable_cli_is_passed_over_with_its_version(fakes: Fakes) -> None:
    fakes.go()
    old = fakes.program("pulumi", "3.100.0")
    cli = toolchain.ensure(_silent).parts[0]
    assert cli.way == "build"
    assert cli.why.startswith(f"{old} is 3.100.0, not >=3.232.0 and <4.0.0 and ")


def test_a_reachable_vendor_is_asked_before_anything_is_built(
    fakes: Fakes, monkeypatch: pytest.MonkeyPatch
) -> None:
    fakes.program("product", "3.232.0")

    def release(_version: str, into: Path, _progress: object) -> None:
        into.mkdir(parents=True)
        for name in ("pulumi", "pulumi-language-python", "pulumi-language-python-exec"):
            shutil.copy(fakes.bin / "product", into / name)

    monkeypatch.setattr(downloads, "cli_release", release)
    monkeypatch.setattr(downloads, "need_reachable", lambda: None)
    made = toolchain.ensure(_silent)
    assert [part.way for part in made.parts] == ["download"] * 3
    assert sorted(entry.name for entry in made.bin_dir.iterdir()) == [
        "pulumi",
        "pulumi-language-python",
        "pulumi-language-python-exec",
    ]
    assert f"plugin install resource docker {DOCKER}" in fakes.calls()


def test_the_second_run_starts_no_program(fakes: Fakes) -> None:
    fakes.go()
    first = toolchain.ensure(_silent)
    calls = fakes.calls()
    assert toolchain.ensure(_silent) == first
    assert fakes.calls() == calls


def test_the_second_run_starts_no_program_for_what_is_on_path(fakes: Fakes) -> None:
    for name in ("pulumi", "pulumi-language-python", "pulumi-resource-docker"):
        fakes.program(name, "5.2.0" if name.endswith("docker") else "3.240.0")
    first = toolchain.ensure(_silent)
    calls = fakes.calls()
    assert toolchain.ensure(_silent) == first
    assert fakes.calls() == calls


def test_our_own_links_on_path_are_not_taken_for_an_installed_cli(
    fakes: Fakes, monkeypatch: pytest.MonkeyPatch
) -> None:
    fakes.go()
    first = toolchain.ensure(_silent)
    monkeypatch.setenv("PATH", f"{sys.prefix}/bin{os.pathsep}{fakes.bin}")
    (first.parts[0].path.parent / "part.json").unlink()
    assert toolchain.ensure(_silent).parts[0].way == "build"


def test_a_cli_on_path_that_changed_is_looked_at_again(fakes: Fakes) -> None:
    fakes.go()
    fakes.program("pulumi", "3.240.0")
    assert toolchain.ensure(_silent).parts[0].version == "3.240.0"
    fakes.program("pulumi", "3.240.10")
    assert toolchain.ensure(_silent).parts[0].version == "3.240.10"


@pytest.mark.parametrize("text", ["", "{", "{}", '{"path": "/nowhere"}'])
def test_a_part_without_a_whole_manifest_is_made_again(fakes: Fakes, text: str) -> None:
    fakes.go()
    first = toolchain.ensure(_silent)
    manifest = first.parts[0].path.parent / "part.json"
    manifest.write_text(text)
    builds = len(_builds(fakes))
    assert toolchain.ensure(_silent).parts[0].version == "3.232.0"
    assert json.loads(manifest.read_text())["way"] == "build"
    assert len(_builds(fakes)) == builds + 1


def test_a_cache_that_was_copied_elsewhere_does_not_point_back(
    fakes: Fakes, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fakes.go()
    toolchain.ensure(_silent)
    copy = tmp_path / "copy"
    shutil.copytree(cache_dir(), copy)
    monkeypatch.setenv("HEARTH_CACHE", str(copy))
    assert toolchain.ensure(_silent).parts[0].path.is_relative_to(copy)


def test_a_program_that_was_deleted_is_made_again(fakes: Fakes) -> None:
    fakes.go()
    plugin = toolchain.ensure(_silent).parts[2]
    plugin.path.unlink()
    toolchain.ensure(_silent)
    assert plugin.path.is_file()


@pytest.mark.parametrize(("module", "file"), [("pulumi", "go.mod"), ("docker", "main.go")])
def test_a_changed_module_is_built_again_and_the_others_are_not(
    fakes: Fakes, modules: Path, module: str, file: str
) -> None:
    fakes.go()
    toolchain.ensure(_silent)
    builds = len(_builds(fakes))
    with (modules / module / file).open("a") as text:
        text.write("// changed\n")
    toolchain.ensure(_silent)
    assert len(_builds(fakes)) == builds + 1


def test_a_failed_part_keeps_the_ones_before_it(fakes: Fakes) -> None:
    fakes.go()
    toolchain.ensure(_silent)
    plugin = toolchain.pulumi_home() / "plugins"
    shutil.rmtree(plugin)
    fakes.go(action='echo "no space left on device"; exit 1')
    with pytest.raises(HearthError, match="no space left on device"):
        toolchain.ensure(_silent)
    builds = len(_builds(fakes))
    fakes.go()
    assert toolchain.ensure(_silent).parts[0].way == "build"
    assert len(_builds(fakes)) == builds + 1


def test_what_an_interrupted_run_left_is_removed(fakes: Fakes) -> None:
    fakes.go()
    leftover = toolchain.bin_dir().parent / ".building-x"
    leftover.mkdir(parents=True)
    toolchain.ensure(_silent)
    assert not leftover.exists()


def test_two_runs_at_once_build_once(fakes: Fakes) -> None:
    fakes.go()
    lines: list[str] = []
    waiting = threading.Event()

    def tell(line: str) -> None:
        lines.append(line)
        waiting.set()

    second = threading.Thread(target=toolchain.ensure, args=(tell,))
    lock = toolchain.bin_dir().parent.parent / "hearth-toolchain"
    with exclusive(lock, when_waiting=lambda: None):
        second.start()
        assert waiting.wait(5)
    second.join(10)
    toolchain.ensure(_silent)
    assert lines[0] == "waiting for another setup"
    assert len(_builds(fakes)) == 2


@pytest.mark.parametrize("way", ["path", "download"])
def test_a_way_that_is_asked_for_is_the_only_one(
    fakes: Fakes, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    fakes.go()
    monkeypatch.setenv("HEARTH_TOOLCHAIN", way)
    with pytest.raises(HearthError, match=r"pulumi CLI: .*; unset HEARTH_TOOLCHAIN"):
        toolchain.ensure(_silent)
    assert _builds(fakes) == []


def test_building_can_be_asked_for_where_path_has_everything(
    fakes: Fakes, monkeypatch: pytest.MonkeyPatch
) -> None:
    fakes.go()
    fakes.program("pulumi", "3.240.0")
    toolchain.ensure(_silent)
    monkeypatch.setenv("HEARTH_TOOLCHAIN", "build")
    cli = toolchain.ensure(_silent).parts[0]
    assert (cli.way, cli.why) == ("build", "HEARTH_TOOLCHAIN=build asks for it")


def test_an_unknown_way_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEARTH_TOOLCHAIN", "magic")
    with pytest.raises(HearthError) as caught:
        toolchain.ensure(_silent)
    assert str(caught.value) == (
        "HEARTH_TOOLCHAIN: there is no such way (magic); "
        "set it to path, download or build, or unset it"
    )


def test_the_environment_gets_links_and_keeps_its_own_files(fakes: Fakes) -> None:
    fakes.go()
    own = Path(sys.prefix, "bin", "pulumi")
    own.write_text("someone else's")
    made = toolchain.ensure(_silent)
    assert own.read_text() == "someone else's"
    host = Path(sys.prefix, "bin", "pulumi-language-python")
    assert host.readlink() == made.bin_dir / "pulumi-language-python"


def test_the_built_cli_lies_beside_its_language_host(fakes: Fakes) -> None:
    fakes.go()
    made = toolchain.ensure(_silent)
    link = Path(sys.prefix, "bin", "pulumi")
    assert link.resolve().parent == made.bin_dir
    assert link.samefile(made.parts[0].path)


def test_links_of_an_older_version_are_replaced(fakes: Fakes, modules: Path) -> None:
    fakes.go()
    toolchain.ensure(_silent)
    (modules / "pulumi" / "go.mod").write_text("module newer\n")
    made = toolchain.ensure(_silent)
    assert Path(sys.prefix, "bin", "pulumi").samefile(made.parts[0].path)


def test_a_language_host_runs_this_interpreter(fakes: Fakes) -> None:
    fakes.go()
    host = toolchain.ensure(_silent).parts[1]
    assert sys.executable in host.path.read_text()
    assert os.access(host.path, os.X_OK)


@pytest.mark.usefixtures("fakes")
def test_the_environment_puts_our_programs_first_once(monkeypatch: pytest.MonkeyPatch) -> None:
    first = toolchain.environment()
    monkeypatch.setenv("PATH", first["PATH"])
    assert toolchain.environment() == first
    assert first["PATH"].split(os.pathsep)[0] == str(toolchain.bin_dir())
    assert first["PULUMI_HOME"] == str(toolchain.pulumi_home())
    assert first["PULUMI_SKIP_UPDATE_CHECK"] == "true"


def test_an_images_program_is_built_once(fakes: Fakes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "sleep")
    fakes.go()
    made = toolchain.ensure_programs(["ollama"], _silent)
    assert made["ollama"].name == "ollama"
    assert toolchain.ensure_programs(["ollama"], _silent) == made
    assert len(_builds(fakes)) == 1


def test_only_the_programs_that_are_named_and_missing_are_built(fakes: Fakes) -> None:
    fakes.go()
    toolchain.ensure_programs(["loki"], _silent)
    made = toolchain.ensure_programs(["loki", "collector"], _silent)
    assert [path.name for path in made.values()] == ["loki", "collector"]
    assert [build.rsplit(maxsplit=1)[-1] for build in _builds(fakes)] == [
        "github.com/grafana/loki/v3/cmd/loki",
        "hearth.invalid/tools/collector",
    ]


def test_programs_that_are_built_together_share_gos_caches(fakes: Fakes) -> None:
    fakes.go()
    lines: list[str] = []
    fakes.go(action='mkdir -p "$GOMODCACHE" && touch "$2"')
    toolchain.ensure_programs(["minio", "mc", "loki"], lines.append)
    assert len(_builds(fakes)) == 3
    assert [line for line in lines if "deleting" in line] == [
        "go: deleting its module and build caches"
    ]


def test_two_programs_of_one_module_have_a_folder_each(fakes: Fakes) -> None:
    fakes.go()
    made = toolchain.ensure_programs(["minio", "mc"], _silent)
    assert made["minio"].parent != made["mc"].parent


def test_a_program_that_cannot_be_built_leaves_the_ones_before_it(fakes: Fakes) -> None:
    fakes.go(action='case "$2" in */mc) echo "no space left"; exit 1;; esac; touch "$2"')
    with pytest.raises(HearthError, match=r"^mc: go build failed .*no space left"):
        toolchain.ensure_programs(["minio", "mc"], _silent)
    fakes.go()
    builds = len(_builds(fakes))
    toolchain.ensure_programs(["minio", "mc"], _silent)
    assert len(_builds(fakes)) == builds + 1


@pytest.mark.parametrize("name", sorted(PROGRAMS))
def test_a_program_is_stripped(fakes: Fakes, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("CXX", "sleep")
    fakes.go()
    toolchain.ensure_programs([name], _silent)
    (build,) = _builds(fakes)
    assert "-ldflags -s -w " in build


def test_minio_is_told_the_time_and_the_commit_that_it_is_built_from(fakes: Fakes) -> None:
    fakes.go()
    toolchain.ensure_programs(["minio"], _silent)
    (build,) = _builds(fakes)
    assert "minio/cmd.Version=2026-02-12T20:18:48Z " in build
    assert "minio/cmd.ReleaseTag=DEVELOPMENT.2026-02-12T20-18-48Z " in build
    assert "minio/cmd.CommitID=7aac2a2c5b7c " in build


def test_the_command_ends_with_one_line_of_error(
    fakes: Fakes, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fakes.go(action='echo "no space left on device"; exit 1')
    monkeypatch.setattr(sys, "argv", ["tools"])
    assert command.main() == 1
    error = capsys.readouterr().err
    assert error.startswith("error: pulumi: go build failed (exit code 1: no space left")
    assert error.count("\n") == 1


def test_the_command_tells_where_the_programs_are(
    fakes: Fakes, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fakes.go()
    monkeypatch.setattr(sys, "argv", ["tools"])
    assert command.main() == 0
    assert capsys.readouterr().out.endswith(f"ready: {toolchain.bin_dir()}\n")


def _builds(fakes: Fakes) -> list[str]:
    return [call for call in fakes.calls() if call.startswith("build ")]


def _with_docker(fakes: Fakes) -> None:
    fakes.program("pulumi", "3.240.0")
    fakes.program("pulumi-language-python", "")
    fakes.program("pulumi-resource-docker", DOCKER)


def test_the_kubernetes_plugin_is_hearths_own_where_no_other_is_to_be_had(fakes: Fakes) -> None:
    _with_docker(fakes)
    plugin = toolchain.ensure(_silent, docker=False, kubernetes=True).parts[2]
    assert str(plugin) == (
        f"kubernetes plugin {versions.kubernetes_plugin()}: part of Hearth, because no "
        "pulumi-resource-kubernetes is on PATH and the vendor could not be reached (refused)"
    )
    link = toolchain.bin_dir() / "pulumi-resource-kubernetes"
    assert "tools.kubernetes_plugin" in link.read_text()
    toolchain.ensure(_silent)
    assert link.exists(), "another stack's toolchain took it away"


def test_an_official_kubernetes_plugin_on_path_takes_its_place(
    fakes: Fakes, tmp_path: Path
) -> None:
    _with_docker(fakes)
    ours = toolchain.ensure(_silent, docker=False, kubernetes=True).parts[2]
    there = fakes.bin / "pulumi-resource-kubernetes"
    shutil.copy(ours.path, there)
    shutil.rmtree(tmp_path / "cache")
    found = toolchain.ensure(_silent, docker=False, kubernetes=True)
    assert found.parts[2].path == there
    assert found.parts[2].version == versions.kubernetes_plugin()
    assert not (found.bin_dir / there.name).exists()


def test_a_kubernetes_plugin_that_does_not_answer_is_passed_over(fakes: Fakes) -> None:
    _with_docker(fakes)
    there = fakes.program("pulumi-resource-kubernetes", "")
    plugin = toolchain.ensure(_silent, docker=False, kubernetes=True).parts[2]
    assert plugin.way == "build"
    assert plugin.why.startswith(f"{there} is of no known version")
