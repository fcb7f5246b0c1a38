"""Removing stops at a mount; locks survive the removal of their file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from inventory.errors import HearthError
from sandbox import files

if TYPE_CHECKING:
    from pathlib import Path


def mountinfo(folder: Path, *points: str) -> Path:
    table = folder / "mountinfo"
    lines = (f"36 35 98:0 / {point} rw - ext4 /dev/a rw\n" for point in ("/", *points))
    table.write_text("".join(lines))
    return table


def disk(folder: Path) -> Path:
    (folder / "disks/pi51/root").mkdir(parents=True)
    (folder / "disks/pi51/file").write_text("kept")
    return folder / "disks"


def test_a_tree_without_mounts_is_removed(tmp_path: Path) -> None:
    disks = disk(tmp_path)

    files.remove_tree(disks, mountinfo(tmp_path, f"{tmp_path}/disks-of-another"))

    assert not disks.exists()


@pytest.mark.parametrize("point", ["", "/pi51/root"])
def test_a_tree_with_a_mount_is_left_whole(tmp_path: Path, point: str) -> None:
    disks = disk(tmp_path)

    with pytest.raises(HearthError, match=r"not removed, there are mounts in it .*unmount them"):
        files.remove_tree(disks, mountinfo(tmp_path, f"{disks}{point}"))

    assert (disks / "pi51/file").read_text() == "kept"


def test_a_mount_point_with_a_space_is_recognised(tmp_path: Path) -> None:
    (tmp_path / "my disks").mkdir()

    found = files.mounts_beneath(
        tmp_path / "my disks", mountinfo(tmp_path, f"{tmp_path}/my\\040disks/a")
    )

    assert found == [tmp_path / "my disks/a"]


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    disks = disk(tmp_path)
    (tmp_path / "link").symlink_to(disks)

    with pytest.raises(HearthError, match="a link where a folder belongs"):
        files.remove_tree(tmp_path / "link")

    assert disks.exists()


def test_removing_what_is_not_there_is_fine(tmp_path: Path) -> None:
    files.remove_tree(tmp_path / "absent")


def test_a_lock_can_be_taken_again_after_its_holder_removed_it(tmp_path: Path) -> None:
    lock = tmp_path / "run/lab.lock"
    with files.locked(lock):
        lock.unlink()

    with files.locked(lock):
        assert lock.exists()
