"""Building images and publishing them in the registry's storage."""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from inventory.errors import HearthError
from inventory.paths import cache_dir
from sandbox import debian, rootfs, storage
from sandbox.files import write_whole
from sandbox.images.catalogue import recipes
from sandbox.images.recipe import Recipe
from sandbox.rootfs import Layer
from sandbox.tarball import Packed, pack

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sandbox.plan import Progress

# The tag under which a site names the images; it moves when a recipe changes.
TAG = "sandbox"


def root() -> Path:
    """The registry's storage."""
    return cache_dir() / "sandbox" / "registry"


def references(kinds: Iterable[str], progress: Progress = lambda _: None) -> dict[str, str]:
    """The images of these kinds in the storage: kind to repository and tag.

    Raises:
        HearthError: Some are not built.
    """
    wanted = recipes(kinds, progress)
    if missing := [recipe.kind for recipe in wanted if not recipe.record.exists()]:
        raise HearthError(f"images: not built ({', '.join(missing)}); bring the sandbox up first")
    return {recipe.kind: recipe.record.read_text().strip() for recipe in wanted}


def build_all(kinds: Iterable[str], progress: Progress) -> None:
    """Build those of these kinds that are missing; each is then served under the tag of TAG."""
    everything = recipes(kinds, progress)
    build_missing([recipe for recipe in everything if not recipe.record.exists()], progress)
    for recipe in everything:
        tag = recipe.record.read_text().strip().rpartition(":")[2]
        storage.alias(root(), recipe.repository, tag, TAG)


def build_missing(wanted: Sequence[Recipe], progress: Progress) -> None:
    """Build these images, what they share first and once."""
    if not wanted:
        return
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as threads:
        base = threads.submit(packed_layer, rootfs.BASE)
        for below in shared(wanted):
            rootfs.build(below, progress)
        # Images that differ in their settings alone have one.
        uppermost = dict.fromkeys(recipe.layer for recipe in wanted)
        layers = {layer: threads.submit(rootfs.build, layer, progress) for layer in uppermost}
        base.result()
        for recipe in wanted:
            layers[recipe.layer].result()
            publish(recipe)
            progress(f"packed {recipe.record.read_text().strip()}")


def shared(wanted: Sequence[Recipe]) -> list[Layer]:
    """The layers that those of these images lie on, each once, the lower ones first."""
    below = (layer for recipe in wanted for layer in reversed(recipe.layer.stack[1:]))
    return list(dict.fromkeys(below))


def publish(recipe: Recipe) -> None:
    """Put an image into the storage and note its reference."""
    layers = [packed_layer(layer) for layer in (rootfs.BASE, *reversed(recipe.layer.stack))]
    image = storage.compose(layers, recipe.settings, debian.architecture())
    tag = f"{rootfs.ask(recipe.layer, recipe.version_of)}-{recipe.key}"
    storage.publish(root(), recipe.repository, tag, image, layers)
    write_whole(recipe.record, f"{recipe.repository}:{tag}\n")


def packed_layer(layer: Layer) -> Packed:
    """A layer as a blob in the storage, packed at the first call."""
    record = rootfs.place(layer) / "packed.json"
    if record.exists():
        packed = Packed(**json.loads(record.read_text()))
        if storage.blob(root(), packed.digest).exists():
            return packed
    partial = rootfs.place(layer) / "packing"
    packed = pack(rootfs.tree(layer), partial)
    storage.adopt(root(), partial, packed.digest)
    write_whole(record, json.dumps(asdict(packed)))
    return packed
