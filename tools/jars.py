"""Java programs, as the jars that Maven's own client fetches and tools/maven pins.

tools/maven/NAME.xml is Maven's description of a program; NAME.lock beside it is every jar that this
led to, with its digest. The lock file names no server: where jars come from is Maven's to know.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from inventory.errors import HearthError
from inventory.paths import cache_dir
from tools.lock import exclusive

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Progress = Callable[[str], None]

PINNED = Path(__file__).resolve().parent / "maven"
JAVA = frozenset(("cassandra", "kafka", "zookeeper"))
MAVEN = "mvn"
_COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
_LINES_OF_ERROR = 3


@dataclass(frozen=True)
class Jar:
    """A jar: what Maven calls it, and the SHA-256 of its content."""

    group: str
    artifact: str
    version: str
    classifier: str
    digest: str

    @property
    def file(self) -> str:
        """Its file name."""
        kind = f"-{self.classifier}" if self.classifier else ""
        return f"{self.artifact}-{self.version}{kind}.jar"

    @property
    def coordinates(self) -> str:
        """Group, artifact, version, and the classifier if it has one."""
        return ":".join(filter(None, (self.group, self.artifact, self.version, self.classifier)))


def pinned(name: str) -> list[Jar]:
    """The jars of a program, by its lock file."""
    lines = (PINNED / f"{name}.lock").read_text().splitlines()
    return [_jar(line) for line in lines]


def ensure_jars(names: Iterable[str], progress: Progress) -> dict[str, Path]:
    """The jars of these programs, fetched where they are missing.

    Args:
        names: Which of `JAVA`.
        progress: Takes short lines for people.

    Returns:
        By program the folder that holds its jars and nothing else.

    Raises:
        HearthError: There is no Maven, it failed, or a jar is not the one that was pinned.
    """
    return {name: _ensure(name, progress) for name in names}


def lock(name: str) -> None:
    """Resolve a program's jars anew and pin them.

    Raises:
        HearthError: There is no Maven, or it failed.
    """
    with tempfile.TemporaryDirectory() as scratch:
        found = sorted(_fetch(name, Path(scratch)), key=lambda jar: jar.coordinates)
    lines = [f"{jar.digest}  {jar.coordinates}\n" for jar in found]
    (PINNED / f"{name}.lock").write_text("".join(lines))


def _ensure(name: str, progress: Progress) -> Path:
    home = _home(name)
    if home.is_dir():
        return home
    with exclusive(
        _root() / "lock", when_waiting=lambda: progress("waiting for another download of jars")
    ):
        if home.is_dir():
            return home
        for leftover in _root().glob(".fetching-*"):
            shutil.rmtree(leftover, ignore_errors=True)
        wanted = pinned(name)
        progress(f"{name}: fetching {len(wanted)} jars with Maven")
        with tempfile.TemporaryDirectory(prefix=".fetching-", dir=_root()) as scratch:
            found = _fetch(name, Path(scratch))
            _check(name, wanted, found)
            flat = Path(scratch, "flat")
            flat.mkdir()
            for jar, path in found.items():
                path.replace(flat / jar.file)
            flat.replace(home)
    return home


def _root() -> Path:
    return cache_dir() / "maven"


def _home(name: str) -> Path:
    digest = hashlib.sha256((PINNED / f"{name}.lock").read_bytes()).hexdigest()
    return _root() / f"{name}-{digest[:12]}"


def _fetch(name: str, scratch: Path) -> dict[Jar, Path]:
    """Have Maven put a program's jars into a folder, laid out as its repositories are."""
    maven = shutil.which(MAVEN)
    if maven is None:
        raise HearthError(
            f"{name}: its jars are fetched by Maven and PATH has none ({MAVEN}); "
            "install it (on Debian: apt-get install maven)"
        )
    shutil.copy(PINNED / f"{name}.xml", scratch / "pom.xml")
    jars = scratch / "jars"
    answer = subprocess.run(
        [
            *(maven, "--batch-mode", "--quiet", "--file", str(scratch / "pom.xml"), _COPY),
            *("-DincludeScope=runtime", "-Dmdep.useRepositoryLayout=true"),
            f"-DoutputDirectory={jars}",
        ],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if answer.returncode:
        said = [line for line in answer.stdout.splitlines() if "ERROR" in line]
        raise HearthError(
            f"{name}: Maven failed ({' | '.join(said[:_LINES_OF_ERROR]) or 'it said nothing'}); "
            "check the network and Maven's settings, then run this again"
        )
    return {_found(path, jars): path for path in jars.rglob("*.jar")}


def _found(path: Path, jars: Path) -> Jar:
    """What a jar is, by where it lies: group/of/it/artifact/version/file."""
    *group, artifact, its_version, _ = path.relative_to(jars).parts
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    classifier = path.stem.removeprefix(f"{artifact}-{its_version}").removeprefix("-")
    return Jar(".".join(group), artifact, its_version, classifier, digest)


def _check(name: str, wanted: Iterable[Jar], found: Iterable[Jar]) -> None:
    """Compare what came with what was pinned.

    Raises:
        HearthError: They differ.
    """
    differing = sorted({jar.coordinates for jar in set(wanted) ^ set(found)})
    if differing:
        raise HearthError(
            f"{name}: jars are not those that were pinned ({', '.join(differing)}); "
            f"if tools/maven/{name}.xml was changed on purpose, pin them: make lock"
        )


def _jar(line: str) -> Jar:
    digest, coordinates = line.split()
    group, artifact, its_version, *classifier = coordinates.split(":")
    return Jar(group, artifact, its_version, "".join(classifier), digest)


if __name__ == "__main__":  # `make lock`
    try:
        for program in sorted(JAVA):
            lock(program)
    except HearthError as error:
        sys.exit(f"error: {error}")
