"""A layer's name follows its definition."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from sandbox import rootfs
from sandbox.rootfs import File, Layer

if TYPE_CHECKING:
    from pathlib import Path

LAYER = Layer("web", packages=("nginx",), files=(File("etc/a", "1"),), script="true")


@pytest.mark.parametrize(
    "change",
    [
        {"packages": ("nginx", "curl")},
        {"files": (File("etc/a", "2"),)},
        {"files": (File("etc/a", "1", 0o600),)},
        {"script": "false"},
        {"offline": True},
    ],
)
def test_a_changed_definition_is_another_layer(change: dict[str, object]) -> None:
    assert replace(LAYER, **change).key != LAYER.key  # type: ignore[arg-type]


def test_a_changed_layer_changes_what_lies_above() -> None:
    above = replace(LAYER, name="site", below=LAYER)
    changed = replace(above, below=replace(LAYER, script="false"))

    assert len({replace(above, below=None).key, above.key, changed.key}) == 3


def test_a_changed_base_changes_what_lies_above(monkeypatch: pytest.MonkeyPatch) -> None:
    before = LAYER.key

    monkeypatch.setattr(rootfs, "BASE_PACKAGES", ("ca-certificates",))

    assert LAYER.key != before


def test_a_copied_file_counts_by_its_content_wherever_it_lies(tmp_path: Path) -> None:
    here = replace(LAYER, copies=(("bin/a", tmp_path / "a", "digest"),))
    there = replace(LAYER, copies=(("bin/a", tmp_path / "b", "digest"),))
    changed = replace(LAYER, copies=(("bin/a", tmp_path / "a", "other"),))

    assert here.key == there.key != changed.key


def test_each_login_user_has_a_machine_layer() -> None:
    assert rootfs.machine_layer("debian").key != rootfs.machine_layer("ubuntu").key


def test_a_killed_build_is_swept_and_a_whole_layer_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEARTH_CACHE", str(tmp_path))
    (rootfs.layers_dir() / ".building-x/root").mkdir(parents=True)
    rootfs.tree(LAYER).mkdir(parents=True)

    rootfs.sweep()

    assert [entry.name for entry in rootfs.layers_dir().iterdir()] == [rootfs.place(LAYER).name]
    assert rootfs.built(LAYER)


def test_a_machine_stands_on_its_layer_the_base_and_the_package_lists() -> None:
    folders = rootfs.stack(LAYER).split(":")

    assert folders == [
        str(rootfs.tree(LAYER)),
        str(rootfs.tree(rootfs.BASE)),
        str(rootfs.place(rootfs.BASE) / "lists"),
    ]


def test_a_layer_stands_on_those_below_it_in_order() -> None:
    above = replace(LAYER, name="site", below=LAYER)

    assert rootfs.stack(above) == f"{rootfs.tree(above)}:{rootfs.stack(LAYER)}"
