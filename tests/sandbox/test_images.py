"""Image layers and manifests: the same bytes every time, with digests that hold."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import tarfile
from typing import TYPE_CHECKING

from sandbox import storage, tarball

if TYPE_CHECKING:
    from pathlib import Path

    from sandbox.tarball import Packed


def tree(folder: Path, stamp: int) -> Path:
    """A small root filesystem; the stamp is all that differs."""
    (folder / "etc").mkdir(parents=True)
    (folder / "etc/b").write_text("b")
    (folder / "etc/a").write_text("a")
    os.link(folder / "etc/a", folder / "etc/c")
    (folder / "bin").symlink_to("usr/bin")
    for path in ("etc/a", "etc/b", "etc"):
        os.utime(folder / path, (stamp, stamp))
    return folder


def packed(folder: Path, stamp: int) -> tuple[Packed, bytes]:
    target = folder / f"{stamp}.tar.gz"
    return tarball.pack(tree(folder / str(stamp), stamp), target), target.read_bytes()


def test_the_same_files_make_the_same_layer_at_any_time(tmp_path: Path) -> None:
    assert packed(tmp_path, 1) == packed(tmp_path, 1_000_000)


def test_a_layers_digests_are_those_of_its_bytes(tmp_path: Path) -> None:
    layer, content = packed(tmp_path, 1)

    assert layer.digest == f"sha256:{hashlib.sha256(content).hexdigest()}"
    assert layer.size == len(content)
    inner = gzip.decompress(content)
    assert layer.diff_id == f"sha256:{hashlib.sha256(inner).hexdigest()}"


def test_a_layer_is_sorted_and_keeps_links(tmp_path: Path) -> None:
    packed(tmp_path, 1)

    with tarfile.open(tmp_path / "1.tar.gz") as tar:
        members = tar.getmembers()

    assert [member.name for member in members] == ["bin", "etc", "etc/a", "etc/b", "etc/c"]
    assert members[0].issym()
    assert members[4].linkname == "etc/a"
    assert {(member.mtime, member.uname) for member in members} == {(0, "")}


def test_a_removal_has_dockers_name() -> None:
    assert tarball.removal("usr/lib/x.so") == "usr/lib/.wh.x.so"


def test_a_manifest_names_config_and_layers_by_digest_and_size(tmp_path: Path) -> None:
    layer, _ = packed(tmp_path, 1)

    image = storage.compose([layer], {"Cmd": ["true"]}, "amd64")

    manifest = json.loads(image.manifest)
    assert manifest["config"]["digest"] == storage.digest(image.config)
    assert manifest["config"]["size"] == len(image.config)
    assert manifest["layers"][0]["digest"] == layer.digest
    assert json.loads(image.config)["rootfs"]["diff_ids"] == [layer.diff_id]


def test_a_published_tag_leads_to_its_manifest(tmp_path: Path) -> None:
    layer, _ = packed(tmp_path, 1)
    image = storage.compose([layer], {}, "amd64")

    storage.publish(tmp_path / "registry", "hearth/web", "1.0", image, [layer])

    home = tmp_path / "registry/docker/registry/v2/repositories/hearth/web"
    name = (home / "_manifests/tags/1.0/current/link").read_text()
    assert storage.blob(tmp_path / "registry", name).read_bytes() == image.manifest
    linked = {path.parent.name for path in home.glob("_layers/sha256/*/link")}
    assert {f"sha256:{code}" for code in linked} == {layer.digest, storage.digest(image.config)}
