"""A node with pods and an outside world, of network namespaces: real packets, real rules.

Pods hang on wires of their own, as the CNI plugin `ptp` makes them. The node has the rules that it
has on a machine: the host's firewall, the pods' way out.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from types import SimpleNamespace

from services.policies.table import TABLE
from templates import render

NODE, GATEWAY, OWN = "10.20.0.11", "10.244.0.1", "10.244.0.0/24"
OUTSIDE, FAR = "10.20.0.250", "10.244.1.5"
"""Somebody beside the cluster, and a pod of another node: both beyond the same wire."""
TCP_PORTS, UDP_PORT = (8080, 9090), 5353
NODE_PORT = 6443
"""Open to all by the host's firewall."""
_SILENCE_S = 0.6

# Listens until it is killed: TCP ports that close what they accept, a UDP port that answers.
_SERVER = """
import socket, sys, threading
def serve(port):
    with socket.create_server(("", port)) as s:
        while True: s.accept()[0].close()
for port in sys.argv[2:]: threading.Thread(target=serve, args=[int(port)], daemon=True).start()
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
    s.bind(("", int(sys.argv[1])))
    print("ready", flush=True)
    while True:
        _, who = s.recvfrom(9)
        s.sendto(b"yes", who)
"""
# Prints which of `tcp/address/port` are open; from a source's address, where one is given.
_CLIENT = """
import json, socket, sys
from concurrent.futures import ThreadPoolExecutor
seconds, source = float(sys.argv[1]), sys.argv[2]
def is_open(told):
    by, address, port = told.split("/")
    kind = socket.SOCK_STREAM if by == "tcp" else socket.SOCK_DGRAM
    try:
        with socket.socket(socket.AF_INET, kind) as s:
            s.settimeout(seconds)
            if source: s.bind((source, 0))
            s.connect((address, int(port)))
            return by == "tcp" or (s.send(b"?"), s.recv(9))[1] == b"yes"
    except OSError:
        return False
tried = sys.argv[3:]
with ThreadPoolExecutor(16) as pool:
    print(json.dumps([told for told, found in zip(tried, pool.map(is_open, tried)) if found]))
"""


def why_not() -> str:
    """Why namespaces cannot be made here; empty where they can."""
    if os.geteuid() != 0:
        return "needs root, to make network namespaces"
    missing = [program for program in ("ip", "nft") if shutil.which(program) is None]
    if missing:
        return f"needs {' and '.join(missing)}"
    name = f"trial-{os.getpid()}"
    if subprocess.run(["ip", "netns", "add", name], capture_output=True, check=False).returncode:
        return "network namespaces cannot be made here"
    _run("ip", "netns", "delete", name)
    return ""


@dataclass(frozen=True, slots=True)
class Wires:
    """The namespaces.

    Attributes:
        places: names of namespaces, by what they play: `node`, `outside`, or a pod's name.
    """

    places: Mapping[str, str]

    def inside(self, place: str, *command: str, given: str = "") -> str:
        """What a command prints in a place."""
        return _run("ip", "netns", "exec", self.places[place], *command, given=given)

    def load(self, text: str) -> None:
        """Loads rules into the node's kernel."""
        self.inside("node", "nft", "-f", "-", given=text)

    def open(self, place: str, *told: str, source: str = "") -> list[str]:
        """Which of `tcp/address/port` can be connected to from a place."""
        words = (sys.executable, "-c", _CLIENT, str(_SILENCE_S), source, *told)
        return list(json.loads(self.inside(place, *words)))

    def dropped(self, comment: str) -> int:
        """How many packets the rules of a comment have dropped."""
        told = json.loads(self.inside("node", "nft", "-j", "list", "table", "ip", TABLE))
        return sum(
            part["counter"]["packets"]
            for entry in told["nftables"]
            if entry.get("rule", {}).get("comment") == comment
            for part in entry["rule"]["expr"]
            if "counter" in part
        )


@contextmanager
def wired(pods: Mapping[str, str]) -> Iterator[Wires]:
    """A node with pods, by name their addresses, and the outside; all of them listen."""
    with ExitStack() as stack:
        places = {name: f"hp{os.getpid()}-{name}" for name in ("node", "outside", *pods)}
        for place in places.values():
            _run("ip", "netns", "add", place)
            stack.callback(_run, "ip", "netns", "delete", place)
            _run("ip", "-n", place, "link", "set", "lo", "up")
        node, outside = places["node"], places["outside"]
        _run("ip", "netns", "exec", node, "sysctl", "-qw", "net.ipv4.ip_forward=1")
        _wire(node, "eth0", outside, "eth0")
        _ip(node, f"address add {NODE}/24 dev eth0", f"route add 10.244.1.0/24 via {OUTSIDE}")
        _ip(outside, f"address add {OUTSIDE}/24 dev eth0", f"address add {FAR}/32 dev lo")
        _ip(outside, f"route add 10.244.0.0/16 via {NODE}")
        for number, (name, address) in enumerate(pods.items()):
            wire = f"veth{number}"
            _wire(node, wire, places[name], "eth0")
            _ip(node, f"address add {GATEWAY}/32 dev {wire}", f"route add {address}/32 dev {wire}")
            _ip(
                places[name],
                f"address add {address}/24 dev eth0",
                f"route delete {OWN} dev eth0",
                f"route add {GATEWAY}/32 dev eth0 scope link",
                f"route add default via {GATEWAY}",
            )
        wires = Wires(places)
        wires.load(_firewall())
        wires.load(render("kubernetes/network.nft.j2", own=OWN, all_pods="10.244.0.0/16"))
        for name in places:
            stack.enter_context(_serving(wires, name))
        yield wires


def _firewall() -> str:
    """The host's: the cluster's API is everybody's, ssh and the rest nobody's."""
    flow = SimpleNamespace(protocol="tcp", port=NODE_PORT, sources=["0.0.0.0/0"], reason="api")
    return render(
        "nftables/nftables.conf.j2",
        flows=[flow],
        ssh_port=22,
        own_networks=["10.244.0.0/16", "10.96.0.0/16"],
        own_sources=["10.244.0.0/16", "10.20.0.0/24"],
    )


@contextmanager
def _serving(wires: Wires, place: str) -> Iterator[None]:
    ports = (UDP_PORT, *TCP_PORTS, NODE_PORT)
    words = ("ip", "netns", "exec", wires.places[place], sys.executable, "-c", _SERVER)
    with subprocess.Popen([*words, *map(str, ports)], stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            assert server.stdout.readline() == "ready\n"
            yield
        finally:
            server.kill()


def _wire(one: str, its_end: str, other: str, other_end: str) -> None:
    peer = ("peer", "name", other_end, "netns", other)
    _run("ip", "-n", one, "link", "add", its_end, "type", "veth", *peer)
    for place, end in ((one, its_end), (other, other_end)):
        _run("ip", "-n", place, "link", "set", end, "up")


def _ip(place: str, *commands: str) -> None:
    for command in commands:
        _run("ip", "-n", place, *command.split())


def _run(*command: str, given: str = "") -> str:
    done = subprocess.run(command, input=given, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return done.stdout
