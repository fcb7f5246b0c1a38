"""Which models are missing is known, each machine fetches its own, faults are told together."""

from __future__ import annotations

from pathlib import Path

import pytest

from hearth import models
from hearth.models import MISSING, PRESENT, UNKNOWN, ModelStatus, look, pull
from inventory.errors import HearthError
from inventory.loading import load

FAKE_SSH = """#!/bin/sh
echo "$*" >>{folder}/asked
case "$*" in
*" nano docker exec ollama ollama list") exit 1 ;;
*" agx0 docker exec ollama ollama list")
    echo 'NAME                   ID              SIZE      MODIFIED'
    echo 'llama3.2:latest        a80c4f17acd5    2.0 GB    2 days ago'
    echo 'codellama:34b          685be00e1532    19 GB     2 days ago' ;;
*"ollama list") echo 'NAME    ID    SIZE    MODIFIED' ;;
*"ollama pull phi3:mini")
    printf '\\033[?25l\\033[1Gpulling manifest |\\033[K\\033[1Gpulling'
    printf ' manifest /\\033[K\\033[?25h\\n'
    echo 'Error: no route to host' >&2; exit 1 ;;
*"ollama pull "*)
    printf 'pulling manifest\\033[K\\n'
    printf '\\033[?25lpulling dde5aa3fc5ff:   3%% ||  61 MB/2.0 GB\\r'
    printf 'pulling dde5aa3fc5ff:   3%% ||  62 MB/2.0 GB\\r'
    printf 'pulling dde5aa3fc5ff: 100%% ||  2.0 GB\\nsuccess\\n' ;;
esac
"""


@pytest.fixture(autouse=True)
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The commands that ssh was called with, once it was."""
    (tmp_path / "ssh").write_text(FAKE_SSH.replace("{folder}", str(tmp_path)))
    (tmp_path / "ssh").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(models, "write_ssh_config", lambda _: tmp_path / "ssh_config")
    return tmp_path / "asked"


def test_each_model_is_present_missing_or_unknown_in_the_order_of_use() -> None:
    found = [(m.service, m.model, m.state) for m in look(load("homelab"))]
    assert found == [
        ("agx0.ollama", "llama3.2", PRESENT),
        ("agx0.ollama", "codellama:34b", PRESENT),
        ("agx0.ollama", "gpt-oss", MISSING),
        ("agx0.ollama", "mistral-small", MISSING),
        ("agx0.ollama", "codellama:7b", MISSING),
        ("orin0.ollama", "llama3.2", MISSING),
        ("orin0.ollama", "phi3:mini", MISSING),
        ("orin0.ollama", "llama3.2:1b", MISSING),
        ("nano.ollama", "qwen2.5:0.5b", UNKNOWN),
    ]


def missing(service: str, *names: str) -> list[ModelStatus]:
    """Models to fetch."""
    return [ModelStatus(service, name, 1, MISSING) for name in names]


def test_a_fetch_tells_each_per_cent_once(asked: Path) -> None:
    heard: list[str] = []
    wanted = missing("agx0.ollama", "gpt-oss", "mistral-small")
    assert pull(load("homelab"), wanted, heard.append) == wanted
    assert heard == [
        f"agx0: {model} {percent} %"
        for model in ("gpt-oss", "mistral-small")
        for percent in (3, 100)
    ]
    pulls = [line.rpartition(" ")[2] for line in asked.read_text().splitlines()]
    assert pulls == ["gpt-oss", "mistral-small"]


def test_a_model_that_cannot_be_fetched_does_not_stop_the_others(asked: Path) -> None:
    wanted = [*missing("orin0.ollama", "phi3:mini", "llama3.2:1b"), *missing("agx0.ollama", "x")]
    with pytest.raises(HearthError) as raised:
        pull(load("homelab"), wanted, lambda _: None)
    assert str(raised.value).splitlines() == [
        "models of homelab: 1 could not be fetched",
        "    orin0.ollama  phi3:mini: Error: no route to host",
        "look at the machines' way to the internet, then run `hearth models homelab --pull`: "
        "it continues",
    ]
    assert len(asked.read_text().splitlines()) == 3
