"""Real packets, through the rules that a table has in a real kernel."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest

from services.policies import kernel
from services.policies.table import TABLE, Cluster, table
from tests.services.policies.documents import NODES, Document, Told, app, namespace, pod, policy
from tests.services.policies.wires import (
    FAR,
    GATEWAY,
    NODE,
    NODE_PORT,
    OUTSIDE,
    TCP_PORTS,
    UDP_PORT,
    Wires,
    why_not,
    wired,
)

WHY_NOT = why_not()
pytestmark = pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT)

FRONT, BACK, SPY = "10.244.0.2", "10.244.0.3", "10.244.0.4"
PODS = {"front": FRONT, "back": BACK, "spy": SPY}
WEB, OTHER = TCP_PORTS
NOTHING = policy("nothing", policyTypes=["Ingress", "Egress"])


@pytest.fixture(scope="module")
def wires() -> Iterator[Wires]:
    """A node with three pods."""
    with wired(PODS) as made:
        yield made


def told(*policies: Document, **more: Document) -> Told:
    """The pods of the wires and one of another node, with policies."""
    named = [{"name": "web", "containerPort": WEB}]
    pods = {name: pod(name, address, ports=named) for name, address in PODS.items()}
    return Told({**pods, "far": pod("far", FAR), **more}, [namespace("shop")], list(policies))


def everything(address: str) -> list[str]:
    """What a pod answers at."""
    return [f"tcp/{address}/{WEB}", f"tcp/{address}/{OTHER}", f"udp/{address}/{UDP_PORT}"]


def test_without_policies_everything_is_open_and_the_hosts_firewall_stands(wires: Wires) -> None:
    wires.load(told().table().text)
    assert wires.open("front", *everything(BACK)) == everything(BACK)
    assert wires.open("front", f"tcp/{OUTSIDE}/{WEB}") == [f"tcp/{OUTSIDE}/{WEB}"]
    api, closed = f"tcp/{NODE}/{NODE_PORT}", f"tcp/{NODE}/{WEB}"
    assert wires.open("front", api, closed) == [api]
    assert wires.open("outside", api, closed) == [api]


def test_what_is_forbidden_is_closed_and_its_node_still_probes_it(wires: Wires) -> None:
    wires.load(told(NOTHING).table().text)
    assert wires.open("front", *everything(BACK), f"tcp/{OUTSIDE}/{WEB}") == []
    assert wires.open("front", f"tcp/{NODE}/{NODE_PORT}", f"tcp/{GATEWAY}/{NODE_PORT}") == []
    assert wires.open("outside", *everything(BACK)) == []
    assert wires.open("node", *everything(BACK)) == everything(BACK)
    assert wires.open("front", f"tcp/{FRONT}/{WEB}") == [f"tcp/{FRONT}/{WEB}"]


def test_what_is_admitted_is_open_at_these_ports_from_these_peers_and_answers_return(
    wires: Wires,
) -> None:
    ports = [{"port": "web"}, {"protocol": "UDP", "port": UDP_PORT}]
    into = policy(
        "in", app("back"), ingress=[{"from": [{"podSelector": app("front")}], "ports": ports}]
    )
    out = policy("out", app("front"), egress=[{"to": [{"podSelector": app("back")}]}])
    wires.load(told(NOTHING, into, out).table().text)
    assert wires.open("front", *everything(BACK)) == [everything(BACK)[0], everything(BACK)[2]]
    assert wires.open("spy", *everything(BACK)) == []
    assert wires.open("back", *everything(FRONT)) == []


def test_a_pod_of_another_node_is_told_from_somebody_beside_the_cluster(wires: Wires) -> None:
    into = policy("in", app("back"), ingress=[{"from": [{"podSelector": app("far")}]}])
    wires.load(told(into).table().text)
    tried = everything(BACK)
    assert wires.open("outside", *tried, source=FAR) == tried
    assert wires.open("outside", *tried, source=OUTSIDE) == []
    block = {"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.244.0.0/16"]}}
    wires.load(told(policy("in", app("back"), ingress=[{"from": [block]}])).table().text)
    assert wires.open("outside", *tried, source=FAR) == []
    assert wires.open("outside", *tried, source=OUTSIDE) == tried


def test_egress_to_the_own_node_is_admitted_by_its_address(wires: Wires) -> None:
    to = [{"ipBlock": {"cidr": f"{NODE}/32"}}]
    out = policy("out", app("front"), egress=[{"to": to, "ports": [{"port": NODE_PORT}]}])
    wires.load(told(NOTHING, out).table().text)
    api = f"tcp/{NODE}/{NODE_PORT}"
    assert wires.open("front", api, f"tcp/{OUTSIDE}/{WEB}") == [api]
    assert wires.open("spy", api) == []


def test_a_services_address_is_translated_before_it_is_judged(wires: Wires) -> None:
    service = "10.96.0.10"
    wires.load(
        "table ip kube-proxy {\nchain services {\ntype nat hook prerouting priority dstnat;\n"
        f"ip daddr {service} tcp dport 80 dnat to {BACK}:{WEB}\n}}\n}}\n"
    )
    to = [{"podSelector": app("back")}]
    out = policy("out", app("front"), egress=[{"to": to, "ports": [{"port": WEB}]}])
    try:
        wires.load(told(policy("nothing", policyTypes=["Egress"]), out).table().text)
        assert wires.open("front", f"tcp/{service}/80") == [f"tcp/{service}/80"]
        assert wires.open("spy", f"tcp/{service}/80") == []
    finally:
        wires.load("delete table ip kube-proxy")


def test_a_pod_that_the_api_does_not_name_yet_is_closed(wires: Wires) -> None:
    new = told()
    del new.pods["spy"]
    wires.load(new.table().text)
    assert wires.open("spy", *everything(BACK), f"tcp/{NODE}/{NODE_PORT}") == []
    assert wires.open("front", *everything(SPY)) == []
    assert wires.open("node", *everything(SPY)) == everything(SPY)
    assert wires.dropped("of no pod that the API names") > 0


def test_a_pod_cannot_speak_in_anothers_name(wires: Wires) -> None:
    wires.load(told().table().text)
    for name in (FAR, BACK):
        before = wires.dropped("in another's name")
        wires.inside("spy", "ip", "address", "add", f"{name}/32", "dev", "lo")
        try:
            tried = (f"udp/{FRONT}/{UDP_PORT}", f"udp/{OUTSIDE}/{UDP_PORT}")
            assert wires.open("spy", *tried, source=name) == []
        finally:
            wires.inside("spy", "ip", "address", "delete", f"{name}/32", "dev", "lo")
        assert wires.dropped("in another's name") == before + 2


def test_each_pod_has_a_count_of_what_it_was_refused(wires: Wires) -> None:
    wires.load(told(policy("nothing", app("back"))).table().text)
    wires.open("front", f"udp/{BACK}/{UDP_PORT}")
    assert wires.dropped("to shop/back") == 1
    wires.open("spy", f"udp/{BACK}/{UDP_PORT}")
    assert wires.dropped("to shop/back") == 2


def test_a_new_table_cuts_no_connection_and_admits_no_new_one(wires: Wires) -> None:
    wires.load(told().table().text)
    script = (
        "import socket, sys\n"
        "with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:\n"
        f"    s.settimeout(2); s.connect(({BACK!r}, {UDP_PORT}))\n"
        "    for _ in range(2):\n"
        "        s.send(b'?'); print(s.recv(9).decode(), flush=True); sys.stdin.readline()\n"
    )
    command = ["ip", "netns", "exec", wires.places["front"], sys.executable, "-c", script]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as talk:
        assert talk.stdin is not None
        assert talk.stdout is not None
        assert talk.stdout.readline() == "yes\n"
        wires.load(told(NOTHING).table().text)
        talk.stdin.write("\n")
        talk.stdin.flush()
        assert talk.stdout.readline() == "yes\n"
        talk.communicate("\n", timeout=5)
    assert wires.open("front", *everything(BACK)) == []


def test_a_node_that_knows_nothing_yet_has_closed_pods(wires: Wires) -> None:
    wires.load(table(Cluster(), NODES[0]).text)
    assert wires.open("front", *everything(BACK), f"tcp/{OUTSIDE}/{WEB}") == []
    assert wires.open("node", *everything(BACK)) == everything(BACK)
    assert wires.open("outside", f"tcp/{NODE}/{NODE_PORT}") == [f"tcp/{NODE}/{NODE_PORT}"]


def test_a_table_that_the_kernel_refuses_leaves_the_one_that_is_loaded(
    wires: Wires, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = subprocess.run
    prefix = ["ip", "netns", "exec", wires.places["node"]]
    monkeypatch.setattr(subprocess, "run", lambda command, **how: real([*prefix, *command], **how))
    wires.inside("node", "nft", "delete", "table", "ip", TABLE)
    assert not kernel.is_loaded()
    kernel.load(told(NOTHING).table().text)
    assert kernel.is_loaded()
    with pytest.raises(kernel.KernelError, match="table hearth-policies is refused"):
        kernel.load(told().table().text.replace("accept;", "accept; nonsense"))
    assert wires.open("front", f"tcp/{BACK}/{WEB}") == []


def test_what_a_large_cluster_has_is_loaded(wires: Wires) -> None:
    some = told(NOTHING, policy("in", ingress=[{"from": [{"namespaceSelector": {}}]}]))
    for number in range(10, 120):
        for node in (0, 1):
            name = f"p{node}-{number}"
            some.pods[name] = pod(name, f"10.244.{node}.{2 * number}", namespace="shop")
    wires.load(some.table().text)
    assert wires.open("spy", f"tcp/{BACK}/{WEB}") == []  # egress is forbidden
