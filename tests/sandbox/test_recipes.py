"""Which images a lab gets, and that each is started as its official one is."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from inventory.errors import HearthError
from inventory.loading import load
from inventory.paths import PROJECT
from sandbox import images, lab, rootfs, storage
from sandbox.images import build, catalogue, python, web
from sandbox.images.catalogue import CATALOGUE
from sandbox.images.recipe import Recipe
from sandbox.plan import plan_for
from sandbox.rootfs import Layer
from tools.jars import JAVA
from tools.versions import KUBERNETES


def silent(_line: str) -> None:
    """Take a line of progress and say nothing."""


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own, and the built programs, which are texts here."""
    monkeypatch.setenv("HEARTH_CACHE", str(tmp_path))
    (tmp_path / "sandbox").mkdir()
    for program in {name for entry in CATALOGUE.values() for name in entry.programs}:
        if program in JAVA:
            (tmp_path / program).mkdir()
            (tmp_path / program / "one.jar").write_text(f"a jar of {program}")
        else:
            (tmp_path / program).write_text(f"the program {program}")
        monkeypatch.setenv(catalogue.variable(program), str(tmp_path / program))
    monkeypatch.setattr("sandbox.images.ai.tiny_model", lambda: tmp_path / "ollama")
    return tmp_path


@pytest.fixture
def built(cache: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of layers as they are built; each holds one file."""
    names: list[str] = []

    def make(layer: Layer, _progress: object) -> Path:
        if not rootfs.built(layer):
            names.append(layer.name)
            rootfs.tree(layer).mkdir(parents=True)
            (rootfs.tree(layer) / layer.name).write_text(layer.key)
        return rootfs.place(layer)

    monkeypatch.setattr(rootfs, "build", make)
    monkeypatch.setattr(rootfs, "ask", lambda *_: "1.0")
    make(rootfs.BASE, silent)
    assert cache.is_dir()
    names.clear()
    return names


def recipe(kind: str) -> Recipe:
    (made,) = catalogue.recipes([kind], silent)
    return made


def repositories() -> list[str]:
    return sorted(
        path.name for path in (images.root() / "docker/registry/v2/repositories").glob("*/*")
    )


def layers_of(kind: str) -> list[str]:
    """The digests of an image's layers as it is served, the lowest first."""
    home = images.root() / f"docker/registry/v2/repositories/hearth/{kind}"
    name = (home / f"_manifests/tags/{images.TAG}/current/link").read_text()
    manifest = json.loads(storage.blob(images.root(), name).read_text())
    return [layer["digest"] for layer in manifest["layers"]]


def test_only_the_kinds_that_are_wanted_are_built(built: list[str]) -> None:
    images.build_all(["nginx", "loki"], silent)

    assert sorted(built) == ["loki", "nginx"]
    assert repositories() == ["loki", "nginx"]


def test_a_program_is_asked_for_where_its_image_is_wanted_only(
    built: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEARTH_LOKI", "/nowhere/loki")

    images.build_all(["nginx"], silent)
    with pytest.raises(HearthError, match=r"no such file \(/nowhere/loki\); build it, or correct"):
        images.build_all(["loki"], silent)

    assert built == ["nginx"]


def test_what_is_built_is_not_built_again(built: list[str]) -> None:
    images.build_all(["nginx", "minio"], silent)
    images.build_all(["minio", "nginx"], silent)

    assert sorted(built) == ["minio", "nginx"]


def test_images_share_their_lower_layers(built: list[str]) -> None:
    images.build_all(["assistant", "backup"], silent)

    assert sorted(built) == ["assistant", "backup", "postgres-client", "python", "python-packages"]
    assistant, backup = layers_of("assistant"), layers_of("backup")
    assert assistant[:-1] == backup[:-2]
    assert assistant[0] == build.packed_layer(rootfs.BASE).digest
    assert len(assistant) == 4


@pytest.mark.usefixtures("built")
def test_a_reference_names_the_version_and_the_recipe() -> None:
    images.build_all(["redis"], silent)

    assert images.references(["redis"]) == {"redis": f"hearth/redis:1.0-{recipe('redis').key}"}
    with pytest.raises(HearthError, match=r"not built \(nginx\); bring the sandbox up first"):
        images.references(["nginx", "redis"])


def test_a_site_gets_the_images_that_it_names() -> None:
    references = ["hearth/redis:sandbox", "hearth/nginx:sandbox", "hearth/redis:other"]

    assert images.kinds_of(references) == ("nginx", "redis")


def test_an_image_that_is_not_built_here_is_refused_with_those_that_are() -> None:
    with pytest.raises(HearthError) as caught:
        images.kinds_of(["hearth/nginx:sandbox", "hearth/ngnix:sandbox"])

    assert str(caught.value).startswith(
        "registry.images: not built here (hearth/ngnix:sandbox); use hearth/alertmanager, "
    )
    assert str(caught.value).endswith(", hearth/zookeeper")


def test_a_lab_serves_what_its_site_names() -> None:
    site = load("sandbox")

    assert site.registry is not None
    assert plan_for(site).images == tuple(site.registry.images.values())


def test_a_lab_of_unknown_images_is_refused_before_anything_is_built(built: list[str]) -> None:
    plan = plan_for(load("sandbox"))

    with pytest.raises(HearthError, match="not built here"):
        lab.prepare(replace(plan, images=("hearth/none:1",)), silent)

    assert built == []


# As `docker inspect` shows the official ones.
OFFICIAL: dict[str, dict[str, Any]] = {
    "prometheus": {
        "Entrypoint": ["/bin/prometheus"],
        "User": "nobody",
        "Volumes": {"/prometheus": {}},
        "ExposedPorts": {"9090/tcp": {}},
    },
    "alertmanager": {
        "Entrypoint": ["/bin/alertmanager"],
        "User": "nobody",
        "Cmd": ["--config.file=/etc/alertmanager/alertmanager.yml", "--storage.path=/alertmanager"],
        "ExposedPorts": {"9093/tcp": {}},
    },
    "node-exporter": {
        "Entrypoint": ["/bin/node_exporter"],
        "User": "nobody",
        "ExposedPorts": {"9100/tcp": {}},
    },
    "postgres-exporter": {
        "Entrypoint": ["/bin/postgres_exporter"],
        "User": "nobody",
        "ExposedPorts": {"9187/tcp": {}},
    },
    "redis-exporter": {
        "Entrypoint": ["/redis_exporter"],
        "User": "59000:59000",
        "ExposedPorts": {"9121/tcp": {}},
    },
    "minio": {
        "Entrypoint": ["docker-entrypoint.sh"],
        "Cmd": ["server", "/data", "--console-address", ":9001"],
        "Volumes": {"/data": {}},
        "ExposedPorts": {"9000/tcp": {}, "9001/tcp": {}},
    },
    "loki": {
        "Entrypoint": ["/usr/bin/loki"],
        "Cmd": ["-config.file=/etc/loki/local-config.yaml"],
        "User": "10001",
        "ExposedPorts": {"3100/tcp": {}},
    },
    "collector": {
        "Entrypoint": ["/otelcol-contrib"],
        "Cmd": ["--config", "/etc/otelcol-contrib/config.yaml"],
        "User": "10001",
    },
    "assistant": {
        "Entrypoint": ["python3", "-m", "services.assistant"],
        "User": "10001",
        "WorkingDir": "/app",
        "ExposedPorts": {"8200/tcp": {}},
    },
    "drift-check": {
        "Entrypoint": ["python3", "-m", "services.driftcheck"],
        "User": "10001",
        "ExposedPorts": {"8300/tcp": {}},
    },
    "backup": {
        "Entrypoint": ["python3", "-m", "services.keeper"],
        "User": "10001",
        "ExposedPorts": {"8210/tcp": {}},
    },
    "pgadmin": {"User": "5050", "Volumes": {"/var/lib/pgadmin": {}}},
    "redis-commander": {"ExposedPorts": {"8081/tcp": {}}},
    "jupyterhub": {"Cmd": ["jupyterhub"], "User": "10001", "ExposedPorts": {"8000/tcp": {}}},
    "sonarqube": {"User": "1000", "ExposedPorts": {"9000/tcp": {}}},
    "dnsmasq": {"ExposedPorts": {"53/tcp": {}, "53/udp": {}}},
}


@pytest.mark.usefixtures("cache")
@pytest.mark.parametrize("kind", sorted(OFFICIAL))
def test_an_image_starts_as_the_official_one_does(kind: str) -> None:
    settings = recipe(kind).settings

    assert {name: settings[name] for name in OFFICIAL[kind]} == OFFICIAL[kind]


@pytest.mark.usefixtures("cache")
@pytest.mark.parametrize("kind", sorted(CATALOGUE))
def test_an_image_is_published_under_the_name_that_a_site_asks_for(kind: str) -> None:
    made = recipe(kind)

    assert images.kinds_of([f"{made.repository}:{images.TAG}"]) == (made.kind,) == (kind,)


# Pod Security's profile `restricted` demands the first, and that the rest can be read-only.
CLUSTER = ("cassandra", "fixai", "kafka", "traefik", "zookeeper")


@pytest.mark.usefixtures("cache")
@pytest.mark.parametrize("kind", CLUSTER)
def test_an_image_of_the_cluster_runs_as_a_user_of_a_number(kind: str) -> None:
    settings = recipe(kind).settings

    assert int(settings["User"]) > 0
    assert set(settings.get("Volumes", {})) <= {"/data"}


def test_java_programs_share_one_java(built: list[str]) -> None:
    images.build_all(["kafka", "zookeeper", "cassandra"], silent)

    assert sorted(built) == ["cassandra", "java", "kafka", "zookeeper"]
    assert layers_of("kafka")[:-1] == layers_of("cassandra")[:-1] == layers_of("zookeeper")[:-1]


@pytest.mark.usefixtures("cache")
def test_another_jar_is_a_new_image(cache: Path) -> None:
    before = recipe("kafka").key

    (cache / "kafka/two.jar").write_text("another")

    assert recipe("kafka").key != before


@pytest.mark.usefixtures("cache")
def test_a_java_program_without_jars_is_refused(cache: Path) -> None:
    (cache / "kafka/one.jar").unlink()

    with pytest.raises(HearthError, match=r"kafka: no jars \(.*\); correct HEARTH_KAFKA"):
        recipe("kafka")


@pytest.mark.usefixtures("cache")
def test_a_rebuilt_program_is_a_new_image(cache: Path) -> None:
    before = recipe("loki").key

    (cache / "loki").write_text("another build")

    assert recipe("loki").key != before


def services(folder: Path) -> Path:
    """A package of programs that a test may change."""
    (folder / "services/assistant/__pycache__").mkdir(parents=True)
    (folder / "services/assistant/__main__.py").write_text("print('one')")
    (folder / "services/assistant/__pycache__/x.pyc").write_text("compiled")
    return folder / "services"


def test_a_changed_service_is_a_new_image_over_the_same_packages(tmp_path: Path) -> None:
    folder = services(tmp_path)
    before = python.assistant(folder)

    (folder / "assistant/__main__.py").write_text("print('two')")

    after = python.assistant(folder)
    assert after.key != before.key
    assert after.layer.below == before.layer.below


def test_what_python_left_beside_a_service_does_not_count(tmp_path: Path) -> None:
    folder = services(tmp_path)
    before = python.assistant(folder).key

    (folder / "assistant/__pycache__/y.pyc").write_text("compiled")

    assert python.assistant(folder).key == before
    assert [path for path, _, _ in python.programs(folder, "assistant")] == [
        "app/services/assistant/__main__.py"
    ]


def test_without_services_there_is_no_image(tmp_path: Path) -> None:
    with pytest.raises(HearthError, match=r"no programs .*; build it from a whole checkout"):
        python.assistant(tmp_path / "services")


def test_changed_requirements_are_another_layer(tmp_path: Path) -> None:
    pinned = tmp_path / "services.txt"
    pinned.write_text("redis==1")
    before = python.packages(pinned).key

    pinned.write_text("redis==2")

    assert python.packages(pinned).key != before


@pytest.mark.parametrize(
    ("path", "packages"),
    [
        (
            PROJECT / "services/requirements.txt",
            {"fastapi", "uvicorn", "httptools", "uvloop", "asyncpg", "redis", "aiohttp"},
        ),
        (web.lock_file("pgadmin"), {"pgadmin4", "gunicorn"}),
        (PROJECT / "services/jupyterhub/requirements.txt", {"jupyterhub", "jupyterlab", "ollama"}),
        (
            PROJECT / "services/fixai/requirements.txt",
            {"fastapi", "aiokafka", "cassandra-driver", "redis", "google-genai"},
        ),
    ],
)
def test_packages_are_pinned_by_digest_and_name_no_server(path: Path, packages: set[str]) -> None:
    text = path.read_text()

    pinned = re.findall(r"^([\w.-]+)(?:\[[\w,-]+\])?==.*\\\n    --hash=sha256:", text, re.MULTILINE)
    assert packages <= set(pinned)
    assert len(pinned) == len(re.findall(r"^\w", text, re.MULTILINE))
    assert "://" not in text


@pytest.mark.parametrize("command", [["server", "/data"], ["minio", "server", "/data"]])
def test_minio_may_be_left_out_of_its_command(tmp_path: Path, command: list[str]) -> None:
    (tmp_path / "minio").write_text('#!/bin/sh\necho "$@"\n')
    (tmp_path / "minio").chmod(0o755)

    said = subprocess.run(
        ["/bin/sh", str(rootfs.script_file("minio-entrypoint.sh")), *command],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )

    assert said.stdout == "server /data\n"


def test_kubernetes_parts_are_served_under_the_version_that_kubeadm_asks_for(
    built: list[str],
) -> None:
    images.build_all(["kube-scheduler", "etcd"], silent)

    assert built
    tags = images.root() / "docker/registry/v2/repositories/hearth"
    assert {"sandbox", f"v{KUBERNETES}"} <= {
        path.name for path in (tags / "kube-scheduler/_manifests/tags").iterdir()
    }
    assert not (tags / f"etcd/_manifests/tags/v{KUBERNETES}").exists()
