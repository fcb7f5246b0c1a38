"""The programs that come with Hearth: images that a machine builds for itself, `hearth/NAME`."""

from __future__ import annotations

import hashlib
from functools import cache

import pulumi
import pulumi_docker as docker

from inventory.model import Placement
from inventory.paths import PROJECT

FOLDER = PROJECT / "services"
PREFIX = "hearth/"


def image(
    name: str, placement: Placement, opts: pulumi.ResourceOptions | None = None
) -> docker.RemoteImage:
    """A service's image on its machine: pulled, or built there where it is a program of Hearth's.

    A sandbox pulls these as well: its registry has them.
    """
    if placement.site.registry is not None or not placement.image.startswith(PREFIX):
        return docker.RemoteImage(name, name=placement.image, keep_locally=True, opts=opts)
    return docker.RemoteImage(
        name,
        name=f"{placement.image}:{digest()}",
        # By the machine's engine: the newer builder would be looked for on this computer.
        build=docker.RemoteImageBuildArgs(
            context=str(FOLDER),
            # Its stage of the Dockerfile.
            target=placement.image.removeprefix(PREFIX),
            use_legacy_builder=True,
            version="1",
        ),
        keep_locally=True,
        opts=opts,
    )


@cache
def digest() -> str:
    """Changes when a program or a package that it uses does: twelve hexadecimal digits."""
    found = hashlib.sha256()
    for path in sorted(FOLDER.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            found.update(f"{path.relative_to(FOLDER)}\0".encode())
            found.update(path.read_bytes())
    return found.hexdigest()[:12]
