"""How much room there is for packages, and for what Docker keeps."""

from __future__ import annotations

from dataclasses import dataclass

from pyinfra.api import FactBase

from inventory.units import KIB


@dataclass(frozen=True, slots=True)
class FileSystem:
    """A file system.

    Attributes:
        mount: the folder that it is seen at.
        size_bytes: all of it.
        available_bytes: what is left for anybody but root's reserve.
    """

    mount: str
    size_bytes: int
    available_bytes: int


@dataclass(frozen=True, slots=True)
class Space:
    """The file systems that matter.

    Attributes:
        root: where packages go.
        data: where Docker's images and volumes go; the same one on most machines.
    """

    root: FileSystem
    data: FileSystem


class SpaceFact(FactBase[Space | None]):
    """Reads a `Space`; None where nothing could be read."""

    def command(self) -> str:
        return (
            'data=$(sed -n \'s/.*"data-root": *"\\([^"]*\\)".*/\\1/p\' /etc/docker/daemon.json '
            "2>/dev/null); data=${data:-/var/lib/docker}; "
            # Before Docker is there: the nearest folder above it that is.
            'while [ -n "$data" ] && [ ! -d "$data" ]; do data=${data%/*}; done; '
            'LC_ALL=C df -P -k / "${data:-/}"'
        )

    def process(self, output: list[str]) -> Space:
        root, data = (_file_system(line) for line in output[1:3])
        return Space(root, data)


def _file_system(line: str) -> FileSystem:
    """One line of df: `<device> <KiB> <used> <available> <percent> <mount>`."""
    _, size, _, available, _, mount = line.split(maxsplit=5)
    return FileSystem(mount, int(size) * KIB, int(available) * KIB)
