"""The command that starts a role."""

from __future__ import annotations

import importlib
import json
import logging
import sys
from pathlib import Path

import pytest

from services.fixai import __main__
from services.fixai.settings import ENVIRONMENT
from services.lines import Lines


def test_help_names_every_role(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        __main__.main(["--help"])
    assert ended.value.code == 0
    told = capsys.readouterr().out
    assert all(f"  {role} " in told for role in __main__.ROLES)


def test_wrong_settings_end_it_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(ENVIRONMENT, str(tmp_path / "none.json"))
    assert __main__.main(["migrate"]) == 2
    assert "cannot be read" in capsys.readouterr().err


@pytest.mark.parametrize("role", ["backend", "outbox", "migrate"])
def test_a_role_is_a_module_with_a_role(role: str) -> None:
    module, _ = __main__.ROLES[role]
    assert callable(importlib.import_module(module).role)


def test_a_log_line_is_json_and_tells_no_words_of_an_error() -> None:
    try:
        int("words of a citizen")
    except ValueError:
        record = logging.LogRecord("x", logging.ERROR, __file__, 1, "failed", None, sys.exc_info())
    record.event = "e1"
    line = json.loads(Lines(["event"]).format(record))
    assert (line["message"], line["error"], line["event"]) == ("failed", "ValueError", "e1")
    assert "citizen" not in json.dumps(line)
    assert line["at"].startswith("test_main.py:")
