"""The cluster, for real: two machines, made by the command itself, do what a Kubernetes does."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hearth.kubernetes import kubeconfig_path
from hearth.labs import lab_of
from inventory.loading import load
from inventory.paths import PROJECT
from tests.e2e.conftest import Lab, Ran, run
from tools.toolchain import ensure_programs

pytestmark = pytest.mark.e2e

SITE = "fixai"
NAMESPACE = "trial"
SECRET = "not-to-be-read-in-etcd"  # noqa: S105 - what the test looks for
READY_WITHIN_S = 90

Up = tuple[Lab, Ran]

SERVER = (
    "mkdir /tmp/www; echo hello from $HOSTNAME >/tmp/www/index.html; cd /tmp/www; "
    "perl -MIO::Socket::INET -e '$| = 1; $s = IO::Socket::INET->new(LocalPort => 8080, "
    'Listen => 5, ReuseAddr => 1); while ($c = $s->accept) { $l = <$c>; print "asked $l"; '
    'print $c "HTTP/1.0 200 OK\\r\\n\\r\\nhello from $ENV{HOSTNAME}\\n"; close $c }\''
)
ASKS_API = (
    "cd /var/run/secrets/kubernetes.io/serviceaccount && curl -sS -m 5 --cacert ca.crt "
    '-H "Authorization: Bearer $(cat token)" https://kubernetes.default/api/v1/namespaces'
)


def kubectl(*arguments: str, given: str | None = None, check: bool = True) -> str:
    """What kubectl prints, asked with the kubeconfig that the bootstrap left here."""
    program = ensure_programs(["kubectl"], print)["kubectl"]
    done = subprocess.run(
        [program, "--kubeconfig", kubeconfig_path(load(SITE)), *arguments],
        input=given,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert not check or done.returncode == 0, done.stderr
    return done.stdout if check else done.stdout + done.stderr


def inside(pod: str, command: str, *, check: bool = True) -> str:
    """What a shell in a pod prints."""
    return kubectl("-n", NAMESPACE, "exec", pod, "--", "sh", "-c", command, check=check)


def pod(name: str, node: str, command: str) -> dict[str, Any]:
    """A pod of an image that has curl and perl."""
    image = f"{load(SITE).registry.endpoint}/hearth/kube-proxy:sandbox"  # type: ignore[union-attr]
    container = {"name": "it", "image": image, "command": ["sh", "-c", command]}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": NAMESPACE, "labels": {"app": name}},
        "spec": {"nodeName": node, "containers": [container], "terminationGracePeriodSeconds": 0},
    }


def made() -> list[dict[str, Any]]:
    """What the tests ask: a server on one node, its service, who asks it from both."""
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "server", "namespace": NAMESPACE},
        "spec": {"selector": {"app": "server"}, "ports": [{"port": 80, "targetPort": 8080}]},
    }
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "kept", "namespace": NAMESPACE},
        "stringData": {"password": SECRET},
    }
    clients = [pod(f"client-{n}", n, "sleep infinity") for n in ("master01", "worker01")]
    return [pod("server", "worker01", SERVER), service, secret, *clients]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Up]:
    """The cluster from nothing, with what that printed, and the trial's pods running."""
    it = Lab(load(SITE))
    it.hearth("down", SITE, timeout=120)
    first = it.hearth("up", SITE)
    it = Lab(load(SITE))
    try:
        if first.code == 0:
            kubectl("create", "namespace", NAMESPACE)
            for document in made():
                kubectl("apply", "-f", "-", given=json.dumps(document))
            ready = ("wait", "--for=condition=Ready", "pod", "--all", "--timeout=90s")
            kubectl("-n", NAMESPACE, *ready)
        yield it, first
    finally:
        it.hearth("down", SITE, timeout=120)


def test_up_makes_a_cluster_of_ready_nodes(cluster: Up) -> None:
    it, first = cluster
    assert first.code == 0, first.output
    assert "2 of 2 nodes ready" in first.output
    told = it.hearth("status", SITE, "--json")
    assert told.code == 0, told.output
    assert [n["state"] for n in json.loads(told.output)["nodes"]] == ["Ready", "Ready"]


def test_the_application_on_it_keeps_its_promises(cluster: Up) -> None:
    assert "fixai: pass" in cluster[1].output
    assert "60 of 60" in cluster[1].output


def test_a_second_run_changes_nothing(cluster: Up) -> None:
    ran = cluster[0].hearth("up", SITE)
    assert ran.code == 0, ran.output
    assert "2 machines, 0 changes" in ran.output
    assert re.search(r"pulumi up: \d+ unchanged", ran.output), ran.output


def test_nothing_acknowledged_is_lost_whatever_ends(cluster: Up) -> None:
    ran = cluster[0].hearth("smoke", SITE, "--drill", "all")
    assert ran.code == 0, ran.output


def test_a_second_bootstrap_changes_nothing(cluster: Up) -> None:
    ran = cluster[0].hearth("bootstrap", SITE)
    assert (ran.code, "2 machines, 0 changes" in ran.output) == (0, True), ran.output


def test_the_kubeconfig_is_its_owners_alone(cluster: Up) -> None:
    assert kubeconfig_path(cluster[0].site).stat().st_mode & 0o777 == 0o600
    assert kubectl("auth", "can-i", "*", "*").strip() == "yes"


@pytest.mark.parametrize("node", ["master01", "worker01"])
@pytest.mark.usefixtures("cluster")
def test_a_service_is_reached_by_its_name_from_every_node(node: str) -> None:
    assert inside(f"client-{node}", "curl -sS -m 5 http://server/") == "hello from server\n"


@pytest.mark.usefixtures("cluster")
def test_a_network_policy_holds_on_the_same_node_and_across_nodes() -> None:
    peers = [{"podSelector": {"matchLabels": {"app": "client-master01"}}}]
    policy = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "server", "namespace": NAMESPACE},
        "spec": {
            "podSelector": {"matchLabels": {"app": "server"}},
            "ingress": [{"from": peers, "ports": [{"port": 8080}]}],
        },
    }
    asks = "curl -sS -m 2 http://server/"
    kubectl("apply", "-f", "-", given=json.dumps(policy))
    try:
        assert says("client-worker01", asks, "timed out")
        assert inside("client-master01", asks) == "hello from server\n"
    finally:
        kubectl("-n", NAMESPACE, "delete", "networkpolicy", "server")
    assert says("client-worker01", asks, "hello from server")


def says(pod: str, command: str, wanted: str) -> bool:
    """Whether a pod comes to say so: nodes hear of a change within a moment."""
    deadline = time.monotonic() + READY_WITHIN_S
    while wanted not in inside(pod, command, check=False):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.5)
    return True


@pytest.mark.parametrize("node", ["master01", "worker01"])
@pytest.mark.usefixtures("cluster")
def test_a_pod_is_known_to_the_api_by_its_service_account(node: str) -> None:
    answer = json.loads(inside(f"client-{node}", ASKS_API))
    # It is known, and may not.
    assert (answer["code"], f"serviceaccount:{NAMESPACE}:default" in answer["message"]) == (
        403,
        True,
    )


@pytest.mark.usefixtures("cluster")
def test_nobody_is_anonymous() -> None:
    asks = "curl -sSk -m 5 -o /dev/null -w '%{http_code}' https://kubernetes.default"
    assert inside("client-worker01", f"{asks}/version") == "401"
    assert inside("client-worker01", f"{asks}/livez") == "200"


@pytest.mark.usefixtures("cluster")
def test_logs_are_told() -> None:
    inside("client-master01", "curl -sS -m 5 http://server/asked-for-the-log")
    assert "asked GET /asked-for-the-log" in kubectl("-n", NAMESPACE, "logs", "server")


@pytest.mark.parametrize("node", ["master01", "worker01"])
@pytest.mark.usefixtures("cluster")
def test_a_pod_cannot_open_a_kubelet(node: str) -> None:
    address = load(SITE).hosts[node].address
    said = inside("client-worker01", f"curl -sSk -m 2 https://{address}:10250/", check=False)
    assert "timed out" in said


def test_pods_are_not_reached_from_beside_the_cluster(cluster: Up) -> None:
    address = kubectl("-n", NAMESPACE, "get", "pod", "server", "-o", "jsonpath={.status.podIP}")
    namespace = lab_of(cluster[0].site).plan.namespace
    here = ["ip", "netns", "exec", namespace]
    via = str(cluster[0].site.hosts["worker01"].address)
    route = ["ip", "-n", namespace, "route"]
    assert run([*route, "add", f"{address}/32", "via", via], timeout=5).code == 0
    try:
        asked = run([*here, "curl", "-sS", "-m", "2", f"http://{address}:8080/"], timeout=10)
    finally:
        run([*route, "delete", f"{address}/32"], timeout=5)
    assert "timed out" in asked.output, asked.output


def test_a_secret_cannot_be_read_where_it_is_kept(cluster: Up) -> None:
    found = "sudo grep -rac {} /var/lib/etcd/member | grep -v ':0$' || true"
    assert cluster[0].ssh("master01", found.format(SECRET)) == ""
    # What is no secret can: the search would find it.
    assert cluster[0].ssh("master01", found.format("client-worker01")) != ""


def test_no_token_that_admits_a_machine_is_left(cluster: Up) -> None:
    admin = "sudo kubeadm token list -o json"
    tokens = [json.loads(line) for line in cluster[0].ssh("master01", admin).splitlines()]
    assert [t for t in tokens if "system:bootstrappers:kubeadm:default-node-token" in str(t)] == []
    assert cluster[0].ssh("worker01", "sudo ls /run | grep hearth-join || true") == ""


def test_docker_is_on_no_machine(cluster: Up) -> None:
    for host in cluster[0].site.hosts:
        assert cluster[0].ssh(host, "command -v dockerd docker || true") == ""


def test_a_node_that_lost_its_power_runs_its_pods_again(cluster: Up) -> None:
    lab = lab_of(cluster[0].site)
    lab.stop_machine("worker01")
    lab.start_machine("worker01")
    deadline = time.monotonic() + READY_WITHIN_S
    said = ""
    while "hello" not in said and time.monotonic() < deadline:
        said = inside("client-master01", "curl -sS -m 2 http://server/", check=False)
        time.sleep(1)
    assert said == "hello from server\n"


def test_down_leaves_nothing(cluster: Up) -> None:
    ran = cluster[0].hearth("down", SITE, timeout=120)
    assert ran.code == 0, ran.output
    assert f"hearth.{SITE}" not in run(["ip", "netns"], timeout=10).output
    mounted = Path("/proc/self/mountinfo").read_text()
    assert not [name for name in (f"hearth.{SITE}", f"hearth/{SITE}") if name in mounted]
    for path in (f"/run/hearth/{SITE}", f"/var/lib/hearth/{SITE}", PROJECT / f".hearth/{SITE}"):
        assert not Path(path).exists(), path
