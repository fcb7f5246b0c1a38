"""A lab with everything that is watched, and the tools that read what is written for it."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from inventory.model import Site
from tests import generate
from tests.generate import Machine

EVERYWHERE: generate.Services = {"node-exporter": {}, "collector": {}}
PLAIN = Machine("data", EVERYWHERE)
AI = Machine("ai", {"ollama": {"models": ["llama3.2"]}, "assistant": {}, **EVERYWHERE})
DATA = Machine(
    "data",
    {
        "postgres": {},
        "postgres-exporter": {},
        "redis": {},
        "redis-exporter": {},
        "minio": {},
        **EVERYWHERE,
    },
)
WATCH = Machine(
    "data",
    {"prometheus": {}, "alertmanager": {}, "loki": {}, "grafana": {}, "backup": {}, **EVERYWHERE},
)
UTILITY = Machine("utility", {"drift-check": {}, **EVERYWHERE})
ENGINES = ("haproxy", "kong")


def lab(*more: Machine, engine: str = "haproxy") -> Site:
    """A gateway, two AI machines, one for data, one that watches, one for chores, and more."""
    behind = (AI, AI, DATA, WATCH, UTILITY, *more)
    document = generate.site(behind, engine=engine, gateway_services=EVERYWHERE)
    return Site.model_validate(document)


def unwatched() -> Site:
    """A lab without a Prometheus."""
    return Site.model_validate(generate.site([generate.AI, generate.DATA]))


def read(text: str) -> dict[str, Any]:
    """A YAML file, read back."""
    loaded = yaml.load(text, Loader=yaml.CSafeLoader)
    assert isinstance(loaded, dict)
    return loaded


def tool(name: str) -> str:
    """The path of a program that judges configuration, or a skip."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"no {name} on PATH to ask")
    return found


def accepted(command: Sequence[str], folder: Path) -> None:
    """Runs a program in a folder and asserts that it is content."""
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
