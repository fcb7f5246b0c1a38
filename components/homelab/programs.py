"""The programs that come with Hearth: images that a machine builds for itself, `hearth/NAME`."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

import pulumi
import pulumi_docker as docker

from inventory.model import Placement
from inventory.paths import PROJECT
from inventory.services import BUILT

FOLDER = PROJECT / "services"


def image(
    name: str, placement: Placement, opts: pulumi.ResourceOptions | None = None
) -> docker.RemoteImage:
    """A service's image on its machine: pulled, or built there where it is a program of Hearth's.

    A sandbox pulls these as well: its registry has them.
    """
    if placement.site.registry is not None or placement.pulled:
        return docker.RemoteImage(name, name=placement.image, keep_locally=True, opts=opts)
    return docker.RemoteImage(
        name,
        name=f"{placement.image}:{digest(folder(placement.image))}",
        # By the machine's engine: the newer builder would be looked for on this computer.
        build=docker.RemoteImageBuildArgs(
            context=str(folder(placement.image)),
            target=stage(placement.image),
            use_legacy_builder=True,
            version="1",
        ),
        keep_locally=True,
        opts=opts,
    )


def folder(image_name: str) -> Path:
    """What an image is built from: a folder of its name, else that of the Python programs."""
    own = FOLDER / image_name.removeprefix(BUILT)
    return own if (own / "Dockerfile").is_file() else FOLDER


def stage(image_name: str) -> str | None:
    """Its stage of the Dockerfile, where that is of several images."""
    return image_name.removeprefix(BUILT) if folder(image_name) == FOLDER else None


@cache
def digest(context: Path) -> str:
    """Changes when anything does that an image is built from: twelve hexadecimal digits."""
    found = hashlib.sha256()
    for path in sorted(context.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            found.update(f"{path.relative_to(context)}\0".encode())
            found.update(path.read_bytes())
    return found.hexdigest()[:12]
