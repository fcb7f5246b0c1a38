"""What is told of a cluster is what its API says; its kubeconfig is its owner's alone."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from hearth import cli, kubernetes
from hearth.engine import Stack
from hearth.kubernetes import ClusterStatus, fetch_kubeconfig, look, status_of, wait_until_ready
from hearth.updates import Changes
from inventory.errors import HearthError
from inventory.loading import load
from inventory.paths import PROJECT

FAKE_SSH = """#!/bin/sh
case " $* " in
    *" get nodes "*) cat {folder}/nodes {folder}/pods ;;
    *"cat /etc/kubernetes/admin.conf"*) cat {folder}/admin.conf ;;
    *) exit 255 ;;
esac
"""
VMS = PROJECT / "tests" / "sites" / "valid" / "cluster-vms.yaml"
ADMIN = {"clusters": [{"name": "fixai", "cluster": {"server": "https://10.20.0.11:6443"}}]}


def node(name: str, status: str = "True", reason: str = "KubeletReady") -> dict[str, Any]:
    ready = {"type": "Ready", "status": status, "reason": reason}
    info = {"kubeletVersion": "v1.33.0"}
    return {
        "metadata": {"name": name},
        "spec": {},
        "status": {"conditions": [ready], "nodeInfo": info},
    }


def pod(name: str, *, ready: bool = True, phase: str = "Running", **state: Any) -> dict[str, Any]:
    one = {"ready": ready, "restartCount": 2, "state": state or {"running": {}}}
    namespace, _, own = name.partition("/")
    return {
        "metadata": {"namespace": namespace, "name": own},
        "spec": {"nodeName": "worker01", "containers": [{}]},
        "status": {"phase": phase, "containerStatuses": [one]},
    }


DNS = pod("kube-system/coredns-1")


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of what the API says, and of this checkout's state."""
    (tmp_path / "ssh").write_text(FAKE_SSH.replace("{folder}", str(tmp_path)))
    (tmp_path / "ssh").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    for module in ("hearth.kubernetes", "inventory.ssh"):
        monkeypatch.setattr(f"{module}.state_dir", tmp_path.joinpath)
    says(tmp_path, [node("master01"), node("worker01")], [DNS])
    (tmp_path / "admin.conf").write_text(yaml.safe_dump(ADMIN))
    return tmp_path


def says(folder: Path, nodes: list[dict[str, Any]], pods: list[dict[str, Any]]) -> None:
    (folder / "nodes").write_text(json.dumps({"items": nodes}, indent=2) + "\n")
    (folder / "pods").write_text(json.dumps({"items": pods}))


def status(nodes: list[dict[str, Any]], pods: list[dict[str, Any]]) -> ClusterStatus:
    return status_of(load("fixai"), nodes, pods)


@pytest.mark.usefixtures("cluster")
def test_a_well_cluster_is_told_of_in_one_line() -> None:
    found = look(load("fixai"))

    assert (found.summary, found.exit_code) == ("2 of 2 nodes ready, 1 of 1 pods well", 0)


def test_a_node_that_has_not_joined_is_missing() -> None:
    found = status([node("master01")], [DNS])

    assert [(n.name, n.state) for n in found.nodes] == [
        ("master01", "Ready"),
        ("worker01", "missing"),
    ]
    assert found.exit_code == 1


def test_a_node_that_is_not_ready_says_why() -> None:
    found = status([node("master01", "False", "KubeletNotReady"), node("worker01")], [])

    assert [n.state for n in found.nodes] == ["KubeletNotReady", "Ready"]


@pytest.mark.parametrize(
    ("document", "state", "good"),
    [
        (pod("a/b"), "Running", True),
        (pod("a/b", ready=False), "NotReady", False),
        (pod("a/b", ready=False, waiting={"reason": "ErrImagePull"}), "ErrImagePull", False),
        (pod("a/b", ready=False, phase="Succeeded", terminated={"reason": "Completed"}),
         "Completed", True),
        (pod("a/b", ready=False, phase="Pending", waiting={"reason": "ContainerCreating"}),
         "ContainerCreating", False),
    ],
)  # fmt: skip
def test_a_pod_is_what_is_in_its_way(document: dict[str, Any], state: str, good: bool) -> None:  # noqa: FBT001 - a parameter of the test
    (found,) = status([], [document]).pods

    assert (found.state, found.good, found.restarts) == (state, good, 2)


def test_the_kubeconfig_leads_through_the_forwarded_port_and_is_private(cluster: Path) -> None:
    path = fetch_kubeconfig(load("fixai"))

    assert path == cluster / "fixai" / "kubeconfig"
    assert path.stat().st_mode & 0o777 == 0o600
    document = yaml.safe_load(path.read_text())
    assert document["clusters"][0]["cluster"]["server"] == "https://127.0.0.1:16443"


@pytest.mark.usefixtures("cluster")
def test_a_kubeconfig_that_others_can_read_is_made_private() -> None:
    site = load("fixai")
    fetch_kubeconfig(site).chmod(0o644)

    assert fetch_kubeconfig(site).stat().st_mode & 0o777 == 0o600


def test_a_machine_that_has_no_kubeconfig_is_named(cluster: Path) -> None:
    (cluster / "admin.conf").unlink()

    with pytest.raises(HearthError, match="master01 has no kubeconfig"):
        fetch_kubeconfig(load("fixai"))


def test_real_machines_are_reached_at_their_own_address() -> None:
    site = load("fixai").model_copy(update={"sandbox": None})

    assert kubernetes.api_url(site) == "https://10.20.0.11:6443"


def test_waiting_ends_when_all_is_ready_and_tells_what_was_missing(
    cluster: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    says(cluster, [node("master01"), node("worker01")], [])
    told: list[str] = []

    def later(_seconds: float) -> None:
        says(cluster, [node("master01"), node("worker01")], [DNS])

    monkeypatch.setattr("hearth.kubernetes.time.sleep", later)

    assert wait_until_ready(load("fixai"), told.append).exit_code == 0
    assert told == ["waiting for coredns (none)"]


@pytest.mark.usefixtures("cluster")
def test_waiting_has_an_end(monkeypatch: pytest.MonkeyPatch, cluster: Path) -> None:
    says(cluster, [node("master01", "False", "KubeletNotReady")], [DNS])
    monkeypatch.setattr("hearth.kubernetes.READY_WITHIN_S", 0)

    with pytest.raises(HearthError, match=r"master01 \(KubeletNotReady\), worker01 \(missing\)"):
        wait_until_ready(load("fixai"), lambda _: None)


def test_a_cluster_that_does_not_answer_is_told_how_it_comes_up(cluster: Path) -> None:
    (cluster / "nodes").unlink()
    (cluster / "pods").unlink()

    with pytest.raises(HearthError, match=r"master01 or its API .* `hearth up fixai` brings it up"):
        look(load("fixai"))


def test_a_real_clusters_pods_are_removed_from_any_computer(
    cluster: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kubeconfig is fetched before the engine needs it."""
    found: list[bool] = []

    def destroy(self: Stack, _progress: object) -> Changes:
        found.append((cluster / self.site.name / "kubeconfig").is_file())
        return Changes({"delete": 3})

    monkeypatch.setattr(Stack, "destroy", destroy)
    monkeypatch.setattr(sys, "argv", ["hearth", "down", str(VMS), "--yes"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert (ended.value.code, found) == (0, [True])
