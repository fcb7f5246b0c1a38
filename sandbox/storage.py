"""Images written straight into a registry's storage, so that a lab's `up` has nothing to push.

The layout is that of the distribution registry: blobs by digest, and small files that link to
them from repositories.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sandbox.files import write_whole

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from sandbox.tarball import Packed

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
CONFIG = "application/vnd.docker.container.image.v1+json"
LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
# Images must come out the same whenever they are built.
CREATED = "1970-01-01T00:00:00Z"


@dataclass(frozen=True)
class Image:
    """An image's two documents, as they are served."""

    config: bytes
    manifest: bytes


def digest(content: bytes) -> str:
    """The digest of a blob."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def compose(layers: Sequence[Packed], settings: Mapping[str, Any], architecture: str) -> Image:
    """An image's config and manifest (Docker's schema 2, which old daemons read too)."""
    config = canonical(
        {
            "architecture": architecture,
            "os": "linux",
            "created": CREATED,
            "config": dict(settings),
            "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]},
            "history": [{"created": CREATED} for _ in layers],
        }
    )
    manifest = canonical(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {"mediaType": CONFIG, "size": len(config), "digest": digest(config)},
            "layers": [
                {"mediaType": LAYER, "size": layer.size, "digest": layer.digest} for layer in layers
            ],
        }
    )
    return Image(config, manifest)


def canonical(document: Mapping[str, Any]) -> bytes:
    """A document as the same bytes every time."""
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def blob(root: Path, name: str) -> Path:
    """Where a blob's content lies."""
    code = name.removeprefix("sha256:")
    return root / "docker/registry/v2/blobs/sha256" / code[:2] / code / "data"


def adopt(root: Path, file: Path, name: str) -> None:
    """Move a finished file in as a blob."""
    target = blob(root, name)
    target.parent.mkdir(parents=True, exist_ok=True)
    file.replace(target)


def publish(root: Path, repository: str, tag: str, image: Image, layers: Sequence[Packed]) -> None:
    """Let a repository's tag name an image whose layers are in the storage; the tag comes last."""
    config, manifest = digest(image.config), digest(image.manifest)
    write_whole(blob(root, config), image.config)
    write_whole(blob(root, manifest), image.manifest)
    home = root / "docker/registry/v2/repositories" / repository
    for name in (config, *(layer.digest for layer in layers)):
        link(home / "_layers", name)
    link(home / "_manifests/revisions", manifest)
    tagged = home / "_manifests/tags" / tag
    link(tagged / "index", manifest)
    write_whole(tagged / "current/link", manifest)


def alias(root: Path, repository: str, tag: str, name: str) -> None:
    """Let a second tag name the image that a tag names now."""
    tags = root / "docker/registry/v2/repositories" / repository / "_manifests/tags"
    manifest = (tags / tag / "current/link").read_text()
    link(tags / name / "index", manifest)
    write_whole(tags / name / "current/link", manifest)


def link(folder: Path, name: str) -> None:
    """Link to a blob by its digest."""
    write_whole(folder / "sha256" / name.removeprefix("sha256:") / "link", name)
