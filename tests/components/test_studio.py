"""SonarQube and JupyterHub: what they are told, and who is told of them."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from components.homelab.jupyterhub import jupyterhub_config
from components.homelab.sonarqube import accounts_script
from inventory.loading import load
from tests.components.recorder import Recording, opened, password_of, record_site


@pytest.fixture(scope="module")
def recording() -> Recording:
    return record_site(load("homelab"))


def files(recording: Recording, reference: str) -> dict[str, str]:
    """The settings of a service."""
    return {
        k: str(opened(v))
        for k, v in opened(recording.of_type("Files")[reference].inputs["files"]).items()
    }


def configured(text: str, password: Path) -> dict[str, Any]:
    """What a jupyterhub_config.py sets, by section and name."""
    sections: dict[str, SimpleNamespace] = {}

    class Config:
        def __getattr__(self, name: str) -> SimpleNamespace:
            return sections.setdefault(name, SimpleNamespace())

    text = text.replace("/settings/admin", str(password))
    exec(compile(text, "jupyterhub_config.py", "exec"), {"get_config": Config})  # noqa: S102 - ours
    return {f"{s}.{k}": v for s, found in sections.items() for k, v in vars(found).items()}


def test_the_assistant_beside_sonarqube_has_an_account_there_and_no_other_has(
    recording: Recording,
) -> None:
    told = {
        host: json.loads(files(recording, f"{host}.assistant")["assistant.json"])["analysis"]
        for host in ("agx0", "orin0", "nano")
    }
    assert told == {
        "agx0": {
            "url": "http://sonarqube:9000",
            "user": "assistant",
            "password": password_of("agx0-sonarqube-assistant"),
        },
        "orin0": None,
        "nano": None,
    }


def test_sonarqubes_heaps_are_half_of_its_memory(recording: Recording) -> None:
    container = recording.of_type("Container")["agx0.sonarqube"].inputs
    heaps = {line for line in container["envs"] if "JAVAOPTS" in line}
    assert container["memory"] == 3072
    assert heaps == {
        f"SONAR_{program}_JAVAOPTS=-Xms256m -Xmx512m" for program in ("SEARCH", "WEB", "CE")
    }


def test_the_script_gives_passwords_to_builtins_and_standard_input_alone() -> None:
    script = accounts_script("sonarqube", {"assistant": "the-password"})
    for line in script.splitlines():
        if "curl" in line or "docker" in line:
            assert "password" not in line
    assert 'printf \'data = "%s"' in script


def test_jupyterhub_admits_its_account_alone(tmp_path: Path) -> None:
    (tmp_path / "admin").write_text("the-password\n")
    told = configured(jupyterhub_config(8000, "ollama:11434"), tmp_path / "admin")
    assert told["Authenticator.allowed_users"] == {"admin"}
    assert told["SharedPasswordAuthenticator.admin_password"] == "the-password"  # noqa: S105 - made up
    assert "SharedPasswordAuthenticator.user_password" not in told
    assert "Authenticator.allow_all" not in told


@pytest.mark.parametrize(
    ("ollama", "environment"),
    [("ollama:11434", {"OLLAMA_HOST": "http://ollama:11434"}), (None, {})],
)
def test_notebooks_are_told_of_the_ollama_beside_them(
    tmp_path: Path, ollama: str | None, environment: dict[str, str]
) -> None:
    (tmp_path / "admin").write_text("the-password\n")
    told = configured(jupyterhub_config(8000, ollama), tmp_path / "admin")
    assert told["Spawner.environment"] == environment


def test_what_jupyterhub_keeps_lies_in_its_volumes(recording: Recording, tmp_path: Path) -> None:
    (tmp_path / "admin").write_text("the-password\n")
    config = files(recording, "agx0.jupyterhub")["jupyterhub_config.py"]
    told = configured(config, tmp_path / "admin")
    volumes = {
        volume["containerPath"]
        for volume in recording.of_type("Container")["agx0.jupyterhub"].inputs["volumes"]
    }
    assert volumes == {"/srv/jupyterhub", "/notebooks"}
    assert told["JupyterHub.cookie_secret_file"].startswith("/srv/jupyterhub/")
    assert told["JupyterHub.db_url"].startswith("sqlite:////srv/jupyterhub/")
    assert told["SimpleLocalProcessSpawner.home_dir_template"] == "/notebooks"
    assert ast.parse(config)
