"""A cluster is made once, joined once, and left alone; what admits a machine stands in no log."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from inventory.loading import load
from tests.deploys.record import Run

Runs = dict[str, Run]
TOKEN = "abcdef.0123456789abcdef"  # noqa: S105 - the tests' own
CONFIG = "/etc/hearth/kubernetes/kubeadm.yaml"
INIT = f"kubeadm init --skip-token-print --config {CONFIG}.hearth-new"


@pytest.fixture
def made(runs: Runs) -> Run:
    """The bootstrap of bare machines."""
    return runs["cluster"]


def documents(run: Run) -> dict[str, Any]:
    """What kubeadm is told, by kind."""
    found = yaml.safe_load_all(run.files("master01")[CONFIG])
    return {document["kind"]: document for document in found}


def test_a_cluster_of_bare_machines_is_made(made: Run) -> None:
    assert (made.error, made.failed) == ("", [])
    assert INIT in made.commands("master01", "The cluster is made")
    assert "kubeadm join --config /run/hearth-join.yaml" in made.commands("worker01")


def test_a_machine_joins_after_the_cluster_is_made(made: Run) -> None:
    commands = [event.command for event in made.events]
    assert commands.index(INIT) < next(i for i, c in enumerate(commands) if "kubeadm join" in c)


def test_a_cluster_that_is_made_is_left_alone(runs: Runs) -> None:
    assert runs["cluster, ready"].events == []
    assert (runs["cluster, ready"].error, runs["cluster, ready"].failed) == ("", [])


def test_a_cluster_whose_making_was_cut_off_is_made_again(runs: Runs) -> None:
    steps = runs["cluster, cut off"].commands("master01", "The cluster is made")
    reset = "[ ! -e /etc/kubernetes/pki/ca.crt ] || kubeadm reset --force"
    assert steps.index(reset) < steps.index(INIT)
    assert steps[-1] == f"mv {CONFIG}.hearth-new {CONFIG}"


def test_a_changed_description_changes_the_control_plane_and_keeps_the_cluster(runs: Runs) -> None:
    edited = runs["cluster, edited"]
    assert edited.titles("master01") == ["The cluster is made"]
    steps = edited.commands("master01")
    assert f"kubeadm init phase control-plane all --config {CONFIG}.hearth-new" in steps
    assert INIT not in steps
    assert edited.of("worker01") == []


def test_a_token_is_in_files_of_roots_and_nowhere_else(made: Run) -> None:
    holding = [event for event in made.events if TOKEN in event.text]
    assert [event.command for event in holding] == [
        "umask 077 && cat >/run/hearth-join.kubeconfig",
        "umask 077 && cat >/run/hearth-join.yaml",
    ]
    assert [event.command for event in made.events if TOKEN in event.command] == []
    assert [line for line in made.said if TOKEN in line] == []


def test_a_token_goes_as_soon_as_it_has_served(made: Run, runs: Runs) -> None:
    for run in (made, runs["cluster, refused"]):
        assert "rm -f /run/hearth-join.kubeconfig /run/hearth-join.yaml" in run.commands("worker01")
        assert "kubeadm token delete abcdef" in [event.command for event in run.events]


def test_a_machine_that_is_refused_says_why_without_the_token(runs: Runs) -> None:
    refused = runs["cluster, refused"]
    assert refused.failed == ["worker01"]
    assert "refused (token)" in refused.says("worker01")


def test_a_control_plane_that_gives_no_token_is_named(runs: Runs) -> None:
    assert runs["cluster, no token"].failed == ["worker01"]
    said = runs["cluster, no token"].says("worker01")
    assert "Failed: master01 gives no token to join with" in said


def test_a_joining_machine_trusts_the_clusters_own_authority(made: Run) -> None:
    (event,) = (e for e in made.of("worker01") if "join.kubeconfig" in e.command and e.text)
    server = json.loads(event.text)["clusters"][0]["cluster"]
    assert server["server"] == "https://10.20.0.11:6443"
    assert base64.b64decode(server["certificate-authority-data"]) == b"-----CA-----\n"


def test_the_key_of_secrets_is_made_where_it_stays(made: Run) -> None:
    (command,) = made.commands("master01", "Key of the secrets in etcd")
    assert "umask 077" in command
    assert "/dev/urandom" in command
    assert made.commands("worker01", "Key of the secrets in etcd") == []


def test_the_api_server_knows_nobody_but_who_asks_for_its_health(made: Run) -> None:
    text = made.files("master01")["/etc/hearth/kubernetes/authentication.yaml"]
    anonymous = yaml.safe_load(text)["anonymous"]
    assert [rule["path"] for rule in anonymous["conditions"]] == ["/livez", "/readyz", "/healthz"]
    arguments = documents(made)["ClusterConfiguration"]["apiServer"]["extraArgs"]
    told = {argument["name"]: argument["value"] for argument in arguments}
    assert told["authentication-config"] == "/etc/hearth/kubernetes/authentication.yaml"
    assert told["encryption-provider-config"] == "/etc/hearth/kubernetes/encryption.yaml"


def test_a_kubelet_asks_the_api_who_may_do_what(made: Run) -> None:
    kubelet = documents(made)["KubeletConfiguration"]
    assert kubelet["authentication"] == {
        "anonymous": {"enabled": False},
        "webhook": {"enabled": True},
    }
    assert (kubelet["authorization"], kubelet["readOnlyPort"]) == ({"mode": "Webhook"}, 0)


def test_the_contents_of_secrets_are_not_in_the_audit_log(made: Run) -> None:
    rules = yaml.safe_load(made.files("master01")["/etc/hearth/kubernetes/audit-policy.yaml"])
    about = next(r for r in rules["rules"] if "secrets" in str(r.get("resources")))
    assert about["level"] == "Metadata"


def test_nothing_of_docker_is_installed(made: Run) -> None:
    for machine in ("master01", "worker01"):
        wanted = made.packages(machine)
        assert {"containerd", "kubelet=1.33.0-1.1", "kubeadm=1.33.0-1.1"} <= set(wanted)
        assert not [package for package in wanted if package.startswith("docker")]
        assert "/etc/docker/daemon.json" not in made.files(machine)


def test_a_pods_address_is_of_its_nodes_share_and_others_are_reached_by_their_nodes(
    made: Run,
) -> None:
    conflist = json.loads(made.files("worker01")["/etc/cni/net.d/10-hearth.conflist"])
    assert conflist["plugins"][0]["ipam"]["ranges"] == [[{"subnet": "10.244.1.0/24"}]]
    program = made.files("worker01")["/usr/local/sbin/hearth-pods"]
    assert "ip route replace 10.244.0.0/24 via 10.20.0.11\n" in program


def test_pods_leave_in_their_machines_name_and_meet_each_other_in_their_own(made: Run) -> None:
    rules = made.files("worker01")["/etc/hearth/kubernetes/network.nft"]
    assert "ip saddr 10.244.1.0/24 ip daddr != 10.244.0.0/16 masquerade" in rules


def test_a_sandboxs_cluster_has_the_labs_images_and_a_real_one_the_vendors(runs: Runs) -> None:
    played, real = documents(runs["cluster"]), documents(runs["cluster, real"])
    assert played["ClusterConfiguration"]["imageRepository"] == "10.20.0.251:5000/hearth"
    assert "imageRepository" not in real["ClusterConfiguration"]
    sandboxed, official = (
        runs[name].files("worker01")["/etc/containerd/config.toml"]
        for name in ("cluster", "cluster, real")
    )
    assert 'sandbox_image = "10.20.0.251:5000/hearth/pause:sandbox"' in sandboxed
    assert 'sandbox_image = "registry.k8s.io/pause:3.10"' in official


def test_real_machines_take_the_vendors_packages(runs: Runs) -> None:
    real = runs["cluster, real"]
    assert (real.error, real.failed) == ("", [])
    listed = real.files("worker01")["/etc/apt/sources.list.d/kubernetes.list"]
    assert "https://pkgs.k8s.io/core:/stable:/v1.33/deb/ /" in listed
    assert "Kubernetes' repository" not in runs["cluster"].titles("worker01")


def test_both_agree_who_owns_the_control_groups(runs: Runs) -> None:
    for name, driver, by_systemd in (
        ("cluster", "cgroupfs", "false"),
        ("cluster, real", "systemd", "true"),
    ):
        assert documents(runs[name])["KubeletConfiguration"]["cgroupDriver"] == driver
        text = runs[name].files("master01")["/etc/containerd/config.toml"]
        assert f"SystemdCgroup = {by_systemd}" in text


def test_each_machine_has_the_folders_of_its_own_volumes_and_no_others(made: Run) -> None:
    fixai = load("fixai").fixai
    assert fixai is not None
    claims = fixai.claims.values()
    assert {claim.host for claim in claims} == {"master01", "worker01"}
    for claim in claims:
        for name in ("master01", "worker01"):
            said = "\n".join(made.commands(name, "Folder of a volume")).split()
            assert (claim.path in said) is (claim.host == name)


def test_pods_are_held_to_policies_on_every_node(made: Run) -> None:
    for machine, own in (("master01", "10.244.0.0/24"), ("worker01", "10.244.1.0/24")):
        assert "systemctl start hearth-policies.service" in made.commands(machine)
        unit = made.files(machine)["/etc/systemd/system/hearth-policies.service"]
        assert f"--own {own} --server https://10.20.0.11:6443 " in unit
        assert "CapabilityBoundingSet=CAP_NET_ADMIN\n" in unit
        assert "python3" in made.packages(machine)


def test_the_program_that_holds_them_is_whole_and_needs_no_package(
    made: Run, tmp_path: Path
) -> None:
    for path, text in made.files("worker01").items():
        if path.startswith("/usr/local/lib/hearth/"):
            place = tmp_path / path.removeprefix("/usr/local/lib/hearth/")
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text)
    unit = made.files("worker01")["/etc/systemd/system/hearth-policies.service"]
    (started,) = (line for line in unit.splitlines() if line.startswith("ExecStart="))
    _, *words = started.partition("=")[2].split()
    # -S: without the packages of this environment, as a machine has none of them.
    command = [sys.executable, "-S", *words[: words.index("--own")], "--help"]
    ran = subprocess.run(
        command, env={"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True, check=False
    )
    assert (ran.returncode, "--credential" in ran.stdout) == (0, True), ran.stderr


def test_nodes_may_read_what_policies_are_about_and_no_more(made: Run) -> None:
    given = yaml.safe_load_all(made.files("master01")["/etc/hearth/kubernetes/policies.yaml"])
    role, binding = given
    assert {verb for rule in role["rules"] for verb in rule["verbs"]} == {"get", "list", "watch"}
    read = {resource for rule in role["rules"] for resource in rule["resources"]}
    assert read == {"pods", "namespaces", "networkpolicies"}
    assert [subject["name"] for subject in binding["subjects"]] == ["system:nodes"]
    assert made.commands("worker01", "Nodes' rights to read policies") == []


def test_pods_are_held_to_policies_only_once_their_node_may_read_them(made: Run) -> None:
    # Before that every pod of a cluster that runs would be closed.
    order = [(event.host, event.title) for event in made.events]
    given = order.index(("master01", "Nodes' rights to read policies"))
    joined = order.index(("worker01", "Joins the cluster"))
    for name in ("master01", "worker01"):
        assert order.index((name, "Pods are held to policies")) > max(given, joined)


def test_a_new_version_of_the_program_is_started_once_it_is_whole(made: Run) -> None:
    titles = made.titles("worker01")
    files = [number for number, title in enumerate(titles) if title.startswith("Program ")]
    assert max(files) < titles.index("Network policies' unit")
    put = made.files("worker01")
    texts = [text for path, text in put.items() if path.startswith("/usr/local/lib/hearth/")]
    # It differs when the program does: so does the unit, which is what starts it anew.
    digest = hashlib.sha256("".join(texts).encode()).hexdigest()
    assert digest in put["/etc/systemd/system/hearth-policies.service"]
