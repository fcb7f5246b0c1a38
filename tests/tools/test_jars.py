"""The jars of Java programs: what is pinned, and that nothing else gets in."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from inventory.errors import HearthError
from tools import jars

if TYPE_CHECKING:
    from tests.tools.conftest import Fakes

MAVEN = """#!/bin/sh
for word; do case $word in -DoutputDirectory=*) jars=${{word#*=}};; esac; done
mkdir -p "$jars/org/example/one/1.0"
echo "{content}" >"$jars/org/example/one/1.0/one-1.0{classifier}.jar"
{then}
"""


@pytest.fixture
def pinned(fakes: Fakes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program of one jar, pinned as a fake Maven on the test's PATH brings it."""
    folder = tmp_path / "maven"
    folder.mkdir()
    (folder / "kafka.xml").write_text("<project/>")
    monkeypatch.setattr(jars, "PINNED", folder)
    maven(fakes)
    jars.lock("kafka")
    return folder


def maven(fakes: Fakes, content: str = "one", classifier: str = "", then: str = "") -> None:
    """Put a Maven on PATH that brings one jar."""
    path = fakes.bin / "mvn"
    path.write_text(MAVEN.format(content=content, classifier=classifier, then=then))
    path.chmod(0o755)


def silent(_line: str) -> None:
    """Take a line of progress and say nothing."""


def test_a_lock_file_names_every_jar_and_its_digest(pinned: Path) -> None:
    assert (pinned / "kafka.lock").read_text() == (
        "2c8b08da5ce60398e1f19af0e5dccc744df274b826abe585eaba68c525434806  org.example:one:1.0\n"
    )
    assert [jar.file for jar in jars.pinned("kafka")] == ["one-1.0.jar"]


def test_jars_are_fetched_once(pinned: Path, fakes: Fakes) -> None:
    home = jars.ensure_jars(["kafka"], silent)["kafka"]

    (fakes.bin / "mvn").unlink()

    assert jars.ensure_jars(["kafka"], silent)["kafka"] == home
    assert [path.name for path in home.iterdir()] == ["one-1.0.jar"]
    assert pinned.is_dir()


@pytest.mark.usefixtures("pinned")
def test_a_jar_of_another_content_is_refused(fakes: Fakes) -> None:
    maven(fakes, content="two")

    with pytest.raises(HearthError, match=r"not those that were pinned \(org\.example:one:1\.0\)"):
        jars.ensure_jars(["kafka"], silent)

    maven(fakes)
    assert jars.ensure_jars(["kafka"], silent)["kafka"].is_dir()


@pytest.mark.usefixtures("pinned")
def test_a_jar_for_another_platform_is_another_jar(fakes: Fakes) -> None:
    maven(fakes, classifier="-linux")
    jars.lock("kafka")

    assert jars.pinned("kafka")[0].coordinates == "org.example:one:1.0:linux"
    assert jars.pinned("kafka")[0].file == "one-1.0-linux.jar"


@pytest.mark.usefixtures("pinned")
def test_without_maven_the_error_says_what_installs_it(fakes: Fakes) -> None:
    (fakes.bin / "mvn").unlink()

    with pytest.raises(HearthError, match=r"PATH has none \(mvn\); install it .*maven\)"):
        jars.ensure_jars(["kafka"], silent)


@pytest.mark.usefixtures("pinned")
def test_what_maven_complains_of_is_told(fakes: Fakes) -> None:
    maven(fakes, then='echo "[ERROR] no route to host"; exit 1')

    with pytest.raises(HearthError, match=r"Maven failed \(\[ERROR\] no route to host\); check"):
        jars.ensure_jars(["kafka"], silent)


@pytest.mark.parametrize("name", sorted(jars.JAVA))
def test_every_program_is_pinned_without_an_address(name: str) -> None:
    texts = [(jars.PINNED / f"{name}{kind}").read_text() for kind in (".xml", ".lock")]

    assert not any(re.search(r"://|<repositor|<mirror", text) for text in texts)
    files = [jar.file for jar in jars.pinned(name)]
    assert len(files) == len(set(files)) > 20
    wanted = re.findall(r"<artifactId>([\w.-]+)</artifactId>\s*<version>(.+)</version>", texts[0])
    found = {(jar.artifact, jar.version) for jar in jars.pinned(name)}
    assert set(wanted) - {(name, "1")} <= found
