"""What a lab leaves in place."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandbox.lab import remove_empty


def test_a_folder_goes_when_nothing_is_in_it(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "other/e2e").mkdir(parents=True)

    for folder in ("empty", "other", "absent"):
        remove_empty(tmp_path / folder)

    assert [entry.name for entry in tmp_path.iterdir()] == ["other"]


def test_an_empty_disk_stays_mounted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "is_mount", lambda _: True)

    remove_empty(tmp_path)

    assert tmp_path.is_dir()
