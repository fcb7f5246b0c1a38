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


def _kubernetes(name: str) -> Program:
    """One of Kubernetes' programs; they are all built from one module, and share most of it."""
    major, minor, _ = versions.KUBERNETES.split(".")
    told = {"gitVersion": f"v{versions.KUBERNETES}", "gitMajor": major, "gitMinor": minor}
    return Program(
        module="kubernetes",
        package=f"k8s.io/kubernetes/cmd/{name}",
        version=versions.KUBERNETES,
        settings=tuple(f"k8s.io/component-base/version.{key}={told[key]}" for key in told),
    )


KUBERNETES = (
    *("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy"),
    *("kubectl", "kubelet", "kubeadm"),
)
"""The programs of Kubernetes' own module."""

_COREDNS = "github.com/coredns/coredns"
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
    "etcd": Program(module="etcd", package="go.etcd.io/etcd/server/v3", version=versions.ETCD),
    "coredns": Program(
        module="coredns",
        package="hearth.invalid/tools/coredns",
        version=versions.COREDNS,
        settings=(f"{_COREDNS}/coremain.GitCommit=hearth",),
    ),
    **{name: _kubernetes(name) for name in KUBERNETES},
    "traefik": Program(
        module="traefik",
        package=f"{_TRAEFIK}/cmd/traefik",
        version=versions.TRAEFIK,
        settings=(f"{_TRAEFIK}/pkg/version.Version={versions.TRAEFIK}",),
    ),
}
