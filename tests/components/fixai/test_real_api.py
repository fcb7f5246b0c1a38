"""Every object that the stack declares, applied to a real API server of the site's version."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.components.fixai.whole import manifest, recorded, site, templates
from tests.components.recorder import Recording
from tests.tools.kubernetes import cluster as control_plane
from tools import toolchain

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1800)]

ABSENT = ("keda.sh/", "ngrok.k8s.ngrok.com/")
"""Of operators, which bring their kinds with them."""


class Kubectl:
    """kubectl with a control plane that a test may fill."""

    def __init__(self, program: Path, kubeconfig: Path) -> None:
        self._command = [str(program), f"--kubeconfig={kubeconfig}"]

    def run(
        self, *arguments: str, objects: list[dict[str, Any]]
    ) -> subprocess.CompletedProcess[str]:
        """Its exit code and what it said, with these objects on its standard input."""
        document = {"apiVersion": "v1", "kind": "List", "items": objects}
        return subprocess.run(
            [*self._command, *arguments, "-f", "-"],
            input=json.dumps(document),
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )

    def apply(self, objects: list[dict[str, Any]]) -> subprocess.CompletedProcess[str]:
        """As the engine's plugin does: by the server, which refuses what it does not know."""
        return self.run(
            "apply", "--server-side", "--validate=strict", "--field-manager=hearth", objects=objects
        )


@pytest.fixture(scope="module")
def kubectl(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubectl]:
    """A control plane; its programs are built where they are missing."""
    programs = toolchain.ensure_programs([*control_plane.PROGRAMS, "kubectl"], lambda _: None)
    folder = tmp_path_factory.mktemp("cluster")
    with control_plane.running(programs, folder):
        yield Kubectl(programs["kubectl"], folder / "kubeconfig")


def objects(recording: Recording) -> list[dict[str, Any]]:
    """In the order of their registration, namespaces first."""
    found = [manifest(r) for r in recording.resources if r.type.startswith("kubernetes:")]
    known = [one for one in found if not one["apiVersion"].startswith(ABSENT)]
    return sorted(known, key=lambda one: one["kind"] != "Namespace")


def pods(recording: Recording) -> list[dict[str, Any]]:
    """A pod of each workload, as its controller would make it."""
    namespaces = {one["metadata"]["name"]: one["metadata"] for one in objects(recording)}
    return [
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                **template["metadata"],
                "name": f"{name}-trial",
                "namespace": namespaces[name]["namespace"],
            },
            "spec": template["spec"],
        }
        for name, template in _plain(templates(recording)).items()
    ]


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(below) for key, below in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


@pytest.mark.parametrize("profile", ["zookeeper", "kraft"])
def test_the_api_accepts_every_object_and_every_pod_without_a_warning(
    kubectl: Kubectl, profile: str
) -> None:
    recording = recorded(site(kafka={"profile": profile}))
    done = kubectl.apply(objects(recording))
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    admitted = kubectl.run(
        "create", "--dry-run=server", "--validate=strict", objects=pods(recording)
    )
    assert admitted.returncode == 0, admitted.stderr
    assert admitted.stderr == ""
    assert len(admitted.stdout.splitlines()) == len(templates(recording))


def test_applied_again_nothing_differs(kubectl: Kubectl) -> None:
    wanted = objects(recorded(site()))
    assert kubectl.apply(wanted).returncode == 0
    done = kubectl.run("diff", "--server-side", "--field-manager=hearth", objects=wanted)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_namespace_refuses_a_pod_that_is_not_restricted(kubectl: Kubectl) -> None:
    recording = recorded(site())
    assert kubectl.apply(objects(recording)).returncode == 0
    pod = next(one for one in pods(recording) if one["metadata"]["name"] == "backend-trial")
    pod["spec"]["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = True
    done = kubectl.run("create", "--dry-run=server", objects=[pod])
    assert done.returncode != 0
    assert 'violates PodSecurity "restricted:latest"' in done.stderr
