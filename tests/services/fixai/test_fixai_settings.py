"""The settings file and the folder of secrets."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.fixai import settings
from services.fixai.settings import SettingsError


def loaded(folder: Path, text: str) -> settings.Settings:
    path = folder / "settings.json"
    path.write_text(text)
    return settings.load(path)


def test_an_empty_document_has_the_clusters_names(tmp_path: Path) -> None:
    told = loaded(tmp_path, "{}")
    assert told.kafka.servers == "kafka:9092"
    assert told.listen.port == 8000


def test_all_errors_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as error:
        loaded(tmp_path, '{"kafka": {"partitions": 0}, "nonsense": 1}')
    assert error.value.errors == (
        f"{tmp_path}/settings.json: kafka.partitions: is wrong (0); input should be greater than "
        "or equal to 1",
        f"{tmp_path}/settings.json: nonsense: is not a setting; remove it, or correct its name",
    )


def test_a_file_that_is_not_there_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="write it, or name another in FIXAI_SETTINGS"):
        settings.load(tmp_path / "none.json")


def test_a_secret_is_read_without_its_line_break(tmp_path: Path) -> None:
    (tmp_path / "redis").mkdir()
    (tmp_path / "redis" / "password").write_text("s3cret\n")
    assert settings.Secrets(folder=tmp_path).read("redis", "password") == "s3cret"


def test_a_secret_that_is_not_mounted_says_where_it_should_be(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="mount the key api-key of the secret llm there"):
        settings.Secrets(folder=tmp_path).read("llm", "api-key")
