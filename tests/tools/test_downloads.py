"""The official release: checked, or not used."""

from __future__ import annotations

import hashlib
import tarfile
from typing import TYPE_CHECKING

import pytest

from inventory.errors import HearthError
from tools import downloads

if TYPE_CHECKING:
    from pathlib import Path

    from tests.tools.conftest import Fakes


@pytest.fixture
def vendor(tmp_path: Path, fakes: Fakes, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The vendor's site, as a folder with release 3.232.0."""
    monkeypatch.setattr(downloads, "platform_name", lambda: ("linux", "amd64"))
    site = tmp_path / "releases"
    site.mkdir()
    program = fakes.program("pulumi", "3.232.0")
    archive = site / "pulumi-v3.232.0-linux-x64.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(program, "pulumi/pulumi")
    program.unlink()
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    (site / "pulumi-3.232.0-checksums.txt").write_text(f"{digest}  {archive.name}\n")
    return site


@pytest.mark.usefixtures("vendor")
def test_a_release_is_unpacked(tmp_path: Path) -> None:
    downloads.cli_release("3.232.0", tmp_path / "cache" / "release", lambda _: None)
    assert (tmp_path / "cache" / "release" / "pulumi").is_file()
    assert [entry.name for entry in (tmp_path / "cache").iterdir()] == ["release"]


def test_a_changed_download_is_an_error_and_leaves_nothing(vendor: Path, tmp_path: Path) -> None:
    with (vendor / "pulumi-v3.232.0-linux-x64.tar.gz").open("ab") as archive:
        archive.write(b"more")
    with pytest.raises(HearthError, match="SHA-256 is not the published one"):
        downloads.cli_release("3.232.0", tmp_path / "cache" / "release", lambda _: None)
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_platform_that_the_vendor_has_nothing_for(
    vendor: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert vendor.is_dir()
    monkeypatch.setattr(downloads, "platform_name", lambda: ("linux", "riscv64"))
    with pytest.raises(downloads.NotAvailableError, match=r"no pulumi-v3.*-riscv64"):
        downloads.cli_release("3.232.0", tmp_path / "release", lambda _: None)


def test_a_site_out_of_reach_is_a_reason_with_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads, "RELEASES", "http://127.0.0.1:9/sdk")
    for attempt in (
        downloads.need_reachable,
        lambda: downloads.cli_release("3.232.0", tmp_path / "release", lambda _: None),
    ):
        with pytest.raises(downloads.NotAvailableError) as caught:
            attempt()
        assert str(caught.value).startswith("127.0.0.1 could not be reached (")
        assert "refused" in str(caught.value)
