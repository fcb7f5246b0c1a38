"""The programs that images are made of, and how each is built from its module in tools/go."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from tools import versions


@dataclass(frozen=True)
class Program:
    """A program that an image is made of, built from a module in tools/go.

    Args:
        module: The module's folder.
        package: The import path of its main package.
        version: What the module's go.mod pins.
        settings: Variables of the program and their values, set by the linker.
        tags: Build tags.
        cgo: Whether C code is compiled in.
    """

    module: str
    package: str
    version: str
    settings: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    cgo: bool = False


def _minio_settings(package: str, version: str) -> tuple[str, ...]:
    """What MinIO's own build sets: the commit and its time, both parts of a Go version."""
    _, digits, commit = version.split("-")
    time = datetime.strptime(digits, "%Y%m%d%H%M%S").replace(tzinfo=UTC)
    return (
        f"{package}/cmd.Version={time:%Y-%m-%dT%H:%M:%SZ}",
        f"{package}/cmd.ReleaseTag=DEVELOPMENT.{time:%Y-%m-%dT%H-%M-%SZ}",
        f"{package}/cmd.CommitID={commit}",
        f"{package}/cmd.ShortCommitID={commit}",
    )


_MINIO = "github.com/minio/minio"
_MC = "github.com/minio/mc"
_LOKI = "github.com/grafana/loki/v3"
_TRAEFIK = "github.com/traefik/traefik/v3"
PROGRAMS = {
    "ollama": Program(
        module="ollama",
        package="github.com/ollama/ollama",
        version=versions.OLLAMA,
        settings=(f"github.com/ollama/ollama/version.Version={versions.OLLAMA}",),
        cgo=True,
    ),
    "minio": Program(
        module="minio",
        package=_MINIO,
        version=versions.MINIO,
        settings=_minio_settings(_MINIO, versions.MINIO),
    ),
    "mc": Program(
        module="minio",
        package=_MC,
        version=versions.MINIO_CLIENT,
        settings=_minio_settings(_MC, versions.MINIO_CLIENT),
    ),
    "loki": Program(
        module="loki",
        package=f"{_LOKI}/cmd/loki",
        version=versions.LOKI,
        settings=(f"{_LOKI}/pkg/util/build.Version={versions.LOKI}",),
        tags=("netgo",),
    ),
    "collector": Program(
        module="collector",
        package="hearth.invalid/tools/collector",
        version=versions.COLLECTOR,
        settings=(f"main.version={versions.COLLECTOR}",),
    ),
    "traefik": Program(
        module="traefik",
        package=f"{_TRAEFIK}/cmd/traefik",
        version=versions.TRAEFIK,
        settings=(f"{_TRAEFIK}/pkg/version.Version={versions.TRAEFIK}",),
    ),
}
