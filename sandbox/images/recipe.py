"""What a recipe is, and the words that all of them are written with."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from inventory.errors import HearthError
from inventory.paths import cache_dir
from sandbox import rootfs
from sandbox.rootfs import File, Layer

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
ENTRYPOINT = "usr/local/bin/docker-entrypoint.sh"


@dataclass(frozen=True)
class Recipe:
    """How an image is made.

    Args:
        kind: Its name, under `hearth/`.
        layer: Its uppermost layer.
        settings: The container's defaults, in the image config's own words.
        version_of: Shell that prints the software's version, run in the finished layer.
        tags: Under which it is served beside: what asks for it chooses the tag itself.
    """

    kind: str
    layer: Layer
    settings: dict[str, Any] = field(default_factory=dict)
    version_of: str = ""
    tags: tuple[str, ...] = ()

    @property
    def repository(self) -> str:
        """Its name in the registry."""
        return repository(self.kind)

    @property
    def key(self) -> str:
        """Eight digits that change when anything about the image does."""
        definition = json.dumps([self.layer.key, rootfs.BASE.key, self.settings], sort_keys=True)
        return hashlib.sha256(definition.encode()).hexdigest()[:8]

    @property
    def record(self) -> Path:
        """Where its reference is kept once it is in the storage."""
        return cache_dir() / "sandbox" / "images" / f"{self.kind}-{self.key}"


def repository(kind: str) -> str:
    """The name in the registry of a kind of image."""
    return f"hearth/{kind}"


def settings(command: list[str], *ports: int | str, **more: Any) -> dict[str, Any]:
    """An image's defaults: its command, its ports (of TCP, or as `53/udp`), what else it needs."""
    environment = [f"PATH={PATH}", "LANG=C.UTF-8", *more.pop("environment", [])]
    exposed: dict[str, dict[str, str]] = {
        f"{port}/tcp" if isinstance(port, int) else port: {} for port in ports
    }
    return {"Cmd": command, "Env": environment, "ExposedPorts": exposed, **more}


def package_version(package: str) -> str:
    """Shell that prints a package's upstream version, without what Debian adds to it."""
    return f"dpkg-query -W -f '${{source:Upstream-Version}}' {package} | sed 's/[+~].*//'"


def entrypoint(kind: str) -> File:
    """The entrypoint script of a kind of image, as a file of its layer."""
    return File(ENTRYPOINT, rootfs.script_file(f"{kind}-entrypoint.sh").read_text(), 0o755)


def add_user(name: str, number: int, home: str, *folders: str) -> str:
    """Shell that adds a user without a shell of their own, and folders that are theirs."""
    own = f"install -d -o {name} -g {name} {' '.join(folders)}\n" if folders else ""
    return (
        f"groupadd --gid {number} {name}\n"
        f"useradd --uid {number} --gid {number} --no-create-home --home-dir {home} "
        f"--shell /usr/sbin/nologin {name}\n{own}"
    )


def copied(path: str, source: Path) -> tuple[str, Path, str]:
    """A file of this computer as a layer takes it: its path there, the file, its digest."""
    return path, source, file_digest(source)


def file_digest(path: Path) -> str:
    """The digest of a file's content.

    Raises:
        HearthError: There is no such file.
    """
    if not path.is_file():
        raise HearthError(f"images: no such file ({path}); build it, or correct what names it")
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
