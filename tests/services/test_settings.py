"""The settings file: what it says when it is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from services.assistant.settings import SettingsError, load

GOOD = {
    "name": "agx0.assistant",
    "listen": {"host": "0.0.0.0", "port": 8200},  # noqa: S104
    "ollama": {"url": "http://127.0.0.1:11434/"},
    "models": {"chat": "llama3.2", "code": "codellama:34b"},
    "database": {"host": "pi52", "port": 5432, "name": "a", "user": "a", "password": "hidden-1"},
    "redis": {"host": "pi52", "port": 6379, "password": "hidden-2"},
    "objects": {
        "endpoint": "http://pi52:9000",
        "access_key": "hidden-3",
        "secret_key": "hidden-4",
        "bucket": "images",
        "region": "us-east-1",
    },
    "images": {"url": "http://127.0.0.1:8188"},
    "analysis": {"url": "http://agx0:9000", "user": "assistant", "password": "hidden-5"},
    "spool": "/var/lib/assistant",
}


def _errors(path: Path, text: str) -> list[str]:
    path.write_text(text)
    with pytest.raises(SettingsError) as raised:
        load(path)
    return [line.removeprefix(f"{path}") for line in str(raised.value).splitlines()]


def test_a_whole_file_is_read_and_shows_no_secret(tmp_path: Path) -> None:
    path = tmp_path / "assistant.json"
    path.write_text(json.dumps(GOOD))
    settings = load(path)
    assert settings.ollama.url == "http://127.0.0.1:11434"
    assert settings.database is not None
    assert settings.database.password.get_secret_value() == "hidden-1"
    assert "hidden" not in repr(settings) + str(settings) + settings.model_dump_json()


def test_all_errors_are_told_at_once_without_secrets(tmp_path: Path) -> None:
    wrong = json.loads(json.dumps(GOOD))
    wrong["listen"]["port"] = 82000
    wrong["ollama"]["url"] = "127.0.0.1"
    wrong["models"]["chta"] = "x"
    wrong["database"]["password"] = 12345678
    del wrong["database"]["user"]
    del wrong["redis"]
    assert _errors(tmp_path / "a.json", json.dumps(wrong)) == [
        ": listen.port: is wrong (82000); input should be less than or equal to 65535",
        ': ollama.url: is wrong ("127.0.0.1"); input should be a valid URL, '
        "relative URL without a base",
        ": models.chta: is not a setting; remove it, or correct its name",
        ": database.user: is missing; add it",
        ": database.password: is wrong; input should be a valid string",
        ": redis: is missing; add it (null where the part is not used)",
    ]


def test_a_file_that_is_not_json_is_told_with_its_line(tmp_path: Path) -> None:
    assert _errors(tmp_path / "a.json", '{\n  "name": "x"\n  "spool": 1}') == [
        ":3: is not JSON (Expecting ',' delimiter, column 3); mend the line"
    ]


def test_a_missing_file_is_told_with_the_variable_that_names_another(tmp_path: Path) -> None:
    with pytest.raises(
        SettingsError, match=r"cannot be read .* or name another in ASSISTANT_CONFIG"
    ):
        load(tmp_path / "absent.json")
