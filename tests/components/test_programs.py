"""Hearth's own programs: built by real machines, pulled in a sandbox."""

from __future__ import annotations

from pathlib import Path

import pytest

from components.homelab import programs
from inventory.loading import load
from tests.components.recorder import record_site


def test_a_real_machine_builds_the_programs_of_this_checkout() -> None:
    images = record_site(load("homelab")).of_type("RemoteImage")
    assert images["agx0.assistant"].inputs["name"] == (
        f"hearth/assistant:{programs.digest(programs.FOLDER)}"
    )
    assert images["agx0.assistant"].inputs["build"]["context"] == str(programs.FOLDER)
    assert "build" not in images["pi51.nginx"].inputs


def test_a_sandbox_builds_nothing_on_its_machines() -> None:
    images = record_site(load("sandbox")).of_type("RemoteImage")
    assert not [name for name, image in images.items() if "build" in image.inputs]


def test_a_changed_program_is_another_image(
    tmp_path: Path,
) -> None:
    (tmp_path / "app.py").write_text("one\n")
    seen = [programs.digest.__wrapped__(tmp_path)]
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "app.pyc").write_text("compiled")
    seen.append(programs.digest.__wrapped__(tmp_path))
    (tmp_path / "app.py").write_text("two\n")
    seen.append(programs.digest.__wrapped__(tmp_path))
    assert seen[0] == seen[1] != seen[2]


@pytest.mark.parametrize(
    ("reference", "name"), [("pi31.network-tools", "dnsmasq"), ("agx0.jupyterhub", "jupyterhub")]
)
def test_an_image_with_a_folder_of_its_own_is_built_from_that_alone(
    reference: str, name: str
) -> None:
    own = programs.FOLDER / name
    image = record_site(load("homelab")).of_type("RemoteImage")[reference].inputs
    assert image["name"] == f"hearth/{name}:{programs.digest(own)}"
    assert image["build"]["context"] == str(own)


@pytest.mark.parametrize(
    ("dockerfile", "context"),
    [("Dockerfile", ""), ("jupyterhub/Dockerfile", "jupyterhub"), ("fixai/Dockerfile", "")],
)
def test_what_is_built_has_all_that_it_copies(dockerfile: str, context: str) -> None:
    copied = [
        line.split()[1]
        for line in (programs.FOLDER / dockerfile).read_text().splitlines()
        if line.startswith("COPY")
    ]
    assert copied
    assert all(
        any((programs.FOLDER / context).glob(pattern)) for pattern in copied if pattern != "."
    )
