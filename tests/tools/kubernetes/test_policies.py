"""What holds pods to policies, beside a real API server, with a kubelet's rights and no others."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from ipaddress import IPv4Network
from typing import Any

import pytest
import yaml

from services.policies.api import Api, ApiError, GoneError, Login
from services.policies.engine import Mirrors
from services.policies.table import Cluster, table
from templates import render
from tests.tools.kubernetes import cluster as control_plane
from tests.tools.kubernetes.cluster import AUTHORITY, NODE_KEY, POD_ADDRESS
from tools import toolchain
from tools.kubernetes_plugin.api import Api as Administrator

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1800)]

OWN = IPv4Network("10.244.0.0/24")
WITHIN_S = 20
PODS = "/api/v1/pods"
POLICIES = "/apis/networking.k8s.io/v1/namespaces/default/networkpolicies"
RIGHTS = "/apis/rbac.authorization.k8s.io/v1"

Made = tuple[Administrator, Api]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    """A control plane, as its administrator and as a node whose rights the bootstrap has given."""
    programs = toolchain.ensure_programs(control_plane.PROGRAMS, lambda _line: None)
    folder = tmp_path_factory.mktemp("cluster")
    with control_plane.running(programs, folder) as cluster:
        server = json.loads(cluster.kubeconfig)["clusters"][0]["cluster"]["server"]
        node = Api(Login(server, folder / AUTHORITY, folder / NODE_KEY))
        with pytest.raises(ApiError, match='User "system:node:node-1" cannot list'):
            node.list(PODS)
        role, binding = yaml.safe_load_all(render("kubernetes/policies.yaml.j2"))
        cluster.api.request("POST", f"{RIGHTS}/clusterroles", role)
        cluster.api.request("POST", f"{RIGHTS}/clusterrolebindings", binding)
        assert _until(lambda: _may(node, PODS))
        yield cluster.api, node


def _may(api: Api, path: str) -> bool:
    try:
        api.list(path)
    except ApiError:
        return False
    return True


def _until(is_so: Callable[[], Any]) -> bool:
    deadline = time.monotonic() + WITHIN_S
    while not is_so():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def test_a_node_reads_what_policies_are_about_and_nothing_else(made: Made) -> None:
    _, node = made
    for path in (PODS, "/api/v1/namespaces", "/apis/networking.k8s.io/v1/networkpolicies"):
        assert _may(node, path)
    for path in ("/api/v1/secrets", "/api/v1/configmaps", "/apis/apps/v1/deployments"):
        assert not _may(node, path)


def test_a_version_that_is_too_old_is_told_from_other_faults(made: Made) -> None:
    _, node = made
    with pytest.raises(GoneError):
        list(node.watch(PODS, "1"))


def test_a_policy_is_in_the_table_as_long_as_it_is_in_the_cluster(made: Made) -> None:
    administrator, node = made
    mirrors = Mirrors.of(node)
    mirrors.follow()

    def text() -> str:
        return table(mirrors.cluster() or Cluster(), OWN).text

    container = {"name": "it", "image": "registry.example/web:1"}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "web", "labels": {"app": "web"}},
        "spec": {"containers": [container], "automountServiceAccountToken": False},
    }
    policy = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "web"},
        "spec": {
            "podSelector": {"matchLabels": {"app": "web"}},
            "ingress": [{"from": [{"ipBlock": {"cidr": "192.0.2.0/24"}}], "ports": [{"port": 80}]}],
        },
    }
    administrator.request("POST", "/api/v1/namespaces/default/pods", pod)
    assert _until(lambda: f"elements = {{ {POD_ADDRESS} }}" in text()), text()
    assert "jump" not in text()
    administrator.request("POST", POLICIES, policy)
    admitted = "ip saddr { 192.0.2.0-192.0.2.255 } tcp dport { 80 } return"
    assert _until(lambda: admitted in text()), text()
    administrator.request("DELETE", f"{POLICIES}/web")
    assert _until(lambda: "jump" not in text()), text()
    administrator.request("DELETE", "/api/v1/namespaces/default/pods/web")
    assert _until(lambda: POD_ADDRESS not in text()), text()
