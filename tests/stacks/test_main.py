"""A stack's name says what it is of; what it does not need is not imported."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from inventory.cloud.loading import environments, is_environment
from inventory.loading import SITES
from inventory.paths import PROJECT

PROGRAM = """
import sys, types
import pulumi
stack, settings, other = sys.argv[1], dict(a.split("=") for a in sys.argv[3:]), sys.argv[2]
pulumi.get_stack = lambda: stack
pulumi.Config = lambda: types.SimpleNamespace(get=settings.get, require_secret=lambda key: key)
import stacks
for name in ("homelab", "production", "fixai"):
    stub = types.ModuleType(f"stacks.{name}")
    stub.declare = lambda what, *_, name=name: print(name, what.name)
    stub.secrets_from = lambda *_: None
    stub.CACHE_PASSWORD = "cachePassword"
    sys.modules[stub.__name__] = stub
    setattr(stacks, name, stub)
import stacks.__main__
print(other in sys.modules)
"""


def declared(stack: str, unwanted: str, *settings: str) -> list[str]:
    command = [sys.executable, "-c", PROGRAM, stack, unwanted, *settings]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


@pytest.mark.parametrize("name", environments())
def test_an_environments_name_is_a_stack_on_aws(name: str) -> None:
    assert declared(name, "pulumi_docker") == [f"production {name}", "False"]


def test_a_sites_name_is_a_stack_of_machines() -> None:
    assert declared("homelab", "pulumi_aws") == ["homelab homelab", "False"]


def test_a_site_with_fixai_is_a_stack_of_kubernetes_alone() -> None:
    assert declared("fixai", "pulumi_docker") == ["fixai fixai", "False"]


def test_a_stack_of_another_name_says_which_file(tmp_path: Path) -> None:
    file = tmp_path / "trial.yaml"
    file.write_text("extends: dev\nname: trial\n")
    assert declared("trial", "x", f"environment={file}")[0] == "production trial"


def test_no_site_has_the_name_of_an_environment() -> None:
    assert not {path.stem for path in SITES.glob("*.yaml")} & set(environments())


def test_files_are_told_apart_by_what_is_in_them(tmp_path: Path) -> None:
    derived = tmp_path / "mine.yaml"
    derived.write_text("extends: dev\nname: mine\n")
    assert is_environment(str(derived))
    assert is_environment(str(PROJECT / "inventory" / "environments" / "production.yaml"))
    assert is_environment("production")
    assert not is_environment(str(SITES / "homelab.yaml"))
    assert not is_environment(str(SITES / "sandbox.yaml"))
    assert not is_environment("homelab")
    assert not is_environment("none.yaml")
